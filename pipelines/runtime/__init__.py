"""Run jobs, stop commands, and show and record the progress of work.

Dagster's servers and every command import this package. Modules of `model` that load torch, and libraries such as
DuckDB and pandas, are therefore imported inside the functions that need them.
"""
