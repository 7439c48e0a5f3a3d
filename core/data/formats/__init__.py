"""Formats: one file per format, with its reader and writer."""
