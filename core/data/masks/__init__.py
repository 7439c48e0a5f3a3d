"""Masks in and out: how they are kept, read from every format and written to it."""
