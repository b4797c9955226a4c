"""Settings of an operator: `operations.yaml` of the home, over the defaults of `pipelines/operations.yaml`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, model_validator

from warehouse.documents import read_yaml, validated
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

SHIPPED = Path(__file__).parent.parent / "operations.yaml"
FORM = "pipelines/operations.yaml"  # where every key is explained


class OperationsError(TumsynError):
    """The settings of an operator are wrong."""


class Section(BaseModel):
    """A part of the settings. Defaults are in the shipped file only; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Retraining(Section):
    """When and how the schedule trains.

    Parameters
    ----------
    cron, time_zone : str
        When the schedule decides.
    least_new_participants : int
        People whom neither the champion nor the last success has learned from: so many are a reason to train.
    most_days : float
        Age of the last success, days, beyond which there is a reason to train.
    start : {"fresh", "warm"}
        Whether the synthesis model begins with random weights or with the champion, which brings its text encoder.
    train_text_encoder : bool
        Whether a fresh start trains the text encoder, too.
    text_encoder_config, synthesis_config, protocol : str
        Names of shipped documents, or paths of files.
    device : {"cpu", "cuda"} or None
        None for a GPU where there is one.
    """

    cron: str
    time_zone: str
    least_new_participants: int = Field(ge=1)
    most_days: float = Field(gt=0)
    start: Literal["fresh", "warm"]
    train_text_encoder: bool
    text_encoder_config: str = Field(min_length=1)
    synthesis_config: str = Field(min_length=1)
    protocol: str = Field(min_length=1)
    device: Literal["cpu", "cuda"] | None

    @model_validator(mode="after")
    def _is_a_time(self) -> Retraining:
        try:  # Dagster's own rule of what a schedule may be
            dg.ScheduleDefinition(job_name="any", cron_schedule=self.cron, execution_timezone=self.time_zone)
        except dg.DagsterInvalidDefinitionError as error:
            raise ValueError(f"cron {self.cron!r} in time zone {self.time_zone!r} is no time: {error}") from error
        return self


class Drift(Section):
    """When new people count as different from those that the champion has learned from.

    Parameters
    ----------
    least_people : int
        On each side; a field with fewer is not tested.
    significance : float
        False discovery rate over all fields.
    least_effect : float
        Largest difference of two distributions, in [0, 1], below which no number of people makes a drift.
    """

    least_people: int = Field(ge=2)
    significance: float = Field(gt=0, lt=0.5)
    least_effect: float = Field(ge=0, le=1)


class Promotion(Section):
    """How much worse than the champion a candidate may be and still take its place.

    Parameters
    ----------
    margin_db : float
        Of a synthesis model: mean brain PSNR, dB.
    margin_share : float
        Of a text encoder: share of images that find their contrast.
    """

    margin_db: float = Field(ge=0)
    margin_share: float = Field(ge=0, lt=1)


class Arrival(Section):
    """How new and changed data of the registered centres is noticed.

    Parameters
    ----------
    seconds_per_tick : float
        Time that one tick of the sensor may walk folders, s, of all centres together.
    full_check_minutes : float
        How often every file of a centre is listed even if its folders did not change, min.
    recipe : str
        Name of a shipped recipe, or path of a file, by which scans are harmonised where a run does not name another.
    """

    seconds_per_tick: float = Field(gt=0, le=30)
    full_check_minutes: float = Field(gt=0)
    recipe: str = Field(min_length=1)


class Freshness(Section):
    """Ages beyond which Dagster shows an asset as overdue, days; None for no limit. It warns at half the age.

    Parameters
    ----------
    catalogue_days : float or None
        Since the last publication, changed or not.
    model_days : float or None
        Since the last training.
    champion_days : float or None
        Since the champion was evaluated last.
    """

    catalogue_days: float | None = Field(ge=0.01)
    model_days: float | None = Field(ge=0.01)
    champion_days: float | None = Field(ge=0.01)


class Operations(Section):
    """Settings of an installation; one field for each section of the file."""

    retraining: Retraining
    drift: Drift
    promotion: Promotion
    arrival: Arrival
    freshness: Freshness


def operations_at_load() -> Operations:
    """Return the settings of the home that `TUMSYN_HOME` names, or the defaults where its file is wrong.

    For values that Dagster needs while it loads the code, such as the times of a schedule. With a wrong file the code
    must still load; runs and ticks read the file again and report the error.
    """
    try:
        return load_operations(Home.default())
    except TumsynError as error:
        logging.getLogger("dagster").warning("the default settings are used: %s", error)
        return default_operations()


def path_of(home: Home) -> Path:
    """Return the path of a home's own settings, whether or not there is such a file."""
    return home.root / "operations.yaml"


def load_operations(home: Home) -> Operations:
    """Return the settings of a home: its own where it has them, else the defaults, key by key.

    Raises
    ------
    OperationsError
        Naming file, key and remedy.
    """
    shipped, path = read_yaml(SHIPPED, OperationsError), path_of(home)
    given = (read_yaml(path, OperationsError) if path.exists() else None) or {}
    assert isinstance(shipped, dict)
    if not isinstance(given, Mapping):
        raise OperationsError(f"{path}: holds no sections", f"write it as {FORM}")
    merged: dict[object, object] = dict(shipped)
    for name, section in given.items():
        known = shipped.get(name)
        if section is None and known is not None:
            continue  # a heading without keys
        merged[name] = {**known, **section} if known is not None and isinstance(section, Mapping) else section
    return validated(Operations, merged, path if given else SHIPPED, FORM, OperationsError)


def default_operations() -> Operations:
    """Return the settings that ship."""
    return validated(Operations, read_yaml(SHIPPED, OperationsError), SHIPPED, FORM, OperationsError)
