"""A synthesis network of every branch, trained by as many processes as torchrun starts.

torchrun --nproc-per-node 2 -m tests.model.training.two_synthesis FOLDER trains it once, with examples. Patches are real
and simulated, of one scan or two, with and without a known signal equation, on voxels of several sizes: in a step, some
parameters get a gradient in one process only.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from model.networks.synthesis.compact import CompactConfig
from model.training import processes
from model.training.config import SynthesisTraining
from model.training.loop import Examples, fit
from model.training.synthesis import SynthesisTask
from tests.model.data.native_scans import Few, few, placed
from tests.model.data.small_fine_heads import SmallFineHeads
from warehouse.prompts.record import PromptRecord

CONFIG = SynthesisTraining(
    name="two",
    n_steps=6,
    batch_size=3,  # odd, so that the shares of two processes differ
    learning_rate=0.005,
    warm_up=2,
    save_every=4,
    validate_every=3,
    compact=CompactConfig(
        widths=(4, 6), blocks=(1, 1), condition_width=8, n_knots=6, full_width=2, latent_width=4, max_scans=2
    ),
    patch_voxels=12,
    n_validation=2,
    simulated_share=0.4,
    several_share=0.5,
    examples_every=3,
)


def scans() -> Few:
    """Return scans of which every other has thick slices, and one session states no parameters."""
    found = few()
    found.grids = {index: placed(np.eye(3), (4.0, 4.0, 8.0), (12, 14, 8)) for index in range(1, len(found.items), 2)}
    found.items = [
        replace(item, record=PromptRecord(contrast=item.record.contrast)) if item.session_id == "s1" else item
        for item in found.items
    ]
    return found


def embed(records: list[PromptRecord]) -> Tensor:
    """Embed the contrast alone."""
    labels = ("T1w", "T2w", "FLAIR", None)
    return torch.tensor([[float(one.contrast == label) for label in labels] for one in records])


def task() -> SynthesisTask:
    """Return what is trained, the same in every process."""
    real = scans()
    pairs = (real, real.pairs)
    return SynthesisTask(CONFIG, pairs, pairs, embed, 4, 4.0, heads=SmallFineHeads())  # type: ignore[arg-type]


def train(folder: Path) -> dict[str, Tensor]:
    """Train, write what is reported beside the state, and return the weights."""
    learner = task()
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / f"told_by_{os.environ.get('RANK', 'one')}.txt"

    def report(step: int, n_steps: int, split: str, measures: dict[str, float]) -> None:
        with told.open("a") as file:
            file.write(f"{step} {split} {' '.join(f'{name} {value:.3f}' for name, value in measures.items())}\n")

    examples = Examples(CONFIG.examples_every, learner.draw_examples)
    with learner.loader:
        fit(learner, CONFIG.fit_settings("cpu", "fp32"), folder, report, examples=examples)
    return {name: tensor.contiguous().clone() for name, tensor in learner.network.state_dict().items()}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with processes.joined("cpu"):
        place = os.environ["RANK"]
        save_file(train(folder / "state"), folder / f"weights_{place}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
