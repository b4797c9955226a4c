"""Augmentation: random changes of source images and prompts, so that a network does not rely on single ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.physics.expected import names_settings
from model.physics.protocol import SequenceProtocol
from model.simulation.protocols import VARIANTS, draw_protocol
from warehouse.imaging.brain_scale import harden, soften
from warehouse.prompts.record import PromptRecord

SETTINGS = ("repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg")
HIDEABLE = ("vendor", "model", "field_strength_t", "age_years", "sex", "voxel_size_mm", *SETTINGS)


@dataclass(frozen=True)
class Changes:
    """Augmentation of sources and their prompts.

    Parameters
    ----------
    several_share : float
        Share of patches that get more than one scan where there are more.
    field_dropout : float
        Share of a prompt's fields that are hidden; the target's contrast never is.
    source_dropout : float
        Share of source prompts that are hidden altogether: users may know nothing of their scan.
    gamma : float
        Largest change of the exponent of a source's signal.
    stretch : float
        Largest change of a source's spread about the brain's median, as a share: in a brain of little contrast, fluid
        is as far from the median as air is in another one.
    noise : float
        Largest standard deviation of noise added to a source, in spreads of its brain.
    bias : float
        Largest change of a source's signal across a patch, as a share.
    drawn_settings : float
        Share of prompts without TR, TE, TI and flip angle, those of wanted scans among them, that get the settings of a
        random protocol of their contrast (`draw_protocol`). A network that saw settings beside simulated images alone
        takes a prompt with settings as a wish for a simulated look.
    """

    several_share: float = 0.3
    field_dropout: float = 0.1
    source_dropout: float = 0.1
    gamma: float = 0.1
    stretch: float = 0.0
    noise: float = 0.0
    bias: float = 0.0
    drawn_settings: float = 0.0


def changed(
    voxels: NDArray[np.float32], relative_spread: float, changes: Changes, random: np.random.Generator
) -> tuple[NDArray[np.float32], float]:
    """Return network intensities of another exponent, bias field, spread and noise, and their relative spread."""
    exponent = 1 + changes.gamma * random.uniform(-1, 1)
    slope, level = changes.bias * random.uniform(-0.5, 0.5, 3), changes.noise * random.uniform()
    made = change_contrast(voxels, relative_spread, exponent)
    relative_spread *= exponent
    if changes.bias > 0:
        place = np.linspace(-1, 1, voxels.shape[0], dtype=np.float32)
        i, j, k = (place * share for share in slope.astype(np.float32))
        field = 1 + i[:, None, None] + j[:, None] + k
        made = soften((((1 + relative_spread * harden(made.astype(np.float64))) * field) - 1) / relative_spread).astype(
            np.float32
        )
    if changes.stretch > 0:
        factor = (1 + changes.stretch) ** random.uniform(-1, 1)
        made = soften(harden(made.astype(np.float64)) * factor).astype(np.float32)
        relative_spread /= factor
    if changes.noise > 0:
        made = made + np.float32(level) * random.standard_normal(voxels.shape, np.float32)
    return made, relative_spread


def change_contrast(intensities: NDArray[np.float32], relative_spread: float, exponent: float) -> NDArray[np.float32]:
    """Return network intensities whose signal was raised to a power; the brain's median stays, and nearly its spread.

    Parameters
    ----------
    intensities : (i, j, k) float32 array
    relative_spread : float
        Of their scale; so the signal is 1 at the median, and 0 where there is none.
    exponent : float
    """
    signal = np.maximum(1 + relative_spread * harden(intensities.astype(np.float64)), 0)
    return soften((signal**exponent - 1) / (relative_spread * exponent)).astype(np.float32)


def with_drawn_settings(record: PromptRecord, share: float, random: np.random.Generator) -> PromptRecord:
    """Return a record that says nothing of its settings, with those of a random protocol of its contrast, or as it is.

    Parameters
    ----------
    record : PromptRecord
    share : float
        Probability of a protocol; 0 draws no random number.
    random : numpy.random.Generator
    """
    if share == 0 or names_settings(record) or record.contrast not in VARIANTS or random.random() >= share:
        return record
    is_post_contrast = record.post_contrast and record.contrast == "T1w"
    return with_settings_of(record, draw_protocol(record.contrast, random, is_post_contrast=is_post_contrast))


def with_settings_of(record: PromptRecord, protocol: SequenceProtocol) -> PromptRecord:
    """Return a record with the settings of a protocol, as a complete prompt states them."""
    return replace(
        record,
        repetition_time_s=protocol.repetition_time_s,
        echo_time_s=protocol.echo_time_s,
        inversion_time_s=protocol.inversion_time_s,
        flip_angle_deg=None if protocol.flip_angle_variable else protocol.flip_angle_deg,
        flip_angle_variable=protocol.flip_angle_variable,
    )


def hide(
    record: PromptRecord, share: float, random: np.random.Generator, *, with_contrast: bool = False
) -> PromptRecord:
    """Return a record some of whose fields are missing."""
    draws = random.random(len(HIDEABLE) + 1)
    changes: dict[str, Any] = {name: None for name, draw in zip(HIDEABLE, draws, strict=False) if draw < share}
    if "flip_angle_deg" in changes:
        changes["flip_angle_variable"] = False
    if with_contrast and draws[-1] < share:
        changes |= {"contrast": None, "post_contrast": False}
    return replace(record, **changes)
