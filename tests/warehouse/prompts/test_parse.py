"""Reading prompts: the paper's sentence exactly, and what people write instead of it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.errors import PromptError
from warehouse.prompts import vocabulary
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.record import PromptRecord, render
from warehouse.prompts.vocabulary import CONTRASTS

PUBLISHED_T1W = (
    "Age: 12; Gender: M; Scanner: 3.0 Siemens; Modality: T1w; Voxel size: (0.8, 0.8, 0.8); "
    "Imaging parameter TR(ms), TE(ms), TI(ms), and FA(degree):  (2500.0, 2.2, 1000.0, 8.0)"
)
T1W = PromptRecord("T1w", False, "Siemens", None, 3.0, 12.0, "M", (0.8, 0.8, 0.8), 2.5, 0.0022, 1.0, 8.0)
PIECES = [
    *"();,:=x -.0",
    "TR",
    "TE",
    "(ms)",
    "None",
    "3",
    "0.8",
    "Voxel size",
    "Imaging parameter",
    "Scanner",
    "T1w",
    "ce",
]
PIECES += ["Age", "Sex", "FA", "mm", " T ", "contrast", "Siemens", "years", "²", "٣", "1e9", "nan"]


def tenths(low: int, high: int, unit: str = "1") -> st.SearchStrategy[float | None]:
    """Decimals with one place, times a unit; or nothing."""
    return st.none() | st.integers(low, high).map(lambda number: float(Decimal(number) / 10 * Decimal(unit)))


RECORDS = st.builds(
    PromptRecord,
    contrast=st.sampled_from([None, *CONTRASTS]),
    vendor=st.sampled_from([None, *vocabulary.VENDORS, "Ünknown; 'x'", "Acme Imaging, Ltd."]),
    field_strength_t=tenths(1, 250),
    age_years=tenths(0, 1200),
    sex=st.sampled_from([None, "M", "F", "O"]),
    voxel_size_mm=st.none() | st.tuples(*[st.integers(1, 4999).map(lambda number: number / 100)] * 3),
    repetition_time_s=st.none() | tenths(10_001, 599_999, "0.001"),
    echo_time_s=tenths(1, 9_999, "0.001"),
    inversion_time_s=tenths(1, 99_999, "0.001"),
    flip_angle_deg=tenths(1, 3600),
)


@settings(deadline=None, max_examples=150)
@given(RECORDS, st.booleans(), st.booleans())
def test_the_papers_sentence_comes_back_as_the_record(record: PromptRecord, is_enhanced: bool, varies: bool) -> None:
    record = replace(record, post_contrast=is_enhanced and record.contrast is not None)
    record = replace(record, flip_angle_variable=True, flip_angle_deg=None) if varies else record
    assert parse_prompt(render(record)) == record


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    with suppress(PromptError):  # and nothing else: no error of a regular expression, a number or an index
        assert isinstance(parse_prompt(text), PromptRecord)


@settings(deadline=None, max_examples=40)
@given(st.permutations(PUBLISHED_T1W.split("; ")), st.sampled_from(["; ", ", ", "\n", ";"]))
def test_fields_may_stand_in_any_order(fields: list[str], separator: str) -> None:
    assert parse_prompt(separator.join(fields)) == T1W


def test_nothing_known_is_an_empty_record() -> None:
    assert parse_prompt(render(PromptRecord())) == PromptRecord()


def test_quotes_around_the_sentence_are_no_part_of_it() -> None:
    assert parse_prompt(f' "{PUBLISHED_T1W}" ') == T1W


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("T2w", {"contrast": "T2w"}),
        ("T2-weighted", {"contrast": "T2w"}),
        ("t2*", {"contrast": "T2starw"}),
        ("T2 FLAIR", {"contrast": "FLAIR"}),
        ("T2-weighted FLAIR", {"contrast": "FLAIR"}),
        ("proton density", {"contrast": "PDw"}),
        ("TOF MRA", {"contrast": "angio"}),
        ("Contrast: T1Gd", {"contrast": "T1w", "post_contrast": True}),
        ("post-contrast T1w", {"contrast": "T1w", "post_contrast": True}),
        ("T1w; contrast agent: none", {"contrast": "T1w"}),
        ("Modality=FLAIR\nSex: female", {"contrast": "FLAIR", "sex": "F"}),
        ("3T Siemens", {"field_strength_t": 3.0, "vendor": "Siemens"}),
        ("Scanner: GE MEDICAL SYSTEMS 1.5 T", {"field_strength_t": 1.5, "vendor": "GE"}),
        ("Scanner: 3.0 Siemens Prisma_fit", {"field_strength_t": 3.0, "vendor": "Siemens", "model": "Prisma fit"}),
        ("Scanner: None Philips", {"vendor": "Philips"}),
        ("Scanner: 7.0 None", {"field_strength_t": 7.0}),
        ("Scanner: Acme", {"vendor": "Acme"}),
        ("field strength 0.55 T", {"field_strength_t": 0.55}),
        ("TR(s): 2.5; TE(ms): 2.2", {"repetition_time_s": 2.5, "echo_time_s": 0.0022}),
        ("TR(ms) 2500 TE(s) 0.0022", {"repetition_time_s": 2.5, "echo_time_s": 0.0022}),
        ("TR 3.2 s, TE = 90ms, TI None", {"repetition_time_s": 3.2, "echo_time_s": 0.09}),
        ("echo time 90", {"echo_time_s": 0.09}),
        ("TR 2500 TI 900", {"repetition_time_s": 2.5, "inversion_time_s": 0.9}),
        ("Imaging parameters TE(ms), TR(s): (90, 3.2)", {"repetition_time_s": 3.2, "echo_time_s": 0.09}),
        ("FA T2var", {"flip_angle_variable": True}),
        ("flip angle 9°", {"flip_angle_deg": 9.0}),
        ("Voxel size: 0.9 x 0.9 x 3 mm", {"voxel_size_mm": (0.9, 0.9, 3.0)}),
        ("0.8 mm isotropic", {"voxel_size_mm": (0.8, 0.8, 0.8)}),
        ("Voxel size: (None, None, None)", {}),
        ("34.1 years old woman", {"age_years": 34.1, "sex": "F"}),
        ("age 0", {"age_years": 0.0}),
        ("TE 90; TE(s): 0.09", {"echo_time_s": 0.09}),
    ],
)
def test_the_same_in_other_words(text: str, said: dict[str, object]) -> None:
    assert parse_prompt(text) == PromptRecord(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "empty", id="nothing"),
        pytest.param("banana", "'banana'", id="an unknown word"),
        pytest.param("siemnes 3T", "did you mean Siemens", id="a slip of the pen"),
        pytest.param("T1w with a hat", "'hat'", id="an unknown word among known ones"),
        pytest.param("Modality: CT", "contrasts are T1w", id="an unknown contrast"),
        pytest.param("T1w T2w", "the contrast is T1w and T2w", id="two contrasts"),
        pytest.param("TE 90, TE 100", "TE is 0.09 and 0.1", id="two echo times"),
        pytest.param("ceT1w without contrast", "contrast agent", id="an agent and none"),
        pytest.param("TR 50 TE 90", "TE 90 ms is not shorter than TR 50 ms", id="an echo after the repetition"),
        pytest.param("TR 2500 TE 2.5 s", "TE cannot be 2.5 s", id="seconds and milliseconds confused"),
        pytest.param("TR(ms) 2.5 s", "two units", id="two units"),
        pytest.param("TE 0", "TE cannot be 0", id="zero is no echo time"),
        pytest.param("TE 1e999", "TE cannot be inf", id="infinity"),
        pytest.param("age -3", "age cannot be -3", id="a negative age"),
        pytest.param("age 121", "age cannot be 121", id="too old"),
        pytest.param("FA 361", "FA cannot be 361", id="more than a turn"),
        pytest.param("30T", "field strength cannot be 30", id="too strong"),
        pytest.param("Voxel size: (0.8, 0.8)", "one length in mm, or three", id="two voxel sizes"),
        pytest.param("Voxel size: (1, None, 1)", "one length in mm, or three", id="a part of the voxel size"),
        pytest.param("Voxel size: (a, b, c)", "'a' is not a number", id="words for numbers"),
        pytest.param("Imaging parameter TR(ms), TE(ms): (1, 2, 3)", "3 imaging parameters", id="too many parameters"),
        pytest.param("Gender: x", "sex 'x'", id="an unknown sex"),
        pytest.param("FA 8; flip angle variable", "8 and variable", id="a fixed angle that varies"),
        pytest.param("TR", "'TR'", id="a name without a value"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(text: str, reason: str) -> None:
    with pytest.raises(PromptError) as caught:
        parse_prompt(text)
    assert reason in str(caught.value)
    assert caught.value.remedy


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(PromptError, match="not int"):
        parse_prompt(3)  # type: ignore[arg-type]


def test_a_long_prompt_is_read_in_a_moment() -> None:
    assert parse_prompt("; ".join(["TE 90 ms"] * 2000)).echo_time_s == 0.09
    for piece in ("x", "9", "-", "1x", "T", "(", "age 1 y ", "9,", "ce "):
        with pytest.raises(PromptError):
            parse_prompt(piece * (20_000 // len(piece)) + "!?x")


def understood(text: str, **said: object) -> None:
    assert parse_prompt(text) == PromptRecord(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["T2w.", "T2w!", "T2w?", "T2w…", "T2w。", "(T2w)", "[T2w].", '"T2w".', "«T2w»", "T2w:", "- T2w", "• T2w", "T2w -"],
)
def test_punctuation_around_a_word_is_no_part_of_it(text: str) -> None:
    understood(text, contrast="T2w")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "axial T2w",
            "Ax. T2",
            "T2 tra",
            "coronal T2",
            "oblique T2-weighted image",
            "T2w, sagittal plane",
            "T2w (cor)",
        ),
        *("3D T2w", "3D-T2w", "2-D T2", "3 D T2WI", "whole-brain T2w MRI", "T2 TSE", "T2 turbo spin echo", "T2_w"),
        *("please synthesize a T2w scan of the brain", "Modality: axial T2w.", "Contrast: 3D T2", "T₂-weighted"),
    ],
)
def test_planes_dimensions_and_courtesy_change_no_contrast(text: str) -> None:
    understood(text, contrast="T2w")


@pytest.mark.parametrize(
    ("text", "contrast"),
    [
        *[(text, "FLAIR") for text in ("T2-FLAIR", "T2FLAIR", "FLAIR T2", "T2w-FLAIR", "T2\u2011FLAIR", "dark fluid")],
        *[(text, "T2starw") for text in ("T2*", "T2*w", "T2* weighted", "T2 star", "T2∗", "T2 GRE", "GRE T2*")],
        *[(text, "angio") for text in ("TOF", "TOF-MRA", "3D TOF", "time-of-flight angiography", "MR angiography")],
        *[(text, "PDw") for text in ("PD", "PD-weighted", "proton-density weighted", "PDWI")],
        *[(text, "T1w") for text in ("T1 MPRAGE", "T1-MPRAGE", "MP-RAGE", "T1 FSPGR", "T1WI", "T1weighted")],
    ],
)
def test_contrasts_have_many_names(text: str, contrast: str) -> None:
    understood(text, contrast=contrast)


@pytest.mark.parametrize(
    "text",
    [
        *("T1 C+", "T1 c+", "T1C+", "T1+C", "T1 + C", "T1w + Gd", "T1+contrast", "T1 Gd", "T1-Gd", "T1Gd", "T1 Gd+"),
        *("T1ce", "T1 CE", "CE-T1w", "ce T1", "Gd-T1w", "Gd-enhanced T1w", "gadolinium enhanced T1", "enhanced T1w"),
        *("contrast-enhanced T1w", "T1 post", "T1w postcontrast", "post-Gd T1", "T1w post-contrast administration"),
        *("T1w after Gd injection", "T1w with contrast", "T1w with contrast medium", "T1 w/ Gd", "T1w Gd-DTPA"),
        *("T1w with gadobutrol", "Modality: T1 C+", "T1w; contrast agent: yes", "T1w (gadolinium)", "T1w with GBCA"),
    ],
)
def test_a_contrast_agent_has_many_names(text: str) -> None:
    understood(text, contrast="T1w", post_contrast=True)


@pytest.mark.parametrize(
    "text",
    [
        *("T1w without contrast", "T1 w/o contrast", "T1w no Gd", "pre-contrast T1w", "T1 pre", "T1 C-", "native T1w"),
        *("non-contrast T1w", "unenhanced T1", "T1w non-enhanced", "T1w; contrast agent: no", "T1w before contrast"),
    ],
)
def test_no_contrast_agent_has_many_names_and_is_no_agent(text: str) -> None:
    understood(text, contrast="T1w")


@pytest.mark.parametrize(
    ("text", "years"),
    [
        *[
            (text, 0.5)
            for text in ("Age: 6 months", "6 mo old", "6-month-old", "age (months): 6", "Age: 006M", "6 mths")
        ],
        *[(text, 0.0383) for text in ("age 2 weeks", "2 wks old", "age 2w", "age: 002W")],
        *[(text, 0.0274) for text in ("10 days of age", "age 10d", "10-day-old", "age in days: 10")],
        *[(text, 1.5) for text in ("1 year and 6 months old", "Age: 1 y 6 mo", "1 year, 6 months", "18 months")],
        *[(text, 34.0) for text in ("age=34", "Age 034Y", "34 y/o", "34 y.o.", "aged 34 yrs.", "34yo", "34-year-old")],
        ("Age: 34,5", 34.5),
    ],
)
def test_an_age_in_any_unit_becomes_years(text: str, years: float) -> None:
    understood(text, age_years=years)


def test_a_sex_may_follow_an_age() -> None:
    understood("34F", age_years=34.0, sex="F")
    understood("34/M", age_years=34.0, sex="M")
    understood("18-month-old boy.", age_years=1.5, sex="M")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1 mm³",
            "1mm3",
            "1 mm^3",
            "1 mm**3",
            "1 cubic mm",
            "1 mm isotropic",
            "1mm iso",
            "1-mm isotropic",
            "iso 1 mm",
        ),
        *("isotropic voxel size of 1 mm", "1 mm isotropic voxels", "1mm isotropic resolution", "cubic voxels 1 mm"),
        *("1x1x1", "1 X 1 X 1 mm", "1×1×1 mm³", "1 mm × 1 mm × 1 mm", "1mm*1mm*1mm", "1 by 1 by 1 mm", "1✕1✕1mm"),
        *("[1, 1, 1] mm", "Voxel size: [1,1,1]", "Voxel size: (1 mm, 1 mm, 1 mm)", "Voxel size (mm): 1 x 1 x 1"),
        *("resolution 1 millimetre", "1000 µm", "voxel size 1000 \u03bcm isotropic", "1,0 × 1,0 × 1,0 mm"),
    ],
)
def test_a_voxel_size_has_many_notations(text: str) -> None:
    understood(text, voxel_size_mm=(1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "text",
    [
        *("TR=5000ms", "TR5000", "TR 5000ms", "TR: 5 s.", "TR ~ 5000 ms", "TR – 5000", "TR 5,000 ms", "TR 5 000 ms"),
        *("TR 5,0 s", "TR 5 secs", "TR 5000000 µs", "TR 5000000 \u03bcs", "TR 5000000 usec", "ＴＲ＝５０００ｍｓ"),
        *("TR in ms: 5000", "repetition time (TR) = 5000 ms", "repetition-time 5000", "RepetitionTime: 5 s", "TR ٥٠٠٠"),
    ],
)
def test_a_time_has_many_notations(text: str) -> None:
    understood(text, repetition_time_s=5.0)


def test_names_and_values_may_be_divided_by_slashes() -> None:
    understood("TR/TE 5000/90 ms", repetition_time_s=5.0, echo_time_s=0.09)
    understood("TR/TE/FA = 8/3.1/12", repetition_time_s=0.008, echo_time_s=0.0031, flip_angle_deg=12.0)


def test_a_field_that_follows_without_a_separator_is_no_part_of_a_scanner_or_size() -> None:
    scanner = {"field_strength_t": 3.0, "vendor": "Siemens", "model": "Prisma"}
    understood("Scanner: 3T Siemens Prisma TE 90 ms", echo_time_s=0.09, **scanner)
    understood("Siemens MAGNETOM Prisma scanner at 3-T", **scanner)
    understood("voxel size 1 mm, 3T", voxel_size_mm=(1.0, 1.0, 1.0), field_strength_t=3.0)
    understood("Modality: T2w TE 90 ms", contrast="T2w", echo_time_s=0.09)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("8 mm³", "may be a volume"),
        ("Age: 6m", "6 months, or a male of 6 years"),
        ("Age (months): 6 years", "two units"),
        ("voxel size (mm): 500 µm", "two units"),
        ("EchoTime 0.09", "seconds in BIDS and in milliseconds in DICOM"),
        ("TR/TE 5000", "not understood"),
        ("TR/TE 5/90/3", "2 names for 3 values"),
        ("TR 10³ ms", "not understood"),
        ("TR 5,000", "not understood"),
        ("isotropic T1w", "without a size"),
        ("voxel size", "without a size"),
        ("contrast agent: banana", "'banana'"),
        ("38 weeks gestational age", "'gestational'"),
        ("TE 1e9999999", "is not a number"),
        ("the image, please.", "does not describe an image"),
        ("T1w\ud800", "not a text character"),
    ],
)
def test_what_is_ambiguous_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(PromptError, match=re.escape(reason)) as refusal:
        parse_prompt(text)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("age 6 months, age 3", "0.5", "3.0"),
        ("6 months, 3 years old", "0.5", "3.0"),
        ("T1 C+ without contrast", "given", "not given"),
        ("1 x 1 x 3 mm isotropic", "1 × 1 × 3", "isotropic"),
        ("1 mm, 2 mm", "(1.0, 1.0, 1.0)", "(2.0, 2.0, 2.0)"),
        ("T1 FLAIR", "T1w", "FLAIR"),
        ("Siemens Prisma, vendor: GE", "Siemens", "GE"),
        ("34F, male", "F", "M"),
    ],
)
def test_a_contradiction_is_refused_with_both_sides(text: str, first: str, second: str) -> None:
    with pytest.raises(PromptError, match="contradicts itself") as refusal:
        parse_prompt(text)
    assert first in str(refusal.value)
    assert second in str(refusal.value)


ODD_PIECES = (
    *("TE", "TR", "90", "ms", "\u00b5s", "\u03bcs", "m\u017f", "mm³", "²", "٣", "１", "\u212a", "İ", "ſ", "T1", "C+"),
    *("(", ")", "+", "-", "voxel size", "age", "months", "none", "1e999", "×", ":", "=", ";", ",", ".", "1,000"),
    *("nan", "scanner", "\ud800", "TR/TE", "1e9999999", "iso", "contrast", "without", "6m", "[", "y/o", "EchoTime"),
)
ODD_LISTS = st.lists(st.sampled_from(ODD_PIECES) | st.text(max_size=3), max_size=8).map(" ".join)
ANY_TEXT = st.text() | ODD_LISTS


def understood_or_refused(text: str) -> None:
    with suppress(PromptError):
        assert isinstance(parse_prompt(text), PromptRecord)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(ANY_TEXT)
def test_no_text_of_whatever_characters_ends_in_another_error(text: str) -> None:
    understood_or_refused(text)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(ANY_TEXT)
def test_ten_thousand_texts_of_all_of_unicode_end_in_no_other_error(text: str) -> None:
    understood_or_refused(text)
