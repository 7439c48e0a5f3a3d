"""The use cases; each function owns its transaction."""
