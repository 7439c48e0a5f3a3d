"""User-facing code: pages, routes, services, the worker and the command line."""

__version__ = "0.1.0"
