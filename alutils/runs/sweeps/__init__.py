"""Every combination of a grid, with many seeds, on one machine or a cluster, into one table.

`grids` says what is to be done, `cells` does one of them, `workers` many at once, `sweep` it all.
"""
