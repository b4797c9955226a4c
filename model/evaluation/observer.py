"""Ideal observer: how well prompts can be told apart by anyone who sees the true signal of every tissue, up to a gain.

It knows the equations of the sequences and how relaxation varies between people, so that what it cannot tell, no
encoder can by the signals of tissues. It does not look at the anatomy: age or voxel size may show there, too.

Signals are linearised in the logarithms of T1, T2, T2* and PD, which makes them Gaussian: J Σ Jᵀ + σ² I, with σ a share
of the brain's signal. Where an inversion leaves a signal near zero, its magnitude has the moments of a folded normal
distribution. The gain is unknown, with a uniform prior of its logarithm, and is integrated out by Laplace's method
around its best value, which has a closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf, logsumexp
from torch import Tensor

from model.data.population import Population, people_of
from model.evaluation.acquisitions import acquisition
from model.physics.contrast import signals_of
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES, Properties, properties, stack
from warehouse.prompts.record import PromptRecord

STRIPPED = ("csf", "cortex", "white_matter", "thalamus", "striatum", "pallidum")
WHOLE = (*STRIPPED, "fat", "muscle", "skin", "marrow", "vitreous")
BRAIN = ("cortex", "white_matter")
NOISE = 0.01  # of the mean signal of the brain: what a tissue's mean over many voxels is uncertain by
Array = NDArray[np.float64]


def tissues_seen(is_stripped: bool) -> list[int]:
    """Return the tissues that are seen in a head, or in a brain without it, as indices of `TISSUES`."""
    return [TISSUES.index(name) for name in (STRIPPED if is_stripped else WHOLE)]


@dataclass(frozen=True)
class Expected:
    """Distribution of the magnitudes of n prompts' signals over people, Gaussian.

    Parameters
    ----------
    mean : (n, n_tissues) float64 array
        NaN where a prompt does not state what determines signals.
    covariance : (n, n_tissues, n_tissues) float64 array
    """

    mean: Array
    covariance: Array

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Which prompts have signals, (n,)."""
        return np.isfinite(self.mean[:, 0])


@dataclass(frozen=True)
class _Inverted:
    """Precision of prompts' signals and what else of them the likelihood needs.

    Parameters
    ----------
    precision : (n, n_seen, n_seen) array
    weighted : (n, n_seen) array
        Precision × mean.
    constant : (n,) array
        Mean × precision × mean.
    log_determinant : (n,) array
        Of the covariance.
    """

    precision: Array
    weighted: Array
    constant: Array
    log_determinant: Array

    @classmethod
    def of(cls, expected: Expected, known: NDArray[np.bool_], seen: list[int]) -> _Inverted:
        mean, covariance = expected.mean[known][:, seen], expected.covariance[known][:, seen][:, :, seen]
        triangle = np.linalg.cholesky(covariance)
        inverse = np.linalg.inv(triangle)
        precision = inverse.transpose(0, 2, 1) @ inverse
        weighted = np.einsum("nij,nj->ni", precision, mean)
        log_determinant = 2 * np.log(np.diagonal(triangle, axis1=1, axis2=2)).sum(1)
        return cls(precision, weighted, (weighted * mean).sum(1), log_determinant)

    def integrated(self, a: Array, b: Array) -> Array:
        """Integrate over the gain: with u its inverse, exp(−(a u² − 2 b u + constant) / 2) u^n over log u."""
        n_seen = self.weighted.shape[1]
        u = (b + np.sqrt(b**2 + 4 * a * n_seen)) / (2 * a)
        exponent = -(a * u**2 - 2 * b * u + self.constant) / 2 + n_seen * np.log(u)
        return np.asarray(exponent - self.log_determinant / 2 - np.log(2 * a * u**2 - b * u) / 2)


