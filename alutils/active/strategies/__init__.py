"""What is worth a question: scores of single items, and batches chosen as a whole.

Pure functions on arrays; `registry` has every strategy by its name, with what it needs.
"""
