"""Programs for development, and fixtures that tests and benchmarks share."""
