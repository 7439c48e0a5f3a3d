"""Exports: plan, run, download."""
