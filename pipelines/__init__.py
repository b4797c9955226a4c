"""When, and in what order: Dagster and the command line, thin.

Belongs here: assets, checks, jobs and the `tumsyn` command. The work itself is done by `warehouse` and `model`.
"""
