"""Generated code: a step of a network forward, and its derivative backward."""
