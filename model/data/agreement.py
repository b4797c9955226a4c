"""Soft image–prompt match targets from 0 to 1: how far a prompt is true of an image.

Within a contrast, agreement falls with the difference between the tissue signals that the signal equations expect for
prompt and image, not with the difference of the numbers: two echo times that give the same image agree. Fields that a
prompt leaves out do not lower its agreement, since they are taken from the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.data.prompt_fields import NUMBERS, VOCABULARY, FieldBatch, encode_records
from model.physics.expected import Stated, expected_ratios
from model.physics.tissue import TISSUES
from warehouse.prompts.record import PromptRecord
from warehouse.prompts.vocabulary import CONTRASTS

# Tissues large enough to be seen in a coarse image.
VISIBLE = ("csf", "cortex", "thalamus", "striatum", "fat", "muscle", "vitreous")
SIGNAL_TOLERANCE = 0.05  # change of a tissue's signal beside white matter's at which agreement falls to 1/e
# Fields that change no tissue's signal: how much a change over a number's usual range (of its logarithm), or another
# word, adds to the distance.
NUMBER_WEIGHTS = {
    "field_strength_t": 1.5,
    "age_years": 1.5,
    "voxel_size_i_mm": 0.5,
    "voxel_size_j_mm": 0.5,
    "voxel_size_k_mm": 0.5,
}
WORD_WEIGHTS = {"vendor": 0.2, "sex": 0.2}
FALSE_WORD = 2.0
ACQUISITION = ("repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg")


def agreement(
    truth: Sequence[PromptRecord],
    prompts: Sequence[PromptRecord],
    true_words: Sequence[frozenset[str]] | None = None,
) -> Tensor:
    """Return soft image–prompt match targets in [0, 1]: 1 where a prompt says nothing false of an image.

    Parameters
    ----------
    truth : sequence of PromptRecord
        Of n images.
    prompts : sequence of PromptRecord
        m of them.
    true_words : sequence of frozenset of str, optional
        Words without a field that are true of each image; none where it is left out.

    Returns
    -------
    (n, m) float32 tensor
        Not a number where a prompt states a parameter of the acquisition that is unknown of the image.
    """
    images, said = encode_records(truth), encode_records(prompts)
    numbers = torch.where(said.numbers.isnan()[None], images.numbers[:, None], said.numbers[None])
    words = torch.where(said.categories[None] == 0, images.categories[:, None], said.categories[None])
    distance = _others(images, numbers, words)
    place = list(VOCABULARY).index
    differs = (words != images.categories[:, None]) & (images.categories[:, None] > 0)
    is_other = differs[..., place("contrast")] | differs[..., place("contrast_agent")]
    signals = _signal_distance(images, numbers, words, ~is_other)
    if true_words is not None:
        for column, prompt in enumerate(prompts):
            if prompt.words:
                false = [sum(word not in known for word in prompt.words) for known in true_words]
                distance[:, column] += FALSE_WORD * torch.tensor(false, dtype=torch.float32)
    return torch.where(is_other, torch.zeros(()), torch.exp(-distance - signals / SIGNAL_TOLERANCE))


def _others(images: FieldBatch, numbers: Tensor, words: Tensor) -> Tensor:
    """Return the distance by fields that change no tissue's signal, such as age or vendor, (n, m)."""
    distance = torch.zeros(numbers.shape[:2])
    for column, field in enumerate(NUMBERS):
        if weight := NUMBER_WEIGHTS.get(field.name):
            width = np.log((field.high + field.offset) / (field.low + field.offset))
            ratio = (numbers[..., column] + field.offset) / (images.numbers[:, None, column] + field.offset)
            distance += weight * (ratio.log().abs() / width).nan_to_num(0.0)
    for column, name in enumerate(VOCABULARY):
        if weight := WORD_WEIGHTS.get(name):
            known = images.categories[:, None, column]
            distance += weight * ((words[..., column] != known) & (known > 0)).float()
    return distance


def _signal_distance(images: FieldBatch, numbers: Tensor, words: Tensor, asked: Tensor) -> Tensor:
    """Return by how much the expected signals of visible tissues differ at most, (n, m), where it is asked.

    As a share of white matter's signal, or of the tissue's own where that is brighter.
    """
    visible = [TISSUES.index(name) for name in VISIBLE]
    found = torch.zeros(asked.shape)
    of_image = images.categories[:, 0]
    unknown = images.numbers[:, None].isnan() & ~numbers.isnan()
    columns = [place for place, field in enumerate(NUMBERS) if field.name in ACQUISITION]
    found[unknown[..., columns].any(-1)] = float("nan")
    for label in sorted(set(of_image.tolist())):
        if label == 0:
            continue
        contrast = VOCABULARY["contrast"][label - 1].removeprefix("ce")
        mine = of_image == label
        rows, candidates = (asked & mine[:, None]).nonzero(as_tuple=True)
        if not len(rows) or contrast not in CONTRASTS:
            continue
        own = expected_ratios(contrast, stated(images[mine]))[:, visible][mine.cumsum(0)[rows] - 1]
        candidate = FieldBatch(numbers[rows, candidates], words[rows, candidates], images.pieces[rows])
        apart = (expected_ratios(contrast, stated(candidate))[:, visible] - own).abs() / own.clamp_min(1.0)
        found[rows, candidates] += apart.amax(1).float()
    return found


def stated(fields: FieldBatch) -> Stated:
    """Return what records say of the acquisition, as the signal equations take it."""
    at = {field.name: fields.numbers[:, place] for place, field in enumerate(NUMBERS)}
    word = {name: fields.categories[:, place] for place, name in enumerate(VOCABULARY)}
    return Stated(
        field_t=at["field_strength_t"],
        tr_s=at["repetition_time_s"],
        te_s=at["echo_time_s"],
        ti_s=at["inversion_time_s"],
        fa_deg=at["flip_angle_deg"],
        is_variable=word["flip_angle_kind"] == 2,
        is_post_contrast=word["contrast_agent"] == 2,
    )
