"""Recipe "cross-training": few masks, many tags.

`roles` assigns the images, `recipe` runs it, `core.judge.proposals` reads the findings. Its settings are
`core.config.CrossTrainingSettings`.
"""
