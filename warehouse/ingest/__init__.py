"""Ingest of a centre's folder: every file is accounted for, and no value is guessed.

`tree` lists files, `discover` sorts them by their `bids` names, `reading` opens `sidecars` and headers, `participants`
reads `tables`, `visits` assigns ages, `rows` joins all, `checks` compares sources and rules, `center` commits, and
`folders` notices by the folders alone that a tree changed.
"""

from warehouse.ingest.center import Examined, Ingested, check_center, ingest_center, is_current, pending

__all__ = ["Examined", "Ingested", "check_center", "ingest_center", "is_current", "pending"]
