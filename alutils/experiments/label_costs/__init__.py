"""How few labels will do, and what right there is to believe the rest.

`fewest_labels` and `noisy_humans` are swept; `results` and `noisy_results` say what came out.
"""
