"""The three scenarios: a pool that lies there, a stream that comes by, and points made up to ask.

`pool` holds the one pool-based loop, which `autolabel` uses too; `members` makes what some
strategies need of its classifier.
"""
