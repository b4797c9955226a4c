"""Reading a centre's folder: every file is accounted for, nothing is guessed.

The way of a centre: `tree` lists files, `discover` says what each is, `reading` opens sidecars and headers,
`participants` reads the tables, `rows` joins them, `checks` holds them against the specification, `center` commits.
"""

from warehouse.ingest.center import Ingested, ingest_center, is_current

__all__ = ["Ingested", "ingest_center", "is_current"]
