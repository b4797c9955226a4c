"""Compare networks and text encoders on the same people and patches, each with the same number of operations.

    python -m benchmarks.peers train --home HOME --folder F --peer NAME [--seed 0] [--petaflop 0.15]
                                     [--config weights] [--text-encoder MODEL] [--set KEY=JSON] [--volumes N]
    python -m benchmarks.peers table --folder F

`train` makes a peer from nothing, or goes on where it was stopped; nothing is put into the home. All peers learn from
the same patches of one scan each, which are those of the configuration, in the same order. The budget is operations:
three times the forward pass of the network, as `model.networks.synthesis.cost` counts it, so that a cheaper network
makes more steps; warm-up and cosine end with them. Rates are those of the configuration, and of the configuration
`reference` for the paper's network. Where TR and TE of real scans are unknown, signal equations are learned from
simulated patches alone: the configuration then needs a share of them.

At ten points of the budget, patches of validation people are measured. At the end, their whole brains are, each against
the real scan on its own voxels, for every direction among T1w, T2w and FLAIR, beside the map of intensities that was
fitted on that very volume. F/NAME-SEED/result.json holds all figures, by person.

`table` prints them as Markdown (`benchmarks.peer_table`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.fitting import changed
from benchmarks.peer_networks import (
    ConditionedUnet,
    InWindows,
    LearningTextEncoder,
    has_monai,
    patch_operations,
    untrained,
)
from benchmarks.peer_table import PEERS, RESULT, table
from benchmarks.whole_volumes import synthesizer_of, whole
from model.data.catalogue import CatalogueImages
from model.data.natives import NativeScans
from model.networks.checkpoint import WEIGHTS, content_of, read_model
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.synthesis import SynthesisNetwork, build
from model.networks.synthesis.windows import UNBOUNDED
from model.networks.weights import resolve
from model.training.config import SynthesisTraining, load_config, run_id
from model.training.heads import heads_of
from model.training.loop import fit
from model.training.synthesis import Pairs, SynthesisTask
from model.training.trained import training_code
from warehouse.errors import ModelError
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.provenance import git_commit

ROOT = Path(__file__).resolve().parent.parent
CONTRASTS = ("T1w", "T2w", "FLAIR")
TRAINED_CENTER, TESTED_CENTER = "brats2021", "open_ms"  # of `brats_only`
N_POINTS = 10  # of the budget at which validation people are measured
N_SAVED = 40  # states of a training: a killed one loses a fortieth at most


def main() -> None:
    """Train a peer, or print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    trained = commands.add_parser("train", help="train a peer and measure it, or go on")
    trained.add_argument("--home", type=Path, required=True)
    trained.add_argument("--folder", type=Path, required=True, help="where states and results lie, by peer and seed")
    trained.add_argument("--peer", choices=PEERS, required=True)
    trained.add_argument("--seed", type=int, default=0)
    trained.add_argument("--petaflop", type=float, default=0.15, help="budget of the training")
    trained.add_argument("--config", default="weights", help="recipe of all peers: a shipped name, or a YAML file")
    trained.add_argument("--text-encoder", help="model of stage 1; default: the home's champion")
    trained.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="another value of a setting")
    trained.add_argument("--volumes", type=int, help="whole volumes at the end, at most; for rehearsals")
    trained.set_defaults(run=train)
    shown = commands.add_parser("table", help="print what is there")
    shown.add_argument("--folder", type=Path, required=True)
    shown.set_defaults(run=lambda given: print(table(given.folder, has_monai=has_monai())))
    given = parser.parse_args()
    try:
        given.run(given)
    except ModelError as error:
        sys.exit(str(error))


