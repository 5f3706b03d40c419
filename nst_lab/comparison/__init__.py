"""`nst-compare` and `load_runs`: finished runs read back, side by side, as table and report."""
