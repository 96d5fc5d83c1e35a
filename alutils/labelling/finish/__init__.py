"""Finish: what a certificate costs, the plan that is frozen, its answers, and what they came to."""
