"""Query strategies beside each other: their learning curves, and what these say.

What VGG16 is worth at each depth, `vgg16_blocks`, is measured in the same way.
"""
