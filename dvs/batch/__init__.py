"""Whole data sets of videos: what belongs to one, who works on it, and what has been done.

`search` finds the videos, `tasks` names their outputs, `work` converts one, `local` and `cluster` share the work out,
`manifest` remembers, `run` is the loop over all of it.
"""
