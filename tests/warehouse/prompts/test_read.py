"""Lenient reading: words are kept and reported, numbers never ignored or misread."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.warehouse.prompts.test_parse import PUBLISHED_T1W, T1W
from warehouse.errors import PromptError
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.read import read_prompt
from warehouse.prompts.record import PromptRecord, render

WORDS = ("lesion", "Tumour", "left", "hippocampal", "sclerosis", "motion", "artefact", "noisy", "space", "a", "banana")
FIELDS = ("T2w", "TE 90 ms", "3T Siemens", "age 34 years", "voxel size 1 mm", "FA 120 degrees", "female")


def test_words_are_kept_in_lower_case_in_order_and_once() -> None:
    read = read_prompt("T2w, Lesion in the LEFT temporal lobe, lesion; TE 90")
    assert read.record == PromptRecord("T2w", echo_time_s=0.09, words=("lesion", "left", "temporal", "lobe"))
    assert read.not_understood == ("Lesion", "LEFT", "temporal", "lobe", "lesion")


def test_a_similar_spelling_is_suggested_and_not_applied() -> None:
    read = read_prompt("T2w, Siemnes")
    assert read.suggestions == {"Siemnes": "Siemens"}
    assert read.record == PromptRecord("T2w", words=("siemnes",))


def test_words_alone_are_no_field() -> None:
    assert not read_prompt("banana").has_field
    assert read_prompt("TE None").has_field


@pytest.mark.parametrize("text", ["T2w high resolution", "T2w, isotropic", "T2w brain spacing"])
def test_a_word_about_size_without_a_size_is_a_word(text: str) -> None:
    read = read_prompt(text)
    assert read.record.voxel_size_mm is None
    assert read.record.words[-1] in ("resolution", "isotropic", "spacing")


@pytest.mark.parametrize(
    "text",
    [
        *("T2w 12", "T2w T1rho", "T2w \u00bd dose", "T2w lesion=3", "TE ninety", "TR"),  # leftovers
        *("lesion of 12 mm", "slice thickness 5 mm", "echo spacing 7", "temporal resolution 2", "1x1x1 lesion"),
        *("6 months after surgery", "38 weeks gestational age", "gestational age 38 weeks", "age 6 monthz"),
        *("TR 3 sekonds", "TE 90 milisec", "FOV 256 mm", "matrix 32x32x32"),
        *("T1w T2w lesion", "TE 90, lesion, TE 100", "Modality: CT, lesion", "age 130, lesion", "TE 50 TR 20 lesion"),
    ],
)
def test_a_number_is_never_ignored_or_taken_from_another_quantity(text: str) -> None:
    with pytest.raises(PromptError):
        read_prompt(text)


@pytest.mark.parametrize(
    ("text", "years", "words"),
    [
        ("34-year-old epileptic woman", 34.0, ("epileptic",)),
        ("woman of 34 years with epilepsy, T2w", None, None),
        ("female, 34 years, epilepsy", 34.0, ("epilepsy",)),
    ],
)
def test_an_age_is_read_beside_words_only_if_it_must_be_one(
    text: str, years: float | None, words: tuple[str, ...] | None
) -> None:
    if words is None:
        with pytest.raises(PromptError, match="beside 'epilepsy'"):
            read_prompt(text)
    else:
        assert read_prompt(text).record == PromptRecord(age_years=years, sex="F", words=words)


def test_a_space_is_a_sequence_only_beside_a_contrast() -> None:
    assert parse_prompt("T2w SPACE") == parse_prompt("CUBE T2w") == PromptRecord("T2w", flip_angle_variable=True)
    assert parse_prompt("FLAIR 3D SPACE").flip_angle_variable
    assert read_prompt("T2w, perivascular space").record == PromptRecord("T2w", words=("perivascular", "space"))
    with pytest.raises(PromptError, match="120 and variable"):
        parse_prompt("T2w SPACE, FA 120")


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(FIELDS), unique=True), st.lists(st.sampled_from(WORDS)), st.randoms())
def test_words_between_commas_change_no_field(fields: list[str], words: list[str], random: object) -> None:
    mixed = [*fields, *words, "T2w"]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    record = read_prompt(", ".join(mixed)).record
    kept = tuple(dict.fromkeys(word.lower() for word in mixed if word in WORDS and word != "a"))
    bare = parse_prompt(", ".join([*fields, "T2w"]))
    assert record == PromptRecord(**(vars(bare) | {"words": kept}))


def test_what_the_strict_parser_reads_is_read_alike() -> None:
    read = read_prompt(PUBLISHED_T1W)
    assert (read.record, read.not_understood) == (T1W, ())
    assert "lesion" not in render(read_prompt("T2w, lesion").record)


@settings(deadline=None, max_examples=300)
@given(st.text() | st.lists(st.sampled_from((*FIELDS, *WORDS, ",", "+", "9", "\u0663", "-"))).map(" ".join))
def test_any_text_is_read_as_the_strict_parser_does_or_has_words_or_is_refused(text: str) -> None:
    with suppress(PromptError):
        read = read_prompt(text)
        assert not any(one.isnumeric() for word in read.not_understood for one in word)
        if not read.not_understood:
            assert parse_prompt(text) == read.record
