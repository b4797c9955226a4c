"""Assets, named as their tables and grouped by layer.

Belongs here: what exists, which function of `warehouse` makes it, and the numbers it reports.
Does not belong here: SQL, reading of files, anything that computes.
"""
