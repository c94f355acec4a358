"""How good the labels are, worked out from all rankings of a project at once.

Only workers import this package: it needs numpy. What the web needs of it is in
`labeling/quality_reports.py`, and the figures stand in rows.
"""
