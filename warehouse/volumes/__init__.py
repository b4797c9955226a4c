"""Harmonised volumes on disk: written once, verified, opened lazily, exported to BIDS derivatives."""

from warehouse.volumes.collection import (
    open_volume as open,  # a builtin's name, so that callers write `warehouse.volumes.open`
)
from warehouse.volumes.export import Exported, export, runs
from warehouse.volumes.readers import Voxels
from warehouse.volumes.store import Payload, write
from warehouse.volumes.volume import Volume, open_store

__all__ = ["Exported", "Payload", "Volume", "Voxels", "export", "open", "open_store", "runs", "write"]
