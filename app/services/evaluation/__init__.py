"""Evaluation splits, and comparisons before and after cleaning that are measured on them."""
