"""The background process that trains."""
