"""What a layout says of a simulated centre: which scans of whom lie where, and what its tables tell."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from model.simulation.people import SimulatedPerson
from warehouse.centers.registry import Center

Voxel = tuple[float, float, float]
SIMULATED = "simulated phantom"


@dataclass(frozen=True)
class Look:
    """How a layout's scans of one contrast are stored: real voxel size (mm, by axis) and direction of the axes."""

    voxel_size_mm: Voxel
    axcodes: str
    is_oblique: bool = False


@dataclass(frozen=True)
class Place:
    """One scan: whose, where, of what.

    Parameters
    ----------
    path : str
        Relative to the centre's root.
    person : SimulatedPerson
    visit : int
        From 0.
    participant_id, session_label : str
        As an ingest reads them from the path.
    contrast : str
        One of the seven.
    defect : str, optional
        Of `model.simulation.defects.KINDS`.
    """

    path: str
    person: SimulatedPerson
    visit: int
    participant_id: str
    session_label: str | None
    contrast: str
    look: Look
    is_post_contrast: bool = False
    defect: str | None = None

    @property
    def label(self) -> str:
        """Return the contrast as prompts write it."""
        return f"ce{self.contrast}" if self.is_post_contrast else self.contrast


@dataclass(frozen=True)
class Table:
    """A table as a dataset publishes it: columns, separator, line ends, quoting and byte-order mark."""

    path: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    separator: str = ","
    line_end: str = "\n"
    is_quoted: bool = False
    has_byte_order_mark: bool = False


def table_bytes(table: Table) -> bytes:
    """Return the content of a table's file."""
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=table.separator,
        lineterminator=table.line_end,
        quoting=csv.QUOTE_ALL if table.is_quoted else csv.QUOTE_MINIMAL,
    )
    writer.writerows([table.columns, *table.rows])
    return text.getvalue().encode("utf-8-sig" if table.has_byte_order_mark else "utf-8")


@dataclass(frozen=True)
class ExpectedParticipant:
    """One participant as an ingest must read the tables: sex, and age in years or a range of it."""

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
class CenterPlan:
    """A simulated centre before anything is written.

    Parameters
    ----------
    participants, sessions
        What the tables tell, as an ingest must read it.
    """

    places: tuple[Place, ...]
    tables: tuple[Table, ...]
    participants: tuple[ExpectedParticipant, ...]
    sessions: tuple[ExpectedSession, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


Layout = Callable[[Sequence[SimulatedPerson]], CenterPlan]


def acquired(places: Iterable[Place]) -> tuple[Place, ...]:
    """Return the places whose contrast the person did not miss."""
    return tuple(place for place in places if place.label not in place.person.missing)


def participant(
    identifier: str, person: SimulatedPerson, age_years: float | None = None, **bounds: float
) -> ExpectedParticipant:
    """Return what a table tells of a person, less what is withheld; `bounds` where a range is published."""
    sex = person.sex if person.is_sex_told else None
    if not person.is_age_told:
        return ExpectedParticipant(identifier, sex)
    return ExpectedParticipant(identifier, sex, age_years, bounds.get("low"), bounds.get("high"))


def cell(value: object, is_told: bool = True, missing: str = "") -> str:
    """Return a cell, or what the table writes where a fact is withheld."""
    return f"{value:g}" if isinstance(value, float) and is_told else str(value) if is_told else missing


def simulated(
    center: Center,
    *,
    contrasts: Sequence[str] = (),
    companions: Sequence[dict[str, str]] = (),
    persons: Mapping[str, str] | None = None,
) -> Center:
    """Return the definition of the simulated centre that has a real one's layout.

    The real centre's protocols are left out: each scan says its own. Its title says that it is simulated.

    Parameters
    ----------
    contrasts : sequence of str
        Offered beyond those of the real centre.
    companions : sequence of dict
        Patterns that go before those of the layout.
    persons : mapping
        Participant to person, for the travelling subject.
    """
    document = center.model_dump(mode="json", exclude_defaults=True)
    layout = document["layout"]
    layout.pop("protocols", None)
    if companions:
        layout["companions"] = [*companions, *layout.get("companions", [])]
    if persons:
        layout["persons"] = dict(persons)
    kept = {name: document[name] for name in ("city", "country", "latitude_deg", "longitude_deg") if name in document}
    return Center.model_validate(
        kept
        | {
            "center_id": f"phantom_{center.center_id}",
            "title": f"{center.title} (simulated)",
            "role": center.role,
            "is_simulated": True,
            "license": "as this software: made by it, of no person",
            "access": "tumsyn phantom",
            "contrasts": [*center.contrasts, *contrasts],
            "layout": layout,
        }
    )
