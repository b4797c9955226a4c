"""What is true: metadata in a DuckDB catalogue, read from the datasets of many centres.

Belongs here: the registry of centres, ingest, the Parquet lake, the published catalogue, the prompt record.
Does not belong here: anything that imports Dagster or torch.
"""
