"""Reading prompts: the paper's sentence exactly, and what people write instead of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.prompt import words
from model.prompt.parse import parse_prompt
from warehouse.errors import PromptError
from warehouse.prompt import PromptRecord, render
from warehouse.tables.core import CONTRASTS

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
    vendor=st.sampled_from([None, *words.VENDORS, "Ünknown; 'x'", "Acme Imaging, Ltd."]),
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
        pytest.param("Voxel size: (a, b, c)", "'a' is no number", id="words for numbers"),
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
    assert caught.value.mend


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(PromptError, match="not int"):
        parse_prompt(3)  # type: ignore[arg-type]


def test_a_long_prompt_is_read_in_a_moment() -> None:
    assert parse_prompt("; ".join(["TE 90 ms"] * 2000)).echo_time_s == 0.09
    with pytest.raises(PromptError, match="not understood"):
        parse_prompt("x" * 100_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("T2w.", {"contrast": "T2w"}),
        ("T2w; TE 90 ms!", {"contrast": "T2w", "echo_time_s": 0.09}),
        ("3D T1w", {"contrast": "T1w"}),
        ("axial T2w", {"contrast": "T2w"}),
        ("sagittal 3-D T1 MRI", {"contrast": "T1w"}),
        ("Modality: axial T2w.", {"contrast": "T2w"}),
        ("Modality: T1 C+", {"contrast": "T1w", "post_contrast": True}),
        ("T1 C+", {"contrast": "T1w", "post_contrast": True}),
        ("T1+C", {"contrast": "T1w", "post_contrast": True}),
        ("T1w + Gd", {"contrast": "T1w", "post_contrast": True}),
        ("T1 post", {"contrast": "T1w", "post_contrast": True}),
        ("T1w with gadolinium", {"contrast": "T1w", "post_contrast": True}),
        ("Age: 6 months", {"age_years": 0.5}),
        ("Age (months): 18", {"age_years": 1.5}),
        ("18-month-old boy", {"age_years": 1.5, "sex": "M"}),
        ("3 weeks old", {"age_years": 0.0575}),
        ("10 days of age", {"age_years": 0.0274}),
        ("1 mm³", {"voxel_size_mm": (1.0, 1.0, 1.0)}),
        ("voxel size 1×1×1 mm³", {"voxel_size_mm": (1.0, 1.0, 1.0)}),
        ("T2w voxel size 2×2×2 mm", {"contrast": "T2w", "voxel_size_mm": (2.0, 2.0, 2.0)}),
        ("TE 90000 \u00b5s", {"echo_time_s": 0.09}),
        ("TE 90000 \u03bcs", {"echo_time_s": 0.09}),
        ("ＴＥ＝９０ｍｓ", {"echo_time_s": 0.09}),
        ("TE\u00a090\u202fms", {"echo_time_s": 0.09}),
        ("T2\u2011FLAIR", {"contrast": "FLAIR"}),
        ("TR 3,2 s", {"repetition_time_s": 3.2}),
        ("TR 5,000 ms", {"repetition_time_s": 5.0}),
        ("1,5 T", {"field_strength_t": 1.5}),
    ],
)
def test_what_people_write_is_understood(text: str, said: dict[str, object]) -> None:
    assert parse_prompt(text) == PromptRecord(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("8 mm³", "may be a volume"),
        ("Age (months): 6 years", "two units"),
        ("age 6 months, age 3", "contradicts itself"),
        ("T1 C+ without contrast", "contradicts itself"),
    ],
)
def test_what_is_ambiguous_or_contradicts_itself_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(PromptError, match=reason) as refusal:
        parse_prompt(text)
    assert refusal.value.mend


ODD_PIECES = (
    *("TE", "TR", "90", "ms", "\u00b5s", "\u03bcs", "m\u017f", "mm³", "²", "٣", "１", "\u212a", "İ", "ſ", "T1", "C+"),
    *("(", ")", "+", "-", "voxel size", "age", "months", "none", "1e999", "×", ":", "=", ";", ",", ".", "1,000"),
    *("nan", "scanner", "\ud800"),
)
ODD_LISTS = st.lists(st.sampled_from(ODD_PIECES) | st.text(max_size=3), max_size=8).map(" ".join)
ANY_TEXT = st.text() | ODD_LISTS


def understood_or_refused(text: str) -> None:
    with suppress(PromptError):
        assert isinstance(parse_prompt(text), PromptRecord)


@settings(max_examples=400, deadline=None)
@given(ANY_TEXT)
def test_no_text_of_whatever_characters_ends_in_another_error(text: str) -> None:
    understood_or_refused(text)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(ANY_TEXT)
def test_ten_thousand_texts_of_all_of_unicode_end_in_no_other_error(text: str) -> None:
    understood_or_refused(text)
