"""The style statistics, one module per family; `losses/style.py` chooses among them."""
