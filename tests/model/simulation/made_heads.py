"""Heads that several tests look at, made once."""

from __future__ import annotations

from functools import lru_cache

import torch

from model.physics.tissue import TISSUES
from model.simulation.head import Head, make_head
from model.simulation.people import Subject

STEP_MM = 3.0


@lru_cache(maxsize=12)
def head_of(subject: Subject) -> Head:
    return make_head(subject, STEP_MM)


def share(head: Head, *names: str) -> torch.Tensor:
    """Return the share of tissues together, (i, j, k)."""
    return head.fractions[[TISSUES.index(name) for name in names]].sum(dim=0)


def volume_ml(head: Head, *names: str) -> float:
    inside = torch.from_numpy(head.intracranial)
    return float(share(head, *names)[inside].sum()) * STEP_MM**3 / 1000
