"""Worlds as Brian2 equations: physics of one neuron, and eyes that see it as events."""
