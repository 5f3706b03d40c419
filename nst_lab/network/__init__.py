"""VGG-19 by layer name, and where its weights come from."""
