from __future__ import annotations

import pytest

from warehouse.ingest.labels import Matched, match


@pytest.mark.parametrize(
    ("table", "folder"),
    [("1", "001"), ("001", "1"), ("S1", "S01"), ("sub001", "001"), ("s01", "S01"), ("A1B02", "a01b2")],
)
def test_a_label_that_differs_by_padding_case_or_prefix_is_matched(table: str, folder: str) -> None:
    assert match([table], [folder, "other"]) == Matched({table: folder})


def test_an_exact_label_is_always_its_own() -> None:
    found = match(["1", "01"], ["1", "01"])
    assert (found.of("1"), found.of("01")) == ("1", "01")
    assert found == Matched()


@pytest.mark.parametrize(
    ("table", "folders", "ambiguous"),
    [(["1"], ["01", "001"], {"1"}), (["1", "01"], ["001"], {"1", "01"}), (["1", "001"], ["001"], {"1"})],
)
def test_a_label_that_fits_twice_is_matched_with_none(
    table: list[str], folders: list[str], ambiguous: set[str]
) -> None:
    found = match(table, folders)
    assert found.same == {}
    assert found.ambiguous == ambiguous


@pytest.mark.parametrize(("table", "folder"), [("1", "2"), ("10", "1"), ("100", "1"), ("A1", "B1"), ("12", "1")])
def test_other_labels_are_not_matched(table: str, folder: str) -> None:
    assert match([table], [folder]) == Matched()
