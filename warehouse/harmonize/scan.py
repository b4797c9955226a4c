"""What goes into the harmonisation of a visit, and the rows that come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class EligibleScan:
    """A catalogued image, as harmonisation needs it.

    Parameters
    ----------
    contrast : str
        Label as prompts write it, e.g. T1w or ceT1w.
    attributes : dict
        What the store should say of it: centre, participant, entities …
    signature : str
        Changes when the file does; spares reading it to find that nothing changed.
    """

    image_id: str
    path: Path
    contrast: str
    attributes: dict[str, Any]
    signature: str


@dataclass
class SessionResult:
    """Rows of `core.volume`, `core.transform`, `core.quality` and `core.volume_rejection`."""

    volumes: list[Row] = field(default_factory=list)
    transforms: list[Row] = field(default_factory=list)
    quality: list[Row] = field(default_factory=list)
    rejections: list[Row] = field(default_factory=list)
    n_done: int = 0  # scans that were really worked on
