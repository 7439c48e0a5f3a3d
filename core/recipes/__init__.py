"""Recipes: training of several networks on labels and pseudo labels of one snapshot, with its test rows."""
