"""From finished runs and sweeps to the tables and figures in results/ and those of the pages.

Nobody writes either by hand: ``python -m alutils reference`` makes them anew.
"""
