"""Masks: storage, and readers and writers of their encodings."""
