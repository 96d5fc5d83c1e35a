"""What active learning and auto-labelling really save: the helpers behind the notebooks."""
