"""A training that takes milliseconds, and can be started as a process of its own to be killed.

python -m tests.model.training.toy FOLDER STEP kills itself when it reports that step.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.training.loop import FitSettings, Fitted, Report, fit

SETTINGS = FitSettings(
    n_steps=30, learning_rate=0.01, warm_up=5, save_every=7, validate_every=10, report_every=1, seed=3
)


class Toy:
    """A line is fitted; dropout makes each step draw at random."""

    kind = "synthesis"

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = nn.Linear(4, 8), nn.SiLU(), nn.Dropout(0.2), nn.Linear(8, 1)
            self.network: nn.Module = nn.Sequential(*layers)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        draws = np.random.default_rng((SETTINGS.seed, step))
        inputs = torch.from_numpy(draws.standard_normal((16, 4)).astype(np.float32))
        loss = (self.network(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        return loss, {"squared": float(loss.detach())}

    def validate(self) -> dict[str, float]:
        inputs = torch.eye(4)
        return {"error": float((self.network(inputs) - 1).abs().mean())}


def train(folder: Path, report: Report, settings: FitSettings = SETTINGS) -> tuple[Fitted, dict[str, Tensor]]:
    toy = Toy()
    fitted = fit(toy, settings, folder, report)
    return fitted, {name: tensor.clone() for name, tensor in toy.network.state_dict().items()}


if __name__ == "__main__":
    last = int(sys.argv[2])

    def die(step: int, *_: object) -> None:
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    train(Path(sys.argv[1]), die)
