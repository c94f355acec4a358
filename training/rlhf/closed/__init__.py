"""Closed tasks: questions with known answers, on which an alignment tax shows.

`python -m training.rlhf.closed RUN_DIR` is the recipe, `python -m training.rlhf.closed.measure` the
same from a shell for given models. The form of a data set is in docs/closed-tasks.md.
"""