def train(given: argparse.Namespace) -> None:
    """Train a peer and write its result."""
    folder = given.folder / f"{given.peer}-{given.seed}"
    if (folder / RESULT).exists():
        print(f"{folder / RESULT} is there already")
        return
    home = Home(given.home.resolve())
    before, tensors = read_model(resolve(home, given.text_encoder, "text_encoder"))
    encoder = text_encoder_of(given.peer, before, tensors, given.seed)
    config = changed(peer_config(given.peer, load_config("synthesis", given.config), given.seed), given.set, None)
    step_flop = config.batch_size * operations(given.peer, config, encoder.width)
    config = fitted_to(config, int(given.petaflop * 1e15 // step_flop))
    training = CatalogueImages.open(home, config.recipe, ["train"], centers=config.centers)
    validation = CatalogueImages.open(home, config.recipe, ["val"])
    heads, _ = heads_of(home, config, training, KeptHeads(config.n_heads))
    task = PeerTask(
        config,
        (NativeScans(training.items), training.pairs),
        (NativeScans(validation.items), directions(validation)),
        encoder.embed,
        encoder.width,
        training.grid_mm,
        heads=heads,
        fits_in_memory=training.fits_in_memory,
        begun=unet(encoder.width, config.seed) if given.peer == "basic_unet" else None,
    )
    if isinstance(encoder, LearningTextEncoder):
        encoder.join(task.network)
    facts = {"peer": given.peer, "data_id": training.data_id, "training_code": training_code("synthesis")}
    facts |= {"text_encoder": encoder.model_id, "n_threads": torch.get_num_threads()}
    refuse_another(folder, run_id("synthesis", config, facts))
    print(f"{given.peer}: {config.n_steps} steps of {step_flop / 1e12:.3f} TFLOP", flush=True)
    curve, clock = Curve(step_flop), CpuClock(folder / "cpu_seconds.json")
    with task.loader:
        fitted = fit(task, config.fit_settings("cpu", "fp32"), folder, curve, clock.keep)
        cpu_seconds = clock.seconds()
    _, files = content_of("synthesis", task.network.state_dict(), {})
    atomic.write_bytes(folder / WEIGHTS, files[WEIGHTS])
    measured = task.network if task.network.reach < UNBOUNDED else InWindows(task.network, config.patch_voxels)
    volumes = partial(whole_rows, partial(whole, synthesizer_of(measured, encoder, training)), most=given.volumes)
    rows = volumes(validation)
    if given.peer == "brats_only":
        rows += volumes(CatalogueImages.open(home, config.recipe, ["train"], centers=[TESTED_CENTER]))
    result = {
        **facts,
        "seed": given.seed,
        "steps": fitted.n_steps,
        "petaflop": fitted.n_steps * step_flop / 1e15,
        "n_parameters": sum(one.numel() for one in task.network.parameters() if one.requires_grad),
        "cpu_seconds": cpu_seconds,
        "wall_seconds": fitted.seconds,
        "curve": curve.points,
        "volumes": rows,
        "weights_sha256": sha256(files[WEIGHTS]).hexdigest(),
        "config": config.model_dump(mode="json"),
        "versions": versions(given.peer),
        "commit": git_commit(ROOT),
    }
    atomic.write_text(folder / RESULT, json.dumps(result, indent=1))
    print(folder / RESULT)


def text_encoder_of(
    peer: str, config: dict[str, Any], tensors: dict[str, torch.Tensor], seed: int
) -> FrozenTextEncoder:
    """Return the text encoder of a peer: that of stage 1, frozen or learning on, or one of random weights."""
    if peer == "untrained_text":
        return untrained(config, seed)
    kind = LearningTextEncoder if peer == "joint_text" else FrozenTextEncoder
    return kind.from_checkpoint(config, tensors)


def peer_config(peer: str, config: SynthesisTraining, seed: int) -> SynthesisTraining:
    """Return the configuration of a peer.

    Every patch has one scan: neither the paper's network nor BasicUNet takes more, and what is drawn at random depends
    on how many a network takes.
    """
    values = config.model_dump() | {"seed": seed, "several_share": 0.0}
    values["compact"] |= {"max_scans": 1}
    if peer == "no_physics":
        values["compact"] |= {"has_equations": False}
    if peer == "brats_only":
        values["centers"] = [TRAINED_CENTER]
    if peer == "reference":
        own = load_config("synthesis", "reference").model_dump()
        values |= {name: own[name] for name in ("architecture", "reference", "learning_rate", "kernel_rate")}
    return SynthesisTraining.model_validate(values)


def operations(peer: str, config: SynthesisTraining, embedding_width: int) -> int:
    """Return the operations of learning from one patch."""
    with torch.device("meta"):
        network = ConditionedUnet(embedding_width) if peer == "basic_unet" else build(config.sizes(embedding_width))
    return patch_operations(network, embedding_width, config.patch_voxels)


def unet(embedding_width: int, seed: int) -> SynthesisNetwork:
    """Return BasicUNet before its first step; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ConditionedUnet(embedding_width)


def fitted_to(config: SynthesisTraining, n_steps: int) -> SynthesisTraining:
    """Return the configuration with so many steps, at least one, and all that is counted in steps fitted to them."""
    n_steps = max(1, n_steps)
    fitted = {
        "n_steps": n_steps,
        "warm_up": max(1, round(config.warm_up * n_steps / config.n_steps)),
        "save_every": max(1, n_steps // N_SAVED),
        "validate_every": -(-n_steps // N_POINTS),
    }
    return SynthesisTraining.model_validate(config.model_dump() | fitted)


def directions(images: CatalogueImages) -> list[tuple[int, int]]:
    """Return the pairs of different contrasts among `CONTRASTS`."""
    label = [item.contrast_label for item in images.items]
    return [
        (one, other)
        for one, other in images.pairs
        if label[one] != label[other] and {label[one], label[other]} <= set(CONTRASTS)
    ]


class PeerTask(SynthesisTask):
    """A training that is validated by person: on one patch of each direction, the same for every peer."""

    def __init__(self, config: SynthesisTraining, training: Any, validation: Any, *others: Any, **named: Any) -> None:
        super().__init__(config, training, validation, *others, **named)
        scans, pairs = validation
        self.pairs_of: dict[str, list[tuple[int, int]]] = {}
        for pair in pairs:
            self.pairs_of.setdefault(scans.items[pair[0]].person_id, []).append(pair)

    def validate(self) -> dict[str, float]:
        """Return each measure of each person, as `measure person`."""
        found: dict[str, float] = {}
        for person, pairs in sorted(self.pairs_of.items()):
            self.validation_pairs = pairs
            measures = super().validate()
            found |= {f"{name} {person}": value for name, value in measures.items()}
        return found


@dataclass
class Curve:
    """Takes what a training reports: figures of validation people over steps and operations.

    Parameters
    ----------
    step_flop : float
        Operations of a step.
    """

    step_flop: float
    points: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, step: int, n_steps: int, split: str, measures: dict[str, float]) -> None:
        """Keep a validation and print its means."""
        if split != "val":
            return
        people: dict[str, dict[str, float]] = {}
        for name, value in measures.items():
            measure, person = name.split(" ", 1)
            people.setdefault(person, {})[measure] = value
        self.points.append({"step": step, "petaflop": step * self.step_flop / 1e15, "people": people})
        psnr_db, ssim = (sum(one[name] for one in people.values()) / len(people) for name in ("psnr_db", "ssim"))
        print(f"step {step} of {n_steps}: {psnr_db:.2f} dB, SSIM {ssim:.3f}", flush=True)


class CpuClock:
    """CPU seconds of a training over all its parts, with steps that were lost when it was killed.

    Parameters
    ----------
    file : Path
        Where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.began = file, _cpu_seconds()
        self.before: float = json.loads(file.read_text()) if file.exists() else 0.0

    def seconds(self) -> float:
        """Return them up to now."""
        return self.before + _cpu_seconds() - self.began

    def keep(self, done: int, total: int, loss: float) -> None:
        """Keep them, after each step."""
        atomic.write_text(self.file, json.dumps(self.seconds()))


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and those that read patches for it."""
    process = psutil.Process()
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


class KeptHeads:
    """Refuses heads that are not in the home yet: they would be made there.

    Parameters
    ----------
    n_simulated : int
        Which come first; then the number of all heads is known.
    """

    def __init__(self, n_simulated: int) -> None:
        self.n_wanted = n_simulated

    def __call__(self, done: int, total: int) -> None:
        """Take what `heads_of` tells before it makes any."""
        if done < self.n_wanted:
            remedy = "make them by `tumsyn train synthesis` with this configuration, or set simulated_share=0"
            raise ModelError(f"the home has {done} of {self.n_wanted} heads", remedy)
        self.n_wanted = total


def refuse_another(folder: Path, identity: str) -> None:
    """Raise where a folder holds the state of a training that differs in configuration, data, code or threads."""
    file = folder / "run_id"
    if file.exists() and file.read_text() != identity:
        raise ModelError(f"{folder} holds another training", "give another --folder, or remove this one")
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(file, identity)


def whole_rows(measured: Any, images: CatalogueImages, most: int | None) -> list[dict[str, Any]]:
    """Return the figures of the whole volumes of these images, a row each."""
    scans, rows = NativeScans(images.items), []
    pairs: Pairs = directions(images)[:most]
    for number, pair in enumerate(pairs, 1):
        source, target = (images.items[index] for index in pair)
        direction = f"{source.contrast_label} → {target.contrast_label}"
        of = {"person": source.person_id, "center": source.center_id, "split": source.split}
        of |= {"source": source.image_id, "target": target.image_id, "direction": direction}
        rows.append(of | asdict(measured(scans, pair)))
        found = f"{rows[-1]['psnr_db']:.1f} dB, SSIM {rows[-1]['ssim']:.2f}"
        print(f"volume {number} of {len(pairs)}: {source.person_id}, {direction}: {found}", flush=True)
    return rows


def versions(peer: str) -> dict[str, str]:
    """Return the versions of what decides the figures."""
    packages: Sequence[str] = ("torch", "numpy", "monai") if peer == "basic_unet" else ("torch", "numpy")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return {"python": platform.python_version(), "machine": machine, **{name: version(name) for name in packages}}


if __name__ == "__main__":
    main()
