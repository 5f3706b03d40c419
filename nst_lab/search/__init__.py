"""`nst-search`: settings searched for the lowest distance within bounds on others."""
