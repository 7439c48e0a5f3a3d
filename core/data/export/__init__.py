"""Exports: items, names, layouts, and manifest."""
