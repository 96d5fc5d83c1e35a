"""One run of one notebook: its parameters, its folder, its table, run by hand or headlessly.

`runs` is for the inside of a notebook, `headless` for the command line.
"""
