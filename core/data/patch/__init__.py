"""Label changes as a file of their own, to be applied to a copy of the dataset and taken back again."""
