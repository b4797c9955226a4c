"""The description of a miniature: who, which scans, which tables, which other files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from warehouse.miniature.expected import ExpectedParticipant, ExpectedSession

Facts = Mapping[str, object]
Voxel = tuple[float, float, float]


@dataclass(frozen=True)
class Scan:
    """One image.

    Parameters
    ----------
    path : str
        Relative to the root.
    contrast : str or None
        None for an image of none of the seven contrasts, which is never eligible.
    is_eligible : bool
        False for a copy, a derivative or a part of an image of a contrast.
    sidecar : mapping or None
        Columns of `core.acquisition` that a JSON beside the image says; None where the dataset has no sidecars.
    published : mapping
        Columns that only the published protocol says.
    has_gradients : bool
        Whether .bval and .bvec lie beside it.
    """

    path: str
    participant_id: str
    session_label: str | None = None
    contrast: str | None = None
    is_eligible: bool = True
    is_post_contrast: bool = False
    voxel_size_mm: Voxel = (1.0, 1.0, 1.0)
    n_volumes: int = 1
    sidecar: Facts | None = None
    published: Facts = field(default_factory=dict)
    has_gradients: bool = False

    @property
    def eligibility(self) -> str:
        """Return the word of `core.image`."""
        return "eligible" if self.contrast is not None and self.is_eligible else "ineligible"

    @property
    def acquisition(self) -> dict[str, object]:
        """Return what is known: the sidecar's word goes before the protocol's."""
        return {**self.published, **(self.sidecar or {})}

    def under(self, folder: str) -> Scan:
        """Return the same scan below a folder."""
        return replace(self, path=f"{folder}/{self.path}")


@dataclass(frozen=True)
class Table:
    """A table as the dataset publishes it: same columns, separator, line ends and quoting."""

    path: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    separator: str = ","
    line_end: str = "\n"
    is_quoted: bool = False
    has_byte_order_mark: bool = False


@dataclass(frozen=True)
class Recipe:
    """A whole miniature."""

    center_id: str
    participants: tuple[ExpectedParticipant, ...]
    scans: tuple[Scan, ...]
    tables: tuple[Table, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    sessions: tuple[ExpectedSession, ...] = ()
