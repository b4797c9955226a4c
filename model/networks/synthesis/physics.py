"""The physics branch: tissue parameters of every voxel, the signal that they give, and its scale.

The equations are those of `model.physics`, with voxels in the place of tissues. They know static tissue only: neither
flow nor magnetisation transfer, nor the gain of the scanner. Maps are of the head as its scans show it: what a contrast
agent adds to a wanted scan is left to the network's residual.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from model.physics.contrast import EQUATIONS
from model.physics.expected import FAMILIES, USUAL_FIELD_T, likely_families, runnable_settings, stated_by
from model.physics.protocol import TRAIN_SPACING_S, SequenceSettings
from model.physics.tissue import TISSUES, properties
from warehouse.imaging.brain_scale import LEAST_SPREAD, LINEAR_TO, PERCENTILES
from warehouse.prompts.record import PromptRecord

FAMILY_NAMES = ("spin_echo", "fast_spin_echo", "inversion_recovery", "spoiled_gradient_echo", "mprage", "t2star")
"""Sequences that the branch renders; of those of `model.physics`, flow or phase makes the contrast of the others."""

T2STAR_SHARE = "t2star_share"
BOUNDS: Mapping[str, tuple[float, float]] = {  # seconds, and PD of fluid; the tissues of `relaxation.csv` lie between
    "pd": (0.005, 1.5),  # of air to that of fluid, with a margin
    "t1_s": (0.08, 6.0),
    "t2_s": (0.003, 3.0),  # cortical bone has less, and no signal in any scan
    T2STAR_SHARE: (0.05, 1.0),  # T2* as a share of T2
}


@dataclass(frozen=True)
class Settings:
    """What the signal equations of wanted scans need, (batch,) each; float32 where nothing else is said.

    Parameters
    ----------
    family : (batch,) int64 Tensor
        Of `FAMILY_NAMES`; −1 where TR or TE is not stated, or several families or none fit the record.
    tr_s, te_s, ti_s, fa_deg : (batch,) Tensor
        Seconds and degrees, as `SequenceSettings` has them; not a number without a family.
    n_readouts : (batch,) Tensor
        Of the train of an MPRAGE.
    field_t : (batch,) Tensor
        Tesla; the usual one where it is not stated. No equation depends on it: the maps do.
    is_variable, is_post_contrast : (batch,) bool Tensor
        Whether the flip angle varies along the echo train; whether the scan follows a contrast agent.
    median, spread : (batch,) Tensor
        Of the wanted scan's magnitude in its brain, in units of the equations, in which fluid has PD 1; not a number
        where unknown.
    """

    family: Tensor
    tr_s: Tensor
    te_s: Tensor
    ti_s: Tensor
    fa_deg: Tensor
    n_readouts: Tensor
    field_t: Tensor
    is_variable: Tensor
    is_post_contrast: Tensor
    median: Tensor
    spread: Tensor

    @classmethod
    def of(cls, records: Sequence[PromptRecord], scales: Sequence[tuple[float, float] | None]) -> Settings:
        """Return the settings of wanted scans.

        A missing TI or flip angle has the usual value of the family, and a time that no scanner can run is moved to
        the nearest (`model.physics.expected`).

        Parameters
        ----------
        records : sequence of PromptRecord
        scales : sequence of (median, spread) or None
            Of each scan, if known; see `median`.
        """
        stated = stated_by(records)
        n = len(records)
        family = torch.full((n,), -1)
        found = SequenceSettings.of(torch.full((n,), math.nan), math.nan, math.nan, math.nan)
        of_rows = {field.name: getattr(found, field.name).clone() for field in fields(SequenceSettings)}
        is_timed = stated.tr_s.isfinite() & stated.te_s.isfinite()
        for contrast, families in FAMILIES.items():
            mine = torch.tensor([record.contrast == contrast for record in records]) & is_timed
            certain = likely_families(contrast, stated) == 1
            for column, one in enumerate(families):
                rows = (mine & certain[:, column]).nonzero()[:, 0]
                if one.sequence not in FAMILY_NAMES or not len(rows):
                    continue
                family[rows] = FAMILY_NAMES.index(one.sequence)
                chosen = runnable_settings(one, stated.of(rows))
                for name, values in of_rows.items():
                    values[rows] = getattr(chosen, name)
        scale = torch.tensor([one or (math.nan, math.nan) for one in scales], dtype=torch.float32).reshape(n, 2)
        return cls(
            family=family,
            **{name: of_rows[name].float() for name in ("tr_s", "te_s", "ti_s", "fa_deg", "n_readouts")},
            field_t=stated.field_t.nan_to_num(USUAL_FIELD_T).float(),
            is_variable=of_rows["flip_angle_variable"] > 0,
            is_post_contrast=stated.is_post_contrast,
            median=scale[:, 0],
            spread=scale[:, 1],
        )

    @property
    def is_on(self) -> Tensor:
        """Whether the branch says anything of a scan, (batch,) bool: its family and its scale are known."""
        return (self.family >= 0) & self.median.isfinite() & self.spread.isfinite() & (self.spread > 0)

    def scaled(self, median: Tensor, spread: Tensor) -> Settings:
        """Return the same with other scales, (batch,) each: those of a rendered brain, see `brain_scale`."""
        return replace(self, median=median.float(), spread=spread.float())

    def rows(self, rows: Tensor) -> SequenceSettings:
        """Return the settings of some scans as the signal equations take them, (n, 1) each, of the same family."""
        one = torch.ones_like(self.tr_s[rows])
        return SequenceSettings(
            tr_s=self.tr_s[rows],
            te_s=self.te_s[rows],
            ti_s=self.ti_s[rows],
            fa_deg=self.fa_deg[rows],
            b1=one,
            readout_spacing_s=TRAIN_SPACING_S * one,
            n_readouts=self.n_readouts[rows],
            flip_angle_variable=self.is_variable[rows].to(one.dtype),
        ).columns()

    def of_row(self, row: int) -> Settings:
        """Return the settings of one scan."""
        return Settings(*(getattr(self, field.name)[row : row + 1] for field in fields(self)))

    def to(self, device: str | torch.device) -> Settings:
        """Return the same on a device."""
        return Settings(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class Maps:
    """Tissue parameters of every voxel, (batch, i, j, k) float32 each, positive.

    Parameters
    ----------
    pd : Tensor
        Proton density, 1 for cerebrospinal fluid; that of air is the lower bound.
    t1_s, t2_s, t2star_s : Tensor
        Relaxation times, seconds; T2* is at most T2.
    """

    pd: Tensor
    t1_s: Tensor
    t2_s: Tensor
    t2star_s: Tensor

    def rows(self, rows: Tensor) -> Maps:
        """Return some heads, with their voxels in a row: (n, voxels) float32 each."""
        return Maps(*(getattr(self, field.name)[rows].flatten(1).float() for field in fields(self)))


class MapHead(nn.Module):
    """Predict tissue parameters within `BOUNDS` from a latent map, voxel by voxel.

    Logarithms of the parameters go from bound to bound by a sigmoid. Untrained, every voxel is nearly cortex at 3 T.

    Parameters
    ----------
    width : int
        Channels of the latent map.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_parameters = nn.Conv3d(width, len(BOUNDS), 1)
        table, cortex = properties(USUAL_FIELD_T), TISSUES.index("cortex")
        usual = {name: float(getattr(table, name)[cortex]) for name in ("pd", "t1_s", "t2_s", "t2star_s")}
        usual[T2STAR_SHARE] = usual["t2star_s"] / usual["t2_s"]
        share = [math.log(usual[name] / low) / math.log(high / low) for name, (low, high) in BOUNDS.items()]
        self.to_parameters.weight = nn.Parameter(0.1 * self.to_parameters.weight.detach())
        self.to_parameters.bias = nn.Parameter(torch.logit(torch.tensor(share)))

    def forward(self, latent: Tensor) -> Maps:
        """Return the maps of a (batch, c, i, j, k) latent map, in float32 also under autocast."""
        with torch.autocast(latent.device.type, enabled=False):
            shares = torch.sigmoid(self.to_parameters(latent.float()))
            pd, t1_s, t2_s, share = (
                low * (high / low) ** one for (low, high), one in zip(BOUNDS.values(), shares.unbind(1), strict=True)
            )
            return Maps(pd, t1_s, t2_s, t2_s * share)


