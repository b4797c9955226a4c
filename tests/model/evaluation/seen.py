"""Scans of simulated people without voxels, and encoders of which it is known how good they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.data.prompt_fields import encode_records
from model.evaluation.observer import IdealObserver, drawn_signals
from model.evaluation.scorers import Observer, Seen
from model.physics.tissue import TISSUES
from model.simulation.protocols import VARIANTS, draw_protocol
from warehouse.prompts.record import PromptRecord

WIDTH = 24


class Clairvoyant:
    """Embeds records by what they say, so that an image with its record's vector finds it; or blindly, or at random."""

    def __init__(self, is_blind: bool = False) -> None:
        self.is_blind = is_blind

    def embed_records(self, records: list[PromptRecord]) -> NDArray[np.float32]:
        batch = encode_records(records)
        numbers = batch.numbers.log().nan_to_num(0.0).numpy()[:, :12] / 20
        contrasts = np.eye(9)[batch.categories[:, 0].numpy()] * (1 + batch.categories[:, 1:2].numpy() / 10)
        vectors = np.concatenate([contrasts, numbers], axis=1) * (0 if self.is_blind else 1)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(length, 1e-9), np.float32)


class Guesser:
    """Embeds every record at random, equal ones alike."""

    def embed_records(self, records: list[PromptRecord]) -> NDArray[np.float32]:
        rows = [np.random.default_rng(list(repr(record).encode())).standard_normal(WIDTH) for record in records]
        vectors = np.array(rows)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def drawn_records(n: int, seed: int = 0) -> list[PromptRecord]:
    """Return the acquisition fields of n random protocols, of all contrasts alike."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(n):
        contrast, is_post = list(VARIANTS)[number % len(VARIANTS)], bool(random.random() < 0.5)
        protocol = draw_protocol(contrast, random, float(random.choice([1.5, 3.0])), is_post and contrast == "T1w")
        record = PromptRecord(
            contrast,
            protocol.is_post_contrast,
            field_strength_t=protocol.field_strength_t,
            repetition_time_s=protocol.repetition_time_s,
            echo_time_s=protocol.echo_time_s,
            inversion_time_s=protocol.inversion_time_s,
            flip_angle_deg=protocol.flip_angle_deg,
        )
        found.append(record)
    return found


def random_vectors(n: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((n, WIDTH))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def scans(n: int, seed: int = 0, scans_per_person: int = 7, is_stripped: bool = False) -> Seen:
    """Return n scans by random protocols, with signals and random vectors."""
    random = np.random.default_rng(seed)
    people = [f"p{number // scans_per_person}" for number in range(n)]
    ages = {person: float(random.integers(20, 80)) for person in people}
    records = [
        replace(record, age_years=ages[person], vendor="Siemens", sex="F", voxel_size_mm=(1.0, 1.0, 1.0))
        for record, person in zip(drawn_records(n, seed + 1), people, strict=True)
    ]
    signals = drawn_signals(records, [f"{seed}/{person}" for person in people])
    return Seen(records, people, random_vectors(n, seed), np.full(n, is_stripped), signals)


def without_signals(records: list[PromptRecord], people: list[str], vectors: NDArray[np.float32]) -> Seen:
    """Return whole heads of which nothing but records and embeddings is known."""
    n = len(records)
    return Seen(records, people, vectors, np.zeros(n, bool), np.full((n, len(TISSUES)), np.nan))


def observer(n_prior: int = 700, spread: float = 1.0, noise: float = 0.01) -> Observer:
    return Observer(IdealObserver(noise, spread), drawn_records(n_prior, 99))
