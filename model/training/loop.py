"""How every network learns: AdamW or Muon, warm-up, cosine, clipping, moving average; it may be killed at any time.

A batch is a function of seed and step alone, and so is what a network draws at random. A training that was killed and
started again therefore makes, on a CPU with the same number of threads, the very same weights. Several processes may
share the rows of a batch (`model.training.processes`); the first one alone saves, reports and validates.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from model.networks.device import in_fast_layout
from model.training import processes
from model.training.examples import path_of
from model.training.muon import Muon
from model.training.state import Record, load_state, save_state
from warehouse.errors import ModelError
from warehouse.lake import atomic

Report = Callable[[int, int, str, dict[str, float]], None]
N_KERNEL_DIMENSIONS = 5  # out, in, i, j, k
Progress = Callable[[int, int, float], None]  # steps done, steps in all, loss of the last one


class TrainingTask(Protocol):
    """A network with its loss and its validation.

    `kind` is text_encoder or synthesis; `network` has the parameters that are trained.
    """

    kind: str

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of the batch of this step, and measures to report.

        Where several processes train, each runs `processes.own_rows` of the batch through the network and computes the
        whole loss of what `processes.gather_rows` returns; a task that does not share its rows is computed by each.
        """

    def validate(self) -> dict[str, float]:
        """Return measures on images that are not trained on, if there are any; called without gradients."""


@dataclass(frozen=True)
class FitSettings:
    """Settings of the optimisation: steps, rates, averaging, saving.

    Parameters
    ----------
    n_steps : int
    learning_rate : float
        Highest rate of AdamW, after the warm-up.
    kernel_rate : float
        Highest rate of Muon, by which the kernels of convolutions are then learned; 0: by AdamW, as all others.
    warm_up : int
        Steps over which the rates rise from 0.
    clip : float
        Largest norm of a gradient.
    weight_decay : float
        Of matrices and kernels; biases have none.
    average_decay : float
        Of the moving average of the weights, which is what is kept; 0 for none. The statistics of batch normalisation
        are averaged with them, so that they are those of the averaged weights.
    seed : int
        Of every random draw.
    save_every, validate_every, report_every : int
        Steps between states, validations and reports.
    device : str
        cpu or cuda.
    precision : {"fp32", "bf16"}
        Of convolutions and matrix products, as `model.networks.device` chose it; weights are always float32.
    """

    n_steps: int
    learning_rate: float = 1e-3
    kernel_rate: float = 0.0
    warm_up: int = 20
    clip: float = 1.0
    weight_decay: float = 0.01
    average_decay: float = 0.99
    seed: int = 0
    save_every: int = 100
    validate_every: int = 100
    report_every: int = 10
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass(frozen=True)
class Fitted:
    """The outcome of a training; the network holds the weights.

    Parameters
    ----------
    n_steps : int
    seconds : float
        Wall time, seconds, over all parts of an interrupted training.
    metrics : dict
        The last of each measure as ``train_…`` and ``val_…``, and of the untrained network as ``initial_val_…``.
    """

    n_steps: int
    seconds: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Examples:
    """Pictures of what a network makes while it learns.

    Parameters
    ----------
    every : int
        Steps between two of them. The untrained network and the last step have one in any case.
    draw : callable
        From the number of steps made to a PNG, or None where there is nothing to show; called without gradients.
    """

    every: int
    draw: Callable[[int], bytes | None]


def fit(
    task: TrainingTask,
    settings: FitSettings,
    folder: Path,
    report: Report,
    progress: Progress = lambda done, total, loss: None,
    examples: Examples | None = None,
) -> Fitted:
    """Train a network, or go on with a training that was interrupted.

    Parameters
    ----------
    task : TrainingTask
    settings : FitSettings
    folder : Path
        Where the state of this training lies; one training each.
    report : callable
        Called with step, number of steps, split and measures. What an interrupted training had reported up to its
        last state is reported again.
    progress : callable, optional
        Called after every step with steps done, number of steps and the loss.
    examples : Examples, optional
        Drawn with the averaged weights into a folder beside the state. They change no weight and are no part of the
        settings: a training may go on with others, or without.

    Raises
    ------
    ModelError
        When the loss is not finite, the state is unusable or of other settings, or another process is at it.
    """
    with _locked(folder), _reproducible():
        return _Fit(task, settings, folder, report, progress, examples).run()


