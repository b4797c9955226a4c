"""Contrast fidelity: whether tissue contrast follows TE, TR, TI and FA of the prompt as physics says, at a fixed scan.

For each point of a sweep a model makes an image of a digital person; the ratios GM/WM and CSF/WM of its signal are held
against those of the independent simulator for that person's own relaxation times. The error is the absolute difference
of the ratios, hence in units of the white-matter signal: a relative error would explode where a tissue is nulled. A
ratio needs no gain, and none is fitted. Each tissue stands by itself and the worse is reported; the rank correlation
over a sweep comes second, since it is blind to size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from model.data.catalogue import Source
from model.data.digital_people import DigitalCohort, DigitalPerson, Relaxation, Tissue
from model.evaluation import simulator
from model.evaluation.sweeps import SWEEPS, Sweep
from model.evaluation.textbook import textbook
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.prompts.record import PromptRecord

TEXTBOOK, IDENTITY = "baseline:textbook", "baseline:identity"
RATIOS: tuple[Tissue, ...] = ("gm", "csf")  # of their signal to that of white matter
LEAST_WHITE = 0.05  # of the brain's signal; divides instead of a weaker white matter, so that errors stay finite
FLAT = 0.05  # a true ratio that varies by less over a sweep has no rank correlation
SAME = 1e-6  # ratios that differ by less are ties
VERSION = 1  # raised when a measure gives another figure for the same images
Row = dict[str, Any]


class SignalModel(Protocol):
    """What can be measured: anything that makes an image on a scale with a true zero."""

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
        """Return the target (i, j, k) on the sources' grid; 0 is no signal, the gain is arbitrary and positive."""


@dataclass(frozen=True)
class Identity:
    """The baseline that gives the input back, whatever the prompt says.

    Parameters
    ----------
    scale : BrainScale
        Of the input.
    """

    scale: BrainScale

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
        """Return the signal of the first source."""
        return self.scale.from_network(sources[0].voxels) - self.scale.zero


def protocol_hash(sweeps: Sequence[Sweep] = SWEEPS) -> str:
    """Return the identity of how it is measured, 16 hexadecimal digits."""
    settings = {"fidelity": VERSION, "least_white": LEAST_WHITE, "sweeps": [asdict(sweep) for sweep in sweeps]}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def scores(
    model: SignalModel, model_id: str, cohort: DigitalCohort, sweeps: Sequence[Sweep] = SWEEPS
) -> Iterator[list[Row]]:
    """Yield the rows of each digital person: those of the model and of both baselines.

    Parameters
    ----------
    model : SignalModel
    model_id : str
        Under which its rows stand.
    cohort : DigitalCohort
    sweeps : sequence of Sweep

    Yields
    ------
    list of dict
        Rows of `core.fidelity_score`.

    Raises
    ------
    ModelError
        When an image of the model has another shape or voxels that are not finite.
    """
    for person in cohort.people():
        truth = true_ratios(person.relaxation, sweeps)
        rows = []
        for name, one in ((model_id, model), (TEXTBOOK, textbook(person)), (IDENTITY, Identity(person.scale))):
            place = {"model_id": name, "data_id": cohort.data_id, "protocol_hash": protocol_hash(sweeps)}
            rows += [_identified({**place, **row}) for row in measure(one, person, truth, sweeps)]
        yield rows


TrueRatios = Mapping[tuple[str, str, float, Tissue], float]


def true_ratios(relaxation: Mapping[Tissue, Relaxation], sweeps: Sequence[Sweep] = SWEEPS) -> TrueRatios:
    """Return the true ratio to white matter by sweep, field, value and tissue."""
    found: dict[tuple[str, str, float, Tissue], float] = {}
    for sweep in sweeps:
        for value in sweep.values:
            scan = sweep.acquisition(value)
            white = simulator.signal(scan, relaxation["wm"])
            for tissue in RATIOS:
                found[sweep.name, sweep.field, value, tissue] = simulator.signal(scan, relaxation[tissue]) / white
    return found


