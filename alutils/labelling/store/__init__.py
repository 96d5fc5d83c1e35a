"""A labelling project on the disk: what people and models said of which picture, and when.

`alutils.labelling.store.store.Store` opens one and holds its parts; nothing here knows a model or
a page.
"""