def signal(maps: Maps, settings: Settings, *, signed: bool = False) -> Tensor:
    """Return the signal of every voxel in its scan, in units of the equations; differentiable in the maps.

    Parameters
    ----------
    maps : Maps
        (batch, i, j, k) each.
    settings : Settings
        (batch,) each.
    signed : bool
        Keep the sign that an inversion leaves; needed where voxels are averaged before the magnitude is taken.

    Returns
    -------
    (batch, 1, i, j, k) float32 Tensor
        0, without a gradient, where the family is unknown. An unknown scale is no obstacle: it may be that of the
        rendered brain.
    """
    rendered = torch.zeros_like(maps.pd, dtype=torch.float32).flatten(1)
    with torch.autocast(maps.pd.device.type, enabled=False):
        for family, name in enumerate(FAMILY_NAMES):
            rows = (settings.family == family).nonzero()[:, 0]
            if len(rows):
                rendered = rendered.index_copy(0, rows, EQUATIONS[name](settings.rows(rows), maps.rows(rows)))
    return (rendered if signed else rendered.abs()).reshape(maps.pd.shape).unsqueeze(1)


def network_intensities(signal: Tensor, settings: Settings) -> Tensor:
    """Return `BrainScale.to_network` of (batch, 1, i, j, k) signals; 0, without a gradient, where the branch is off."""
    is_on = settings.is_on
    median, spread, is_on = (
        one.reshape(-1, 1, 1, 1, 1)
        for one in (settings.median.where(is_on, 0.0), settings.spread.where(is_on, 1.0), is_on)
    )
    linear = (signal.float() - median) / spread
    beyond = linear.abs() - LINEAR_TO
    softened = torch.where(beyond > 0, linear.sign() * (LINEAR_TO + beyond.clamp_min(0).log1p()), linear)
    return softened.where(is_on, 0.0)


@torch.no_grad()
def brain_scale(signal: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return median and spread of rendered brains, as `BrainScale.of` has them; without a gradient.

    Parameters
    ----------
    signal : (batch, 1, i, j, k) Tensor
        Of whole heads, never of patches: the scale of a patch depends on where it lies.
    mask : (batch, 1, i, j, k) or (i, j, k) bool Tensor
        Brain.

    Returns
    -------
    (batch,) Tensor, (batch,) Tensor
        Not a number where the mask is empty or the brain has one intensity, as that of a scan that is off.
    """
    scales = signal.new_full((len(signal), 2), math.nan, dtype=torch.float32)
    percentiles = torch.tensor(PERCENTILES, device=signal.device) / 100
    for row, (voxels, brain) in enumerate(zip(signal.float(), mask.expand(signal.shape), strict=True)):
        inside = voxels[brain]
        if len(inside):
            low, median, high = torch.quantile(inside, percentiles)
            if high - low > LEAST_SPREAD * median.abs() and high > low:
                scales[row] = torch.stack([median, high - low])
    return scales[:, 0], scales[:, 1]
