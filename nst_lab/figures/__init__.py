"""`nst-figure`: figures of papers from run folders, labelled and captioned."""
