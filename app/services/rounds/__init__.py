"""Rounds: start, resume, extend, watch, compare."""
