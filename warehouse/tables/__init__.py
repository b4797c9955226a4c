"""The table specification: all tables of the catalogue."""

from warehouse.tables.core import CORE
from warehouse.tables.meta import META
from warehouse.tables.models import MODELS, RETRAINING
from warehouse.tables.out import OUT
from warehouse.tables.raw import RAW
from warehouse.tables.spec import Column, Kind, Stage, Table
from warehouse.tables.volumes import VOLUMES

TABLES: dict[str, Table] = {table.name: table for table in (*RAW, *CORE, *VOLUMES, *MODELS, *RETRAINING, *OUT, *META)}
STAGES: dict[Stage, list[Table]] = {
    stage: [table for table in TABLES.values() if table.origin == "partition" and table.stage == stage]
    for stage in ("ingest", "harmonize")
}
PARTITIONED = STAGES["ingest"]
HARMONIZED = STAGES["harmonize"]

__all__ = ["HARMONIZED", "PARTITIONED", "STAGES", "TABLES", "Column", "Kind", "Stage", "Table"]
