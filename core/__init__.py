"""The method: no database, no web."""
