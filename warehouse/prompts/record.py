"""Typed record of a prompt, and the paper's sentence for it.

`render.sql` writes the same sentence in SQL; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PromptRecord:
    """Fields of a prompt about one image; unknown ones are None.

    Parameters
    ----------
    contrast : str, optional
        BIDS suffix: T1w, T2w, PDw, FLAIR, T2starw, SWI or angio.
    post_contrast : bool
        True after a contrast agent (`ce` entity).
    vendor, model : str, optional
        Manufacturer and model of the scanner, in their canonical spelling.
    field_strength_t : float, optional
        Nominal field strength, tesla.
    age_years : float, optional
    sex : str, optional
        M, F or O.
    voxel_size_mm : tuple of 3 floats, optional
        Along the first, second and third voxel axis.
    repetition_time_s, echo_time_s, inversion_time_s : float, optional
    flip_angle_deg : float, optional
    flip_angle_variable : bool
        True where the flip angle varies along the echo train, as in SPACE, CUBE or VISTA.
    words : tuple of str
        Words of a prompt that no field holds, in lower case; no part of the sentence or of the catalogue.
    """

    contrast: str | None = None
    post_contrast: bool = False
    vendor: str | None = None
    model: str | None = None
    field_strength_t: float | None = None
    age_years: float | None = None
    sex: str | None = None
    voxel_size_mm: tuple[float, float, float] | None = None
    repetition_time_s: float | None = None
    echo_time_s: float | None = None
    inversion_time_s: float | None = None
    flip_angle_deg: float | None = None
    flip_angle_variable: bool = False
    words: tuple[str, ...] = ()


def render(record: PromptRecord) -> str:
    """Return the paper's sentence for a record, without its `words`; two spaces precede the last parenthesis.

    Times are in ms and angles in degrees, with one decimal; the age has one decimal at most; voxel sizes (mm) and the
    field strength (tesla) have one or two. Rounding is to the nearest decimal of the exact binary value, ties to even,
    as in the macros of `render.sql`. A missing value is written None.

    Examples
    --------
    >>> render(PromptRecord(contrast="T1w", repetition_time_s=2.5)).split("; ")[3]
    'Modality: T1w'
    """
    sizes = ", ".join(_float(size) for size in record.voxel_size_mm or (None, None, None))
    angle = "T2var" if record.flip_angle_variable else _one_decimal(record.flip_angle_deg)
    times = (record.repetition_time_s, record.echo_time_s, record.inversion_time_s)
    parameters = ", ".join([*(_one_decimal(None if time is None else 1000 * time) for time in times), angle])
    return (
        f"Age: {_age(record.age_years)}; Gender: {record.sex}; "
        f"Scanner: {_float(record.field_strength_t)} {record.vendor}; "
        f"Modality: {contrast_label(record.contrast, record.post_contrast)}; Voxel size: ({sizes}); "
        f"Imaging parameter TR(ms), TE(ms), TI(ms), and FA(degree):  ({parameters})"
    )


def contrast_label(contrast: str | None, post_contrast: bool) -> str | None:
    """Return the contrast with the prefix ce after a contrast agent, e.g. ceT1w."""
    return f"ce{contrast}" if contrast is not None and post_contrast else contrast


def _one_decimal(number: float | None) -> str:
    return "None" if number is None else f"{number:.1f}"


def _age(years: float | None) -> str:
    return _one_decimal(years).removesuffix(".0")


def _float(number: float | None) -> str:
    return "None" if number is None else f"{number:.2f}".removesuffix("0")
