"""Harmonised volumes on disk: written once, verified, opened lazily, exported to BIDS derivatives."""

from warehouse.volumes.export import Exported, export
from warehouse.volumes.find import (
    open_volume as open,  # a builtin's name: `warehouse.volumes.open` reads as what it does
)
from warehouse.volumes.readers import Voxels
from warehouse.volumes.store import Payload, Volume, Written, open_store, write

__all__ = ["Exported", "Payload", "Volume", "Voxels", "Written", "export", "open", "open_store", "write"]