class IdealObserver:
    """Scores prompts by the likelihood of a scan's tissue signals.

    Parameters
    ----------
    noise : float
        As a share of the brain's signal.
    spread : float
        Factor of the simulator's spread between people; 0 knows each person.
    """

    def __init__(self, noise: float = NOISE, spread: float = 1.0) -> None:
        self.noise, self.spread = noise, spread

    def expected(self, records: Sequence[PromptRecord]) -> Expected:
        """Return the distribution of signals under each record, in all `TISSUES`."""
        mean = np.full((len(records), len(TISSUES)), np.nan)
        covariance = np.full((len(records), len(TISSUES), len(TISSUES)), np.nan)
        protocols = [(place, acquisition(record)) for place, record in enumerate(records)]
        known = [(place, protocol) for place, protocol in protocols if protocol is not None]
        if known:
            places = [place for place, _ in known]
            people = [people_of(records[place].age_years) for place in places]
            mean[places], covariance[places] = self._moments([protocol for _, protocol in known], people)
        return Expected(mean, covariance)

    def log_likelihood(self, signals: Array, expected: Expected, is_stripped: bool) -> Array:
        """Return the log-likelihood of every scan under every prompt, up to a constant of the scan.

        Parameters
        ----------
        signals : (n_scans, len(TISSUES)) array
            Magnitudes, with any gain; NaN where unknown.
        expected : Expected
            Of n_prompts prompts.
        is_stripped : bool
            Whether the brain alone is seen.

        Returns
        -------
        (n_scans, n_prompts) float64 array
            NaN where a scan's signals or a prompt's are unknown.
        """
        seen, known = tissues_seen(is_stripped), expected.is_known
        result = np.full((len(signals), len(known)), np.nan)
        if known.any() and len(signals):
            given, scans = _Inverted.of(expected, known, seen), signals[:, seen]
            squares = (scans[:, :, None] * scans[:, None, :]).reshape(len(scans), -1)
            a = squares @ given.precision.reshape(len(given.precision), -1).T
            result[:, known] = given.integrated(a, scans @ given.weighted.T)
        return result

    def log_likelihood_each(self, signals: Array, expected: Expected, is_stripped: bool) -> Array:
        """Return the log-likelihood of scan n under prompt n, (n,), as `log_likelihood` has it for all of both."""
        seen, known = tissues_seen(is_stripped), expected.is_known
        result = np.full(len(signals), np.nan)
        if known.any():
            given, scans = _Inverted.of(expected, known, seen), signals[known][:, seen]
            a = np.einsum("ni,nij,nj->n", scans, given.precision, scans)
            result[known] = given.integrated(a, (scans * given.weighted).sum(1))
        return result

    def _moments(self, protocols: Sequence[SequenceProtocol], people: Sequence[Population]) -> tuple[Array, Array]:
        """Return mean and covariance of magnitudes, (n, n_tissues) and (n, n_tissues, n_tissues)."""
        table = stack([properties(protocol.field_strength_t) for protocol in protocols])
        logs = torch.from_numpy(np.stack([one.mean for one in people])).requires_grad_(True)
        signed = _signals(protocols, _scaled(table, logs))
        # A tissue's signal depends on its own values alone, so that one backward pass gives all derivatives.
        (slopes,) = torch.autograd.grad(signed.sum(), logs)
        slope, mean = slopes.numpy(), signed.detach().numpy()
        own = slope * np.stack([one.spread for one in people])[:, None] * self.spread
        n, n_tissues = mean.shape
        covariance = np.zeros((n, n_tissues, n_tissues))
        covariance[:, range(n_tissues), range(n_tissues)] = (own**2).sum(2)
        for place, one in enumerate(people):
            if len(one.shared):
                along = (slope[place] * one.shared).sum(2) * self.spread
                covariance[place] += along.T @ along
        return self._magnitudes(mean, covariance)

    def _magnitudes(self, mean: Array, covariance: Array) -> tuple[Array, Array]:
        """Return the moments of folded normal variables, with noise (Leone, Nelson, Nottingham 1961)."""
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        deviation = np.sqrt(variance)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(deviation > 0, mean / deviation, np.sign(mean) * np.inf)
        towards = erf(ratio / np.sqrt(2))
        folded = deviation * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + mean * towards
        rest = variance + mean**2 - folded**2
        covariance = covariance * towards[:, :, None] * towards[:, None, :]
        noise = self.noise * np.abs(mean[:, [TISSUES.index(name) for name in BRAIN]]).mean(1)
        diagonal = range(mean.shape[1])
        covariance[:, diagonal, diagonal] = np.maximum(rest, 0) + noise[:, None] ** 2
        return folded, covariance


def _scaled(table: Properties, logs: Tensor) -> Properties:
    """Return properties times the exponentials of (n, n_tissues, 4) logarithms; T2* ≤ T2 ≤ T1, as in a head."""
    factors = logs.exp()
    t1, t2, t2star = table.t1_s * factors[..., 0], table.t2_s * factors[..., 1], table.t2star_s * factors[..., 2]
    t2 = torch.minimum(t2, t1)
    return Properties(t1, t2, torch.minimum(t2star, t2), table.pd * factors[..., 3], table.chi_ppm)


def _signals(protocols: Sequence[SequenceProtocol], tissue: Properties) -> Tensor:
    """Return signed signals, (n, n_tissues), of protocols with a row of properties each."""
    rows: list[Tensor] = [torch.empty(0)] * len(protocols)
    for sequence in {protocol.sequence for protocol in protocols}:
        where = [row for row, protocol in enumerate(protocols) if protocol.sequence == sequence]
        own = Properties(*(getattr(tissue, field.name)[where] for field in fields(Properties)))
        signals = signals_of([protocols[row] for row in where], own, signed=True)
        for row, signal in zip(where, signals, strict=True):
            rows[row] = signal
    return torch.stack(rows)


def drawn_signals(records: Sequence[PromptRecord], seeds: Sequence[str]) -> Array:
    """Return the signals of simulated people under records, drawn from the simulator's spread, (n, len(TISSUES)).

    NaN where a record does not state what determines signals. Equal seeds are equal people.
    """
    found = np.full((len(records), len(TISSUES)), np.nan)
    protocols = [(place, acquisition(record)) for place, record in enumerate(records)]
    known = [(place, protocol) for place, protocol in protocols if protocol is not None]
    if known:
        logs = np.stack([_drawn(people_of(records[place].age_years), seeds[place]) for place, _ in known])
        table = stack([properties(protocol.field_strength_t) for _, protocol in known])
        signals = _signals([protocol for _, protocol in known], _scaled(table, torch.from_numpy(logs)))
        found[[place for place, _ in known]] = signals.abs().numpy()
    return found


def _drawn(people: Population, seed: str) -> Array:
    random = np.random.default_rng(list(seed.encode()))
    own = np.clip(random.standard_normal(people.mean.shape), -2.5, 2.5) * people.spread
    return np.asarray(
        people.mean + own + np.tensordot(random.standard_normal(len(people.shared)), people.shared, axes=1)
    )


def log_evidence(log_likelihood: Array, groups: Sequence[str], of: Sequence[str]) -> Array:
    """Return the log-likelihood of each group of prompts, the mean over its members, (n_scans, len(of)).

    Parameters
    ----------
    log_likelihood : (n_scans, n_prompts) array
    groups : sequence of str
        Of each prompt.
    of : sequence of str
        Wanted groups; one without members is −inf.
    """
    found = np.full((len(log_likelihood), len(of)), -np.inf)
    for column, name in enumerate(of):
        members = [place for place, group in enumerate(groups) if group == name]
        if members:
            found[:, column] = logsumexp(log_likelihood[:, members], axis=1) - np.log(len(members))
    return found
