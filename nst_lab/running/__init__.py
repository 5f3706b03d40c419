"""One run in its folder: who owns it, what is recorded, how it is gone on with after an interruption."""