def rate_of(settings: FitSettings, step: int) -> float:
    """Return the share of the highest rate at a step: a linear warm-up, then half a cosine down to a hundredth."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    progress = (step - settings.warm_up) / max(1, settings.n_steps - settings.warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


class _Fit:
    def __init__(
        self,
        task: TrainingTask,
        settings: FitSettings,
        folder: Path,
        report: Report,
        progress: Progress,
        examples: Examples | None,
    ) -> None:
        self.task, self.settings, self.folder, self.report, self.progress = task, settings, folder, report, progress
        self.examples = examples
        self.network = in_fast_layout(task.network.to(settings.device))
        processes.share_statistics(self.network)
        self.optimizers = _optimizers(self.network, settings)
        self.parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.average: dict[str, Tensor] = {}
        if settings.average_decay > 0:
            self.average = {name: value.detach().clone() for name, value in _averaged(self.network)}
        self.record = Record(settings=_as_json(settings))

    def run(self) -> Fitted:
        """Make every step that is left; the network is given its averaged weights at the end."""
        self.go_on()
        began, before = time.perf_counter(), self.record.seconds
        if self.record.step == 0 and not self.record.history:
            self.validate()
        if self.record.step == 0:
            self.show(is_due=True)
        while self.record.step < self.settings.n_steps:
            loss = self.step(self.record.step)
            self.record.step += 1
            if processes.is_first():
                self.progress(self.record.step, self.settings.n_steps, loss)
            self.record.seconds = before + time.perf_counter() - began
            is_last = self.record.step == self.settings.n_steps
            if is_last or self.record.step % self.settings.validate_every == 0:
                self.validate()
            self.show(is_due=is_last)
            if processes.is_first() and (is_last or self.record.step % self.settings.save_every == 0):
                save_state(self.folder, self.network, self.optimizers, self.average, self.record)
        self.exchange()
        return Fitted(self.record.step, self.record.seconds, _last(self.record.history))

    def go_on(self) -> None:
        """Take up an earlier state and report again what it had reported."""
        found = load_state(self.folder, self.network, self.optimizers, self.average)
        begun = (found.step, found.settings) if found else (0, self.record.settings)
        processes.check_same("what they train", (self.folder.name, *begun))
        if found is None:
            return
        if found.settings != self.record.settings:
            what = f"{self.folder} holds a training with other settings"
            raise ModelError(what, "give another folder, or remove this one")
        self.record = found
        for step, split, measures in found.history if processes.is_first() else []:
            self.report(step, self.settings.n_steps, split, measures)

    def step(self, step: int) -> float:
        """Learn from one batch and return its loss."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = optimizer.defaults["lr"] * rate_of(self.settings, step)
        torch.manual_seed(_mixed(self.settings.seed, step))
        self.network.train()
        with self.autocast():
            loss, measures = self.task.loss(step)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise _not_finite(step, f"the loss is {value}")
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        processes.average_gradients(self.parameters)
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.settings.clip))
        if not math.isfinite(norm):
            raise _not_finite(step, f"the norm of the gradient is {norm}")
        for optimizer in self.optimizers:
            optimizer.step()
        self.follow(step)
        if step % self.settings.report_every == 0 or step + 1 == self.settings.n_steps:
            self.tell(step, "train", {"loss": value, **measures, "gradient_norm": norm})
        return value

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move the averages towards the weights; in the beginning quickly, so that they forget the first ones."""
        if not self.average:
            return
        share = 1 - min(self.settings.average_decay, (1 + step) / (10 + step))
        for name, tensor in _averaged(self.network):
            self.average[name].lerp_(tensor, share)

    @torch.no_grad()
    def exchange(self) -> None:
        """Exchange weights and averages."""
        for name, tensor in _averaged(self.network) if self.average else ():
            kept = tensor.clone()
            tensor.copy_(self.average[name])
            self.average[name].copy_(kept)

    def validate(self) -> None:
        """Measure the averaged weights, in the first process."""
        if not processes.is_first():
            return
        with self.averaged():
            measures = self.task.validate()
        if measures:
            self.tell(self.record.step, "val", measures)

    def show(self, *, is_due: bool) -> None:
        """Draw examples by the averaged weights, in the first process, where they are due or their step has come.

        It comes before the state is saved, so that a training that was killed in between draws the same again.
        """
        step = self.record.step
        if self.examples is None or not processes.is_first() or not (is_due or step % self.examples.every == 0):
            return
        with self.averaged():
            picture = self.examples.draw(step)
        if picture is not None:
            atomic.write_bytes(path_of(self.folder, step), picture)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let one process compute with the averaged weights, without gradients."""
        self.exchange()
        self.network.eval()
        torch.manual_seed(self.settings.seed)
        with torch.no_grad(), self.autocast(), processes.alone():
            yield
        self.exchange()

    def tell(self, step: int, split: str, measures: dict[str, float]) -> None:
        self.record.history.append((step, split, measures))
        if processes.is_first():
            self.report(step, self.settings.n_steps, split, measures)

    def autocast(self) -> torch.autocast:
        kind = torch.device(self.settings.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.settings.precision == "bf16")


