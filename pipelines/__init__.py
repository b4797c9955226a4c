"""Orchestrate the work of `model` and `warehouse` by Dagster and the command line."""
