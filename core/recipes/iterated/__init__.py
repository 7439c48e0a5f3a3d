"""Recipe "iterated": few labels, many images.

`roles` assigns the images, `proposals` runs the recipe and predicts the unlabelled images, `core.judge.proposals` reads
the findings. Its settings are `core.config.IteratedSettings`.
"""
