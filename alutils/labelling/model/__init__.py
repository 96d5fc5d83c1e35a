"""The model behind the queue: it learns from the labels, orders what is left and earns its trust.

`alutils.labelling.model.loop` works in the background; `alutils.labelling.model.desk` answers what
the pages and the widget ask.
"""
