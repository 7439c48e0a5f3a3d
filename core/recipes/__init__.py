"""Whole experiments that end in a trained network: which rows teach, which are pseudo-labelled, which judge."""
