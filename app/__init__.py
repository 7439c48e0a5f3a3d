"""What people touch: pages, routes, services, the worker and the command line."""
