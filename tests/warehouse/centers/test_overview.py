"""The overview of centres in docs/ is what the shipped definitions say."""

import pytest

from warehouse.centers import overview
from warehouse.centers.registry import shipped


def test_the_overview_has_not_drifted_from_the_definitions() -> None:
    assert overview.DOCUMENT.read_text(encoding="utf-8") == overview.text(), "run python -m warehouse.centers.overview"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_centre_says_where_to_get_access(name: str) -> None:
    assert overview.addresses(shipped()[name])


def test_each_centre_is_a_row_and_a_section_with_its_terms() -> None:
    text = overview.text()
    for center in shipped().values():
        assert f"[`{center.center_id}`](#{center.center_id})" in text
        _, section = text.split(f"\n## {center.center_id}\n")
        section = section.split("\n## ")[0]
        assert center.title in section
        assert f"Licence: {center.license}\n" in section
        assert all(f"<{address}>" in section for address in overview.addresses(center))


def test_a_full_stop_or_bracket_after_an_address_is_no_part_of_it() -> None:
    center = shipped()["ixi"].model_copy(update={"access": "See https://a.org/b.html. Or B (https://c.org/d)."})
    assert overview.addresses(center) == ["https://a.org/b.html", "https://c.org/d"]