def _mixed(seed: int, step: int) -> int:
    """Return one seed of two; torch's generator on the CPU heeds 32 bits only."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])


def _averaged(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Return what has a moving average: trained parameters, and the running statistics of batch normalisation.

    Those statistics belong to the weights that made the activations. Beside averaged weights, those of the last steps
    would normalise wrongly.
    """
    yield from ((name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad)
    for prefix, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield from ((f"{prefix}.{name}", one) for name, one in module.named_buffers() if one.is_floating_point())


def _optimizers(network: nn.Module, settings: FitSettings) -> list[torch.optim.Optimizer]:
    """Return what makes the steps; vectors are not decayed."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trained:
        raise ModelError("the network has no parameter that is trained", "unfreeze some of it")
    kernels = [one for one in trained if settings.kernel_rate > 0 and _is_kernel(one)]
    chosen = {id(one) for one in kernels}
    others = [one for one in trained if id(one) not in chosen]
    groups = [
        {"params": [one for one in others if one.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in others if one.ndim <= 1], "weight_decay": 0.0},
    ]
    made: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=settings.learning_rate, fused=False)]
    if kernels:
        made.append(Muon(kernels, lr=settings.kernel_rate, weight_decay=settings.weight_decay))
    return made


def _is_kernel(parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a kernel that looks at neighbours and has several channels out."""
    return parameter.ndim == N_KERNEL_DIMENSIONS and parameter.shape[2] > 1 and parameter.shape[0] > 1


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder; the first process holds the lock for all of its group."""
    if not processes.is_first():
        yield
        return
    with atomic.lock(folder / ".lock", exclusive=True, wait=False) as held:
        if not held:
            raise ModelError(f"another process trains in {folder}", "wait until it is done")
        yield


@contextmanager
def _reproducible() -> Iterator[None]:
    """Refuse operations whose result varies from run to run, and leave the generators of others alone."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())  # some have no other way there
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _last(history: list[tuple[int, str, dict[str, float]]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for step, split, measures in history:
        found |= {f"{split}_{name}": value for name, value in measures.items()}
        if step == 0 and split == "val":
            found |= {f"initial_val_{name}": value for name, value in measures.items()}
    return found


def _as_json(settings: FitSettings) -> dict[str, Any]:
    return {name: value for name, value in asdict(settings).items() if name != "device"}


def _not_finite(step: int, what: str) -> ModelError:
    return ModelError(f"training stopped at step {step}: {what}", "lower the learning rate, or look at the data")
