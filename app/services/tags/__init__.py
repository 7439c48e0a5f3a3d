"""Tags: the complete set of classes that an image shows."""
