"""Define the Dagster assets, which are named as their tables, and their checks."""
