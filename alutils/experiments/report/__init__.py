"""The report: its letters, its loop with and without the fault, and its worries.

`splits` draws what its settings take, `loops` runs them, the others look at data and mistakes.
"""
