"""What an evaluation of a text encoder does, as named parameters with one hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from model.evaluation.protocol import Part, Split

VERSION: Literal[5] = 5  # raised when a measure gives another figure for the same embeddings


class RetrievalProtocol(Part):
    """Parameters of an evaluation of a text encoder.

    `splits`: whose images of the catalogue, at most `max_images` of each, drawn by `seed`. `n_candidates`: prompts that
    an image chooses from; 10 as in the paper. `n_people`, `scans_per_person`: simulated people whom training never
    draws, scanned by protocols drawn at random; 0 people measure nothing. `people`: test people, looked at once, or
    those of the validation, on whom settings are chosen. `n_probe_people`: training people on whose scans the probes
    are fitted. `n_prior`: protocols by which the ideal observer knows the contrasts. `n_swept`: prompts of which one
    number is swept. `gate_echo_time`: whether a model must tell echo times within a contrast.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    splits: tuple[Split, ...] = ("val", "test_internal", "test_external", "acceptance")
    max_images: int = Field(default=1000, ge=1)
    n_candidates: tuple[int, ...] = (10, 100, 1000)
    n_people: int = Field(default=100, ge=0)
    people: Literal["test", "validation"] = "test"
    scans_per_person: int = Field(default=20, ge=1)
    n_probe_people: int = Field(default=100, ge=0)
    n_prior: int = Field(default=4200, ge=7)
    n_swept: int = Field(default=28, ge=0)
    gate_echo_time: bool = True
    seed: int = Field(default=0, ge=0)
    version: Literal[5] = VERSION

    @property
    def hash(self) -> str:
        """Return the identity of the parameters, 16 hexadecimal digits; the name is none of them."""
        content = self.model_dump(exclude={"name"}, mode="json")
        return hashlib.sha256(json.dumps({"retrieval": content}, sort_keys=True).encode()).hexdigest()[:16]


# A head takes two seconds of a core to make, so that a demonstration has few, and nobody's interval; a network that is
# trained for a minute hardly tells more than contrasts.
SMALL = RetrievalProtocol(name="quick", n_people=0, n_probe_people=0, n_prior=2100, n_swept=7, gate_echo_time=False)
PRESETS = {
    "standard": RetrievalProtocol(name="standard"),
    "validation": RetrievalProtocol(name="validation", splits=("val",), people="validation", gate_echo_time=False),
    # Of an encoder that was trained on simulated scans alone, every real person is a test person.
    "everyone": SMALL.model_copy(
        update={"name": "everyone", "splits": ("train", "val", "test_internal", "test_external"), "n_prior": 4200}
    ),
    "demo": SMALL.model_copy(update={"name": "demo", "n_people": 6, "scans_per_person": 14}),
    "quick": SMALL,
}


def retrieval_protocol(name_or_path: str) -> RetrievalProtocol:
    """Return the protocol that goes with a protocol of synthesis models; standard where its name is the user's own."""
    return PRESETS.get(Path(name_or_path).stem, PRESETS["standard"])
