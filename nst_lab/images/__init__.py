"""Pictures in and out, and the catalog of names that stand for them."""
