"""A task whose loss compares every row with every other, trained by as many processes as torchrun starts.

torchrun --nproc-per-node 2 -m tests.model.training.two_processes FOLDER trains twice: in one go, and with a stop.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model.training import processes
from model.training.loop import FitSettings, fit
from warehouse.errors import ModelError

SETTINGS = FitSettings(n_steps=8, learning_rate=0.02, warm_up=2, save_every=3, validate_every=4, report_every=1, seed=3)
N = 5  # odd, so that the shares of two processes differ
STOP = 5


class Pairs(nn.Module):
    """A tower of volumes with batch normalisation, and vectors that they are matched with."""

    def __init__(self) -> None:
        super().__init__()
        # No biases: the loss does not depend on them, and AdamW would follow the rounding error of their gradients.
        first, second = nn.Conv3d(1, 4, 3, bias=False), nn.Conv3d(4, 4, 2, bias=False)
        layers = (first, nn.BatchNorm3d(4), nn.ReLU(), second, nn.BatchNorm3d(4), nn.Flatten())
        self.image = nn.Sequential(*layers, nn.Linear(4 * 27, 6))
        self.text = nn.Linear(3, 6, bias=False)


class Task:
    """Match volumes with vectors."""

    kind = "text_encoder"

    def __init__(self, stop: int | None = None) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network: nn.Module = Pairs()
        self.stop = stop

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        if step == self.stop:
            raise KeyboardInterrupt
        return self.compare(step)

    def validate(self) -> dict[str, float]:
        return self.compare(1000)[1]

    def compare(self, step: int) -> tuple[Tensor, dict[str, float]]:
        random = torch.Generator().manual_seed(step)
        texts = torch.randn(N, 3, generator=random)
        volumes = torch.randn(N, 1, 6, 6, 6, generator=random) + texts[:, :1, None, None, None]
        images = processes.gather_rows(self.network.image(volumes[processes.own_rows(N)]))  # type: ignore[operator]
        logits = nn.functional.normalize(images, dim=1) @ self.network.text(texts).T  # type: ignore[operator]
        loss = nn.functional.cross_entropy(logits, torch.arange(N))
        return loss, {"loss": float(loss.detach())}


def train(folder: Path, stop: int | None = None, settings: FitSettings = SETTINGS) -> dict[str, Tensor]:
    """Train, write what is reported beside the state, and return the weights."""
    task = Task(stop)
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / f"told_by_{os.environ.get('RANK', 'one')}.txt"

    def report(step: int, n_steps: int, split: str, measures: dict[str, float]) -> None:
        with told.open("a") as file:
            file.write(f"{step} {split} {measures['loss']:.4f}\n")

    fit(task, settings, folder, report)
    return {name: tensor.contiguous().clone() for name, tensor in task.network.state_dict().items()}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with processes.joined("cpu"):
        place = os.environ["RANK"]
        save_file(train(folder / "straight"), folder / f"straight_{place}.safetensors")
        try:
            train(folder / "stopped", STOP)
        except KeyboardInterrupt:
            save_file(train(folder / "stopped"), folder / f"resumed_{place}.safetensors")
        try:
            train(folder / f"of_{place}" / "seed", settings=replace(SETTINGS, seed=int(place)))
        except ModelError as error:
            (folder / f"refused_{place}.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
