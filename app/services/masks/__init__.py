"""Masks of images and of rounds: read, edited, drawn."""
