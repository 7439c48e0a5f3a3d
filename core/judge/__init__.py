"""Judgement of labels from out-of-fold predictions and human verdicts."""
