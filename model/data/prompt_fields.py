"""A prompt's record as numbers that networks take."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from warehouse.errors import PromptError
from warehouse.prompts.record import PromptRecord, contrast_label
from warehouse.prompts.vocabulary import CONTRAST_LABELS, SEXES, VENDORS


@dataclass(frozen=True)
class NumberField:
    """A quantity, and the range in which it usually lies.

    Parameters
    ----------
    name : str
        With its unit.
    low, high : float
        Usual range, in that unit: its logarithm becomes −1 to 1 for the network. Values beyond it are allowed.
    offset : float
        Added before the logarithm, where 0 is a value.
    """

    name: str
    low: float
    high: float
    offset: float = 0.0


NUMBERS = (
    NumberField("field_strength_t", 0.05, 10.5),
    NumberField("age_years", 0.0, 100.0, 5.0),
    NumberField("voxel_size_i_mm", 0.3, 8.0),
    NumberField("voxel_size_j_mm", 0.3, 8.0),
    NumberField("voxel_size_k_mm", 0.3, 8.0),
    NumberField("repetition_time_s", 0.004, 15.0),
    NumberField("echo_time_s", 0.001, 0.6),
    NumberField("inversion_time_s", 0.1, 4.0),
    NumberField("flip_angle_deg", 1.0, 180.0),
)
# Index 0 is missing or unknown; the others follow in order.
VOCABULARY: dict[str, tuple[str, ...]] = {
    "contrast": CONTRAST_LABELS,
    "contrast_agent": ("none", "given"),
    "vendor": VENDORS,
    "sex": SEXES,
    "flip_angle_kind": ("fixed", "variable"),
}
N_PIECES = 2048  # into which pieces of words are hashed; few words are left over, so that they seldom meet
_PLACES = {name: {word: place for place, word in enumerate(known, 1)} for name, known in VOCABULARY.items()}


@dataclass(frozen=True)
class FieldBatch:
    """Records of several prompts.

    Parameters
    ----------
    numbers : (batch, n_numbers) float32 tensor
        In the order and units of `NUMBERS`; not a number where missing.
    categories : (batch, n_categories) int64 tensor
        In the order of `VOCABULARY`; 0 where missing or unknown.
    pieces : (batch, n_pieces) int64 tensor
        Pieces of the words that no field holds, 1 to `N_PIECES`; 0 where there are no more.
    """

    numbers: Tensor
    categories: Tensor
    pieces: Tensor

    def __len__(self) -> int:
        return self.numbers.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> FieldBatch:
        """Return some of the records."""
        return FieldBatch(self.numbers[rows], self.categories[rows], self.pieces[rows])

    def to(self, device: torch.device | str) -> FieldBatch:
        """Return the same on another device."""
        return FieldBatch(self.numbers.to(device), self.categories.to(device), self.pieces.to(device))


def encode_records(records: Sequence[PromptRecord]) -> FieldBatch:
    """Return records as numbers, on the CPU.

    Parameters
    ----------
    records : sequence of PromptRecord

    Raises
    ------
    PromptError
        When a number is not finite, or not positive where it must be.

    Examples
    --------
    >>> batch = encode_records([PromptRecord(contrast="T2w", echo_time_s=0.09), PromptRecord()])
    >>> batch.numbers.shape, batch.categories[:, 0].tolist()
    (torch.Size([2, 9]), [2, 0])
    """
    rows = [_numbers(record) for record in records]
    numbers = torch.tensor(rows, dtype=torch.float32).reshape(len(rows), len(NUMBERS))
    places = torch.tensor([_categories(record) for record in records], dtype=torch.int64)
    return FieldBatch(numbers, places.reshape(len(rows), len(VOCABULARY)), _pieces([one.words for one in records]))


def _pieces(words: Sequence[tuple[str, ...]]) -> Tensor:
    """Return pieces of three letters, hashed: a typo leaves most of a word's pieces as they are."""
    found = [[_hashed(piece) for word in each for piece in _trigrams(word)] for each in words]
    table = torch.zeros(len(words), max([1, *(len(each) for each in found)]), dtype=torch.int64)
    for row, each in enumerate(found):
        table[row, : len(each)] = torch.tensor(each, dtype=torch.int64)
    return table


def _hashed(piece: str) -> int:
    return 1 + zlib.crc32(piece.encode()) % N_PIECES


def _trigrams(word: str) -> list[str]:
    marked = f"<{word}>"
    return [marked[start : start + 3] for start in range(len(marked) - 2)]


def _numbers(record: PromptRecord) -> list[float]:
    found = (
        record.field_strength_t,
        record.age_years,
        *(record.voxel_size_mm or (None, None, None)),
        record.repetition_time_s,
        record.echo_time_s,
        record.inversion_time_s,
        None if record.flip_angle_variable else record.flip_angle_deg,
    )
    for value, field in zip(found, NUMBERS, strict=True):
        if value is not None and not 0 < value + field.offset < float("inf"):
            raise PromptError(
                f"{field.name} cannot be {value}", "give a positive number, or None where it is not known"
            )
    return [float("nan") if value is None else float(value) for value in found]


def _categories(record: PromptRecord) -> list[int]:
    label = contrast_label(record.contrast, record.post_contrast)
    agent = None if label is None else "given" if record.post_contrast else "none"
    fixed = None if record.flip_angle_deg is None else "fixed"
    kind = "variable" if record.flip_angle_variable else fixed
    contrast = label if label in _PLACES["contrast"] else record.contrast  # ceFLAIR: FLAIR, and an agent
    words = (contrast, agent, record.vendor, record.sex, kind)
    return [_PLACES[name].get(word or "", 0) for name, word in zip(VOCABULARY, words, strict=True)]
