"""What is true: metadata in a DuckDB catalogue, read from the datasets of many centres.

Belongs here: the registry of centres, ingest, the Parquet lake, the published catalogue, the prompt record.
Does not belong here: anything that imports Dagster or torch.
"""

import os

# Threads of OpenMP wait for each other by spinning unless told otherwise before the library is loaded: where another
# program uses a core, a training step then takes six times as long. Every package here imports this one first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
