"""What an evaluation does, as named parameters with one hash: figures of two protocols are never compared.

The tasks are ours. The paper reports eight on its internal test sets as bar plots and publishes neither their values
nor its protocol, so no figure of this project stands beside one of the paper's.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from model.data.folds import CROSS_VALIDATION
from model.evaluation.metrics import NMI_BINS, PERCENTILES, RIM_MM
from warehouse.documents import read_yaml, shipped_or_own, validated
from warehouse.errors import ModelError

SHIPPED = Path(__file__).parent / "protocols"
MOST_SOURCES = 2  # of a task: an intensity map of three would be nearly empty
TASK = r"^[A-Za-z0-9]+(\+[A-Za-z0-9]+)*_to_[A-Za-z0-9]+$"

TaskName = Annotated[str, StringConstraints(pattern=TASK)]
Split = Literal["train", "val", "test_internal", "test_external", "acceptance", "cross_validation"]
Form = Literal["native", "session"]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """Base of every part of a protocol: unknown keys are errors, and nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gates(Part):
    """What a model must reach to be used; both are measured in form native, on one population.

    `better_than_identity_db`: mean brain PSNR above the source's own, dB. `steering_mae`: how much the brain changes
    when the prompt asks for another contrast, as a part of the target's range.
    """

    better_than_identity_db: float = 0.0
    steering_mae: float = Field(default=0.01, gt=0, lt=1)


class Measures(Part):
    """What the figures are: fixed by the code, repeated in the file so that its reader and its hash know them.

    `version`: of all definitions together, raised when one gives another figure for the same volumes. `mask`: whose
    brain. `scale`: of prediction and truth, not compressed (`warehouse.imaging.brain_scale`). `range_percentiles`: of
    the real target in the mask; the distance between them is 1 in every error. `nmi_bins`: along each axis of the joint
    histogram. `rim_mm`: depth of the rim of the mask.
    """

    version: Literal[3] = 3
    mask: Literal["brain of the real target"] = "brain of the real target"
    scale: Literal["spreads from the brain's median"] = "spreads from the brain's median"
    range_percentiles: tuple[float, float] = PERCENTILES
    nmi_bins: int = NMI_BINS
    rim_mm: float = RIM_MM

    @model_validator(mode="after")
    def _are_those_of_the_code(self) -> Measures:
        wanted = {"range_percentiles": PERCENTILES, "nmi_bins": NMI_BINS, "rim_mm": RIM_MM}
        for name, value in wanted.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} is {value} in this version; another value is another measure")
        return self


class Fidelity(Part):
    """On whom contrast fidelity is measured: digital people, whose scans are computed from their tissues.

    `n_people`: 0 measures nothing. `voxel_mm`: of their isotropic scans. `spread`: by how much T1, T2 and proton
    density vary around the textbook's. `seed`: draws the people.
    """

    n_people: int = Field(default=12, ge=0)
    voxel_mm: float = Field(default=1.0, gt=0)
    spread: float = Field(default=0.15, ge=0, le=0.5)
    seed: int = Field(default=0, ge=0)


class EvaluationProtocol(Part):
    """Parameters of an evaluation.

    `recipe`: which harmonised volumes. `tasks`: contrasts of the sources, joined by +, and contrast of the target.
    `splits`: whose images; `train` shows whether a model fits what it saw, and is never gated. `cross_validation`
    stands alone: people of the fold that the model's training held out, whatever their split; no gate counts them.
    `forms`: native is the path of a user, from files to the target's own grid; session is the harmonised grid. People
    of `acceptance`, who exist for the gates, are tested in form native only.

    Pairs are drawn by `seed`, real and simulated people apart, people before second scans. `max_pairs_per_task`: in
    form session, of each split and population. `max_native_pairs`: in form native, by split, of all tasks with the same
    number of sources together; a split that is not named has none. `max_rescan_pairs`: second scans of a person, of
    each population.

    `map_bins`, `joint_map_bins`: bins of an intensity map of one source, and along each of two. `max_map_pairs`:
    training pairs that it is fitted on.
    `max_steering_pairs`: of the gated split, which are asked for another contrast too. `max_behaviour_pairs`: of these,
    on which identity, irrelevant fields and tiles are tested. `fidelity`: contrast fidelity on digital people.
    `n_resamples`, `confidence`: of bootstrap intervals. `gates`: what must be reached. `measures`: definitions.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    recipe: str
    tasks: tuple[TaskName, ...] = Field(min_length=1)
    splits: tuple[Split, ...] = Field(default=("test_internal", "test_external"), min_length=1)
    forms: tuple[Form, ...] = Field(default=("native", "session"), min_length=1)
    max_pairs_per_task: int = Field(default=200, ge=1)
    max_native_pairs: dict[Split, Count] = {"test_internal": 200, "test_external": 200}
    max_rescan_pairs: int = Field(default=20, ge=0)
    map_bins: int = Field(default=128, ge=2)
    joint_map_bins: int = Field(default=40, ge=2)
    max_map_pairs: int = Field(default=100, ge=1)
    max_steering_pairs: int = Field(default=20, ge=1)
    max_behaviour_pairs: int = Field(default=10, ge=0)
    fidelity: Fidelity = Fidelity()
    n_resamples: int = Field(default=10_000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = Field(default=0, ge=0)
    gates: Gates = Gates()
    measures: Measures = Measures()

    @field_validator("tasks")
    @classmethod
    def _one_or_two_contrasts(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for task in tasks:
            sources, _ = contrasts_of(task)
            if len(set(sources)) < len(sources) or len(sources) > MOST_SOURCES:
                raise ValueError(f"{task} names a source twice, or more than {MOST_SOURCES}")
        return tasks

    @field_validator("splits")
    @classmethod
    def _folds_stand_alone(cls, splits: tuple[Split, ...]) -> tuple[Split, ...]:
        if CROSS_VALIDATION in splits and len(splits) > 1:
            raise ValueError(f"people of {CROSS_VALIDATION} are of other splits too: name it alone")
        return splits

    @property
    def is_cross_validation(self) -> bool:
        """Whether people of a fold are tested."""
        return CROSS_VALIDATION in self.splits

    @property
    def hash(self) -> str:
        """Return the identity of the parameters, 16 hexadecimal digits; the name is none of them."""
        content = self.model_dump(exclude={"name"}, mode="json")
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def contrasts_of(task: str) -> tuple[tuple[str, ...], str]:
    """Return the contrasts of a task's sources, and that of its target.

    Examples
    --------
    >>> contrasts_of("T1w+T2w_to_FLAIR")
    (('T1w', 'T2w'), 'FLAIR')
    """
    sources, _, target = task.partition("_to_")
    return tuple(sources.split("+")), target


def load_protocol(name_or_path: str) -> EvaluationProtocol:
    """Read a shipped protocol by its name, or the user's own by its path.

    Raises
    ------
    ModelError
        Naming file, key and remedy.
    """
    path = shipped_or_own("protocol", name_or_path, SHIPPED, error=ModelError)
    return validated(EvaluationProtocol, read_yaml(path, ModelError), path, "protocols/standard.yaml", ModelError)
