"""learning: Brian2 models that learn.

To come: exact surrogate gradients derived from a model's own equations, and rules that learn while the
network runs: three factors, temporal differences, contrast between wake and sleep.
"""
