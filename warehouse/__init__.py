"""What is true: metadata in a DuckDB catalogue, read from the datasets of many centres."""

import os

# Threads of OpenMP wait for each other by spinning, for milliseconds unless told otherwise before the library is
# loaded: where another program uses a core, a training step then takes four times as long. Threads that never spin wake
# too late, and two of them are as slow as one. A thousand turns, some microseconds, cost little in either case
# (benchmarks/RESULTS.md, "A training step"). Every package here imports this one first.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # for the other implementations than GNU's, which know no number of turns
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
