"""The plan of a simulated centre: paths of its scans, its tables, and what an ingest must read from them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from model.simulation.people import SimulatedPerson

SIMULATED = "simulated phantom"
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Look:
    """The geometry of a layout's scans of one contrast: real voxel size (mm, by axis) and directions of the axes."""

    voxel_size_mm: tuple[float, float, float]
    axcodes: str
    is_oblique: bool = False


@dataclass(frozen=True)
class Place:
    """One scan: its path, its person and visit, its contrast.

    Parameters
    ----------
    path : str
        Relative to the centre's root.
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
        As an ingest must read them from the tables.
    texts : mapping
        Further files: path to content.
    """

    places: Sequence[Place]
    tables: Sequence[Table]
    participants: Sequence[ExpectedParticipant]
    sessions: Sequence[ExpectedSession] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


Layout = Callable[[Sequence[SimulatedPerson]], CenterPlan]


def expected_participant(
    identifier: str,
    person: SimulatedPerson,
    age_years: float | None = None,
    *,
    low_years: float | None = None,
    high_years: float | None = None,
) -> ExpectedParticipant:
    """Return a participant with the facts that the tables give: an age, or the bounds of a range."""
    sex = person.sex if person.is_sex_published else None
    ages = (age_years, low_years, high_years) if person.is_age_published else ()
    return ExpectedParticipant(identifier, sex, *(None if age is None else float(age) for age in ages))


def age_cell(person: SimulatedPerson, age: float | str, missing: str = "") -> str:
    """Return the cell of an age, or `missing` if the tables do not give it."""
    if not person.is_age_published:
        return missing
    return f"{age:g}" if isinstance(age, float) else str(age)


def sex_cell(person: SimulatedPerson, codes: Mapping[str, str] | None = None, missing: str = "") -> str:
    """Return the cell of a person's sex in the codes of a table, or `missing` if the tables do not give it."""
    if not person.is_sex_published:
        return missing
    return codes[person.sex] if codes else person.sex
