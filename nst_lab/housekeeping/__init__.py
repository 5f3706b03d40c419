"""`nst-runs`: what lies in the output folders, and removing it safely."""
