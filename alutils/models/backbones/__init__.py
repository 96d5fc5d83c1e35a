"""Frozen networks that turn images into features, each on the runtimes that it has been built for.

`alutils.models.embeddings` plans, runs and caches them.
"""
