"""The table specification: every table of the catalogue, described once."""

from warehouse.tables.core import CORE
from warehouse.tables.meta import META
from warehouse.tables.out import OUT
from warehouse.tables.raw import RAW
from warehouse.tables.spec import Column, Kind, Table

TABLES: dict[str, Table] = {table.name: table for table in (*RAW, *CORE, *OUT, *META)}
PARTITIONED = [table for table in TABLES.values() if table.origin == "partition"]

__all__ = ["PARTITIONED", "TABLES", "Column", "Kind", "Table"]
