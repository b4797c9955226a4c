from __future__ import annotations

from dataclasses import replace

import pytest

from warehouse.imaging.nifti import Header
from warehouse.ingest.eligibility import contrast_of, judge

VOLUME = Header((5, 6, 7), (1, 1, 1), tuple(map(float, "1000010000100001")), 1, 1, "int16", "mm", "sec", None, None)


@pytest.mark.parametrize("suffix", ["T1w", "T2w", "PDw", "FLAIR", "T2starw", "swi", "angio"])
def test_a_whole_image_of_one_contrast_is_eligible(suffix: str) -> None:
    eligible, _ = judge({}, suffix, VOLUME, None, derived=False)
    assert eligible
    assert contrast_of(suffix) is not None


def test_post_contrast_t1w_is_eligible() -> None:
    assert judge({"ce": "gd"}, "T1w", VOLUME, None, derived=False)[0]


def test_an_image_that_was_not_fetched_is_judged_by_its_name() -> None:
    eligible, reason = judge({}, "T1w", None, None, derived=False)
    assert eligible
    assert "header unseen" in reason


@pytest.mark.parametrize(
    ("suffix", "entities", "word"),
    [
        ("mask", {}, "mask"),
        ("defacemask", {"mod": "T1w"}, "mask"),
        ("roi", {}, "region"),
        ("dseg", {}, "segmentation"),
        ("dwi", {}, "diffusion"),
        ("bold", {}, "functional"),
        ("T1map", {}, "map"),
        ("R2starmap", {}, "map"),
        ("phasediff", {}, "field map"),
        ("mp2rage", {"inv": "1"}, "inversion"),
        ("T1w", {"inv": "2"}, "inversion"),
        ("GRE", {"coil": "3"}, "gradient echoes"),
        ("T2starw", {"coil": "3"}, "coil"),
        ("T2starw", {"echo": "2"}, "echo"),
        ("T2starw", {"part": "phase"}, "phase"),
        ("FLASH", {}, "parametric"),
        ("T1w", {"desc": "preproc"}, "derivative"),
        ("FLAIR", {"ce": "gd"}, "post-contrast"),
        ("T2star", {}, "deprecated"),
        ("xyz", {}, "none of the seven"),
        (None, {}, "no suffix"),
    ],
)
def test_what_is_no_whole_weighted_image_is_not_eligible_and_says_why(
    suffix: str | None, entities: dict[str, str], word: str
) -> None:
    eligible, reason = judge(entities, suffix, VOLUME, None, derived=False)
    assert not eligible
    assert word in reason


def test_a_derivative_is_not_eligible() -> None:
    assert judge({}, "T1w", VOLUME, None, derived=True) == (False, "a derivative")


def test_the_definition_has_the_last_word() -> None:
    assert judge({}, "T1w", VOLUME, "coregistered copy", derived=False) == (False, "coregistered copy")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": (5, 6, 7, 4)}, "4 volumes"),
        ({"shape": (5, 6)}, "no volume"),
        ({"shape": (5, 6, 1)}, "no volume"),
        ({"qform_code": 0, "sform_code": 0}, "left and right"),
        ({"dtype": "[('R', 'u1'), ('G', 'u1'), ('B', 'u1')]"}, "voxels"),
        ({"dtype": "complex64"}, "voxels"),
    ],
)
def test_a_header_that_is_no_scalar_volume_with_orientation_is_not_eligible(
    change: dict[str, object], word: str
) -> None:
    eligible, reason = judge({}, "T1w", replace(VOLUME, **change), None, derived=False)
    assert not eligible
    assert word in reason


def test_a_fourth_axis_of_one_volume_is_no_harm() -> None:
    assert judge({}, "T1w", replace(VOLUME, shape=(5, 6, 7, 1)), None, derived=False)[0]
