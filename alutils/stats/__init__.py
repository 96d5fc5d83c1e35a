"""What results say: metrics, the long table, intervals, runs beside published values.

Everything here works on arrays and tables of any experiment, and knows none of them.
"""

__all__ = ["agreement", "compare", "intervals", "metrics", "tables"]
