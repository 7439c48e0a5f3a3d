"""Imports: request, preview, run, store, report, undo."""
