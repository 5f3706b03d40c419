"""The loss graph: style statistics, terms, and the objective that sums them."""
