"""The home of an installation: the folder that contains all of its state."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import TumsynError

LAKE_VERSION = "2"  # version of the names in parts and events; `warehouse.lake.migration` updates older ones


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
        When the path contains a backslash.
    """

    root: Path

    def __post_init__(self) -> None:
        if "\\" in str(self.root):
            what = f"the home {self.root} has a backslash in its path, which DuckDB reads as a slash"
            raise TumsynError(what, "rename or move the folder")

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
        """Parquet parts, manifests and events, written by many processes."""
        return self.root / "lake"

    @property
    def lake_version(self) -> Path:
        """File with the version of the names in the lake; see `warehouse.lake.migration`."""
        return self.lake / "version"

    @property
    def manifests(self) -> Path:
        """One JSON file per centre and stage that lists the parts in force; harmonisation has a subfolder."""
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
        """Quality pages and their pictures, per centre and recipe."""
        return self.root / "quality"

    @property
    def models(self) -> Path:
        """Checkpoints, one folder each, named by the hash of their content."""
        return self.root / "models"

    @property
    def heads(self) -> Path:
        """Maps of simulated heads, from which trainings make scans; removed, they are made again."""
        return self.root / "heads"

    @property
    def training(self) -> Path:
        """State from which killed training runs resume, one folder each."""
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
        """Return the secret salt of this home; it is created on first use.

        It salts the hashes of device serial numbers, so that these cannot link the data of two homes.
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
                os.link(temporary, path)  # fails if another process was first; its salt is then used
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return path.read_bytes()
