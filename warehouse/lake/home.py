"""The home of an installation: the one folder that holds all of its state."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import TumsynError

LAKE_VERSION = "2"  # of the names in parts and events; `warehouse.lake.migration` brings older ones up to date


@dataclass(frozen=True)
class Home:
    """Paths of one installation.

    Parameters
    ----------
    root : Path
        The folder named by ``TUMSYN_HOME``, default ``data/`` under the working directory.

    Raises
    ------
    TumsynError
        When the path holds a backslash.
    """

    root: Path

    def __post_init__(self) -> None:
        if "\\" in str(self.root):
            what = f"the home {self.root} has a backslash in its path, which DuckDB takes for a slash"
            raise TumsynError(what, "name or move the folder without it")

    @classmethod
    def default(cls) -> Home:
        """Return the home that ``TUMSYN_HOME`` names."""
        return cls(Path(os.environ.get("TUMSYN_HOME") or "data").resolve())

    @property
    def centers(self) -> Path:
        """Registered centres, one YAML each."""
        return self.root / "centers"

    @property
    def lake(self) -> Path:
        """Parquet parts and manifests, written by many."""
        return self.root / "lake"

    @property
    def lake_version(self) -> Path:
        """File that says by which version's names the lake was written; see `warehouse.lake.migration`."""
        return self.lake / "version"

    @property
    def manifests(self) -> Path:
        """One JSON per centre and stage: which parts are in force; later stages have a folder of their own."""
        return self.lake / "manifests"

    @property
    def events(self) -> Path:
        """Append-only records, one folder per table."""
        return self.lake / "events"

    @property
    def warehouse(self) -> Path:
        """Published catalogues."""
        return self.root / "warehouse"

    @property
    def snapshots(self) -> Path:
        """Immutable catalogues, one file each."""
        return self.warehouse / "snapshots"

    @property
    def pointer(self) -> Path:
        """Link to the snapshot in force."""
        return self.warehouse / "catalogue.duckdb"

    @property
    def volumes(self) -> Path:
        """Harmonised volumes: one folder per recipe and image, one Zarr store per form."""
        return self.root / "volumes"

    @property
    def quality(self) -> Path:
        """Pictures and pages of quality, per centre and recipe."""
        return self.root / "quality"

    @property
    def models(self) -> Path:
        """Checkpoints, one folder each, named by the hash of its content."""
        return self.root / "models"

    @property
    def training(self) -> Path:
        """State of training runs, from which they go on when they were killed: one folder each."""
        return self.root / "training"

    @property
    def reports(self) -> Path:
        """Reports of evaluations, one folder each."""
        return self.root / "reports"

    @property
    def dagster(self) -> Path:
        """Dagster's own state."""
        return self.root / ".dagster"

    @property
    def persons(self) -> Path:
        """Optional CSV that joins participants of several centres: center_id, participant_id, person_id."""
        return self.root / "persons.csv"

    def salt(self) -> bytes:
        """Return this home's secret, making it on first use.

        It salts the hashes of device serials, so that two homes cannot be joined by them.
        """
        path = self.root / "salt"
        if not path.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            temporary = self.root / f".salt-{secrets.token_hex(8)}"
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)  # fails where another process was first: its salt stands
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return path.read_bytes()
