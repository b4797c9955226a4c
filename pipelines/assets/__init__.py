"""Define the Dagster assets, which are named as their tables, and their checks.

Every server of Dagster loads this package, so libraries that draw pictures are imported where they draw.
"""