def measure(
    model: SignalModel, person: DigitalPerson, truth: TrueRatios, sweeps: Sequence[Sweep] = SWEEPS
) -> list[Row]:
    """Return made and true ratios of one person over all sweeps, a row for each point and tissue."""
    rows = []
    masks = person.masks
    about = person.source.record
    for sweep in sweeps:
        for value in sweep.values:
            asked = replace(
                sweep.record(value), age_years=about.age_years, sex=about.sex, voxel_size_mm=about.voxel_size_mm
            )
            made = made_ratios(np.asarray(model.signal([person.source], asked)), masks)
            rows += [
                {
                    "person": person.label,
                    "sweep": sweep.name,
                    "field": sweep.field,
                    "field_value": value,
                    "tissue": tissue,
                    "true_ratio": truth[sweep.name, sweep.field, value, tissue],
                    "made_ratio": made[tissue],
                }
                for tissue in RATIOS
            ]
    return rows


def made_ratios(signal: NDArray[np.float64], masks: Mapping[Tissue, NDArray[np.bool_]]) -> dict[Tissue, float]:
    """Return the ratios of mean signals to that of white matter.

    Parameters
    ----------
    signal : (i, j, k) array
        With a true zero.
    masks : dict of (i, j, k) bool arrays
        Pure voxels of csf, gm and wm.

    Raises
    ------
    ModelError
        For another shape than that of the masks, values that are not finite, or a tissue without voxels.
    """
    shape = masks["wm"].shape
    if signal.shape != shape or not np.isfinite(signal).all():
        what = f"the model made {signal.shape} of {shape}, or voxels that are NaN or infinite"
        raise ModelError(what, "train it again")
    if empty := [name for name, mask in masks.items() if not mask.any()]:
        raise ModelError(f"no voxel is pure {' or '.join(empty)}", "use a finer grid")
    mean = {name: float(signal[mask].mean(dtype=np.float64)) for name, mask in masks.items()}
    typical = float(np.mean([abs(value) for value in mean.values()]))
    white = max(mean["wm"], LEAST_WHITE * typical, float(np.finfo(np.float64).tiny))
    return {tissue: mean[tissue] / white for tissue in RATIOS}


@dataclass(frozen=True)
class Summary:
    """Fidelity of one model on one person over one sweep.

    Parameters
    ----------
    model_id, person, sweep, field : str
    tissue : {"gm", "csf", "worst"}
        worst has the largest error and the smallest rank correlation of the two.
    error : float
        Mean over the sweep of |made − true ratio|, in units of the white-matter signal.
    rank_correlation : float or None
        Spearman's; 0 for a model that does not react; None where the truth varies by less than `FLAT`.
    """

    model_id: str
    person: str
    sweep: str
    field: str
    tissue: Literal["gm", "csf", "worst"]
    error: float
    rank_correlation: float | None


def summarise(rows: Iterable[Mapping[str, Any]]) -> list[Summary]:
    """Return the errors of each model, person, sweep and tissue, and of the worse tissue; people are the units.

    Parameters
    ----------
    rows : iterable of mappings
        With the columns of `core.fidelity_score`, in any order.
    """
    points: dict[tuple[str, ...], dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        key = tuple(str(row[name]) for name in ("model_id", "person", "sweep", "field"))
        points.setdefault(key, {}).setdefault(row["tissue"], []).append((row["true_ratio"], row["made_ratio"]))
    found: list[Summary] = []
    for (model_id, person, sweep, field), by_tissue in sorted(points.items()):
        each = [
            Summary(model_id, person, sweep, field, tissue, *_compared(np.array(by_tissue[tissue])))
            for tissue in RATIOS
            if tissue in by_tissue and tissue != "wm"
        ]
        ranks = [one.rank_correlation for one in each if one.rank_correlation is not None]
        worst = max(one.error for one in each)
        found += [*each, replace(each[0], tissue="worst", error=worst, rank_correlation=min(ranks, default=None))]
    return found


def _compared(points: NDArray[np.float64]) -> tuple[float, float | None]:
    """Return the mean error and the rank correlation of (n, 2) true and made ratios."""
    true, made = points.T
    error = float(np.abs(made - true).mean())
    if np.ptp(true) < FLAT:
        return error, None
    if np.ptp(made) < SAME:
        return error, 0.0
    return error, float(spearmanr(true, np.round(made / SAME)).statistic)


def _identified(row: Row) -> Row:
    names = ("model_id", "data_id", "protocol_hash", "person", "sweep", "field", "field_value", "tissue")
    key = "/".join(str(row[name]) for name in names)
    return {"event_id": hashlib.sha256(key.encode()).hexdigest()[:32], **row}
