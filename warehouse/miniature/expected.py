"""What a miniature holds, so that an ingest can be compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExpectedImage:
    """One image that was written.

    Parameters
    ----------
    path : str
        Relative to the root, with forward slashes.
    contrast : str or None
        One of the seven contrasts; None for any other image.
    eligibility : {"eligible", "ineligible"}
    acquisition : mapping
        Columns of `core.acquisition` that are known; every other one is null.
    voxel_size_mm : tuple of 3 floats
        Along the first, second and third voxel axis.
    """

    path: str
    participant_id: str
    session_label: str | None
    contrast: str | None
    is_post_contrast: bool
    eligibility: str
    acquisition: Mapping[str, object]
    voxel_size_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    axcodes: str = "RAS"


@dataclass(frozen=True)
class ExpectedParticipant:
    """One participant whom a table lists or an image shows; ages in years."""

    participant_id: str
    sex: str | None = None
    age_years: float | None = None
    age_low_years: float | None = None
    age_high_years: float | None = None


@dataclass(frozen=True)
class ExpectedSession:
    """One visit whose own age the dataset publishes, years."""

    participant_id: str
    session_label: str
    age_years: float


@dataclass(frozen=True)
class Expected:
    """Everything that was written."""

    center_id: str
    images: tuple[ExpectedImage, ...]
    participants: tuple[ExpectedParticipant, ...]
    n_files: int
    sessions: tuple[ExpectedSession, ...] = field(default=())
