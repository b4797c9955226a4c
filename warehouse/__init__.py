"""Data of many centres: ingest, harmonised volumes, prompts, and their metadata in a DuckDB catalogue.

DuckDB, SimpleITK, matplotlib, zarr and the network of brain masks are imported inside the functions that need them: a
command, or a worker process that reads patches, loads no more than it uses.
"""

import os

# By default, waiting OpenMP threads spin for milliseconds; if another program uses a core, a training step then takes
# four times as long. Threads that do not spin at all wake up too late, and two of them are as slow as one. A thousand
# spins, some microseconds, cost little in either case (benchmarks/RESULTS.md, "A training step"). The variables must be
# set before the library is loaded, so every package imports this one first.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # for other implementations than GNU's, which have no spin count
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# The kernel clears each new tensor by pages of 4 kB. Asked for pages of 2 MB, it needs half the time of its own in a
# synthesis (benchmarks/RESULTS.md, "Large pages"). Systems without them ignore the variable.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
