"""Reading a centre's folder: every file is accounted for, nothing is guessed.

The way of a centre: `tree` lists files, `discover` says what each is, `reading` opens sidecars and headers,
`participants` reads the tables, `visits` gives ages to visits, `rows` joins them, `checks` holds them against the
specification, `agreement` against each other, `center` commits.
"""

from warehouse.ingest.center import Examined, Ingested, check_center, ingest_center, is_current

__all__ = ["Examined", "Ingested", "check_center", "ingest_center", "is_current"]
