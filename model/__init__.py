"""How one contrast becomes another: tensors in, tensors out.

Imports `warehouse` only. Nothing here knows Dagster.
"""
