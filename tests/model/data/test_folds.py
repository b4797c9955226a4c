"""People are dealt to folds once each, a centre's evenly, and the same people whoever asks."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from model.data.catalogue import CatalogueImages
from model.data.folds import CROSS_VALIDATION, DEALT, Fold, deal
from tests.model import tiny_home as homes
from tests.model.tiny_home import make_tiny_home
from tests.warehouse.conftest import Lab
from warehouse.errors import ModelError
from warehouse.lake.home import Home

CENTERS = {"alpha": 11, "beta": 5, "gamma": 1, "delta": 1, "omega": 1}
PEOPLE = [(f"{center}/{number}", center) for center, count in CENTERS.items() for number in range(count)]


def row(person: str, center: str, *, is_simulated: bool = False, is_flagged: bool = False) -> dict[str, object]:
    return {"person_id": person, "center_id": center, "is_simulated": is_simulated, "is_flagged": is_flagged}


def people_of(rows: list[dict[str, object]], split: str) -> set[object]:
    return {one["person_id"] for one in rows if one["split"] == split}


@pytest.mark.parametrize("n_folds", [2, 4, 5])
def test_every_person_is_in_one_fold_and_sizes_differ_by_one_at_most(n_folds: int) -> None:
    found = deal(PEOPLE, n_folds)
    assert found.keys() == dict(PEOPLE).keys()
    sizes = Counter(found.values())
    assert set(sizes) == set(range(n_folds))
    assert max(sizes.values()) - min(sizes.values()) <= 1


@pytest.mark.parametrize("center", CENTERS)
def test_every_fold_has_its_share_of_every_centre(center: str) -> None:
    sizes = Counter(fold for person, fold in deal(PEOPLE, 4).items() if person.startswith(center))
    assert max(sizes.values()) - min(sizes[fold] for fold in range(4)) <= 1


def test_folds_do_not_depend_on_the_order_of_images_or_on_how_many_a_person_has() -> None:
    images = PEOPLE * 3 + PEOPLE[:7]
    random.Random(0).shuffle(images)
    assert deal(images, 4) == deal(PEOPLE, 4)


def test_a_person_of_two_centres_is_dealt_once() -> None:
    traveller = [*PEOPLE, ("alpha/3", "beta"), ("alpha/3", "aaa")]
    for order in (traveller, traveller[::-1]):
        assert deal(order, 4).keys() == dict(PEOPLE).keys()
        assert deal(order, 4) == deal(traveller, 4)


def test_people_are_not_dealt_in_the_order_of_their_names() -> None:
    folds = deal([(f"{number:02d}", "alpha") for number in range(40)], 4)
    assert [folds[name] for name in sorted(folds)] != [number % 4 for number in range(40)]


def test_each_fold_holds_out_other_people_and_all_of_them_together() -> None:
    rows = [row(*person) for person in PEOPLE for _ in range(3)]
    held_out: list[object] = []
    for number in range(4):
        split = Fold(number, 4).split(rows)
        assert len(split) == len(rows)
        assert not people_of(split, CROSS_VALIDATION) & people_of(split, "train")
        held_out += people_of(split, CROSS_VALIDATION)
    assert sorted(map(str, held_out)) == sorted(dict(PEOPLE))


def test_simulated_people_are_never_mixed_with_real_ones() -> None:
    real, simulated = [row(*one) for one in PEOPLE], [row(f"s{n}", "made", is_simulated=True) for n in range(9)]
    everybody = Fold(0, 4).split([*simulated, *real])
    assert {one["is_simulated"] for one in everybody} == {False}
    assert everybody == Fold(0, 4).split(real)
    assert len(Fold(0, 4).split(simulated)) == 9


def test_people_without_a_usable_image_take_no_place() -> None:
    flagged = [row(f"alpha/f{number}", "alpha", is_flagged=True) for number in range(9)]
    partly = [row("alpha/0", "alpha", is_flagged=True)]
    rows = [row(*one) for one in PEOPLE]
    assert people_of(Fold(1, 4).split([*flagged, *rows]), CROSS_VALIDATION) == people_of(
        Fold(1, 4).split(rows), CROSS_VALIDATION
    )
    assert len(Fold(1, 4).split([*partly, *rows])) == len(rows) + 1


@pytest.mark.parametrize(("number", "n_folds"), [(4, 4), (-1, 4), (0, 1)])
def test_a_fold_that_is_not_there_is_refused(number: int, n_folds: int) -> None:
    with pytest.raises(ModelError, match="no fold"):
        Fold(number, n_folds)


def test_fewer_people_than_folds_are_refused() -> None:
    with pytest.raises(ModelError, match="3 people cannot be dealt to 4 folds"):
        Fold(0, 4).split([row(f"p{number}", "alpha") for number in range(3)])


def test_a_configuration_without_a_fold_holds_nobody_out() -> None:
    assert Fold.of(None) is None
    assert Fold.of({"seed": 0}) is None
    assert Fold.of({"held_out_fold": None, "n_folds": 4}) is None
    assert Fold.of({"held_out_fold": 0, "n_folds": 3}) == Fold(0, 3)


@pytest.mark.slow
def test_the_catalogue_gives_the_people_of_every_internal_split_and_no_others(peopled_home: Home) -> None:
    internal = CatalogueImages.open(peopled_home, "draft", DEALT)
    assert {item.split for item in internal.items} == set(DEALT)
    tested: list[str] = []
    for number in range(4):
        parts = [
            CatalogueImages.open(peopled_home, "draft", [split], fold=Fold(number, 4))
            for split in ("train", CROSS_VALIDATION)
        ]
        images = [{item.image_id for item in part.items} for part in parts]
        assert images[0] | images[1] == {item.image_id for item in internal.items}
        assert [{item.split for item in part.items} for part in parts] == [{"train"}, {CROSS_VALIDATION}]
        assert not {item.person_id for item in parts[0].items} & {item.person_id for item in parts[1].items}
        assert sum(len(part.pairs) for part in parts) == len(internal.pairs)
        assert sum(part.size_bytes for part in parts) == internal.size_bytes
        tested += {item.person_id for item in parts[1].items}
    assert sorted(tested) == sorted({item.person_id for item in internal.items})


@pytest.mark.slow
def test_splits_of_the_catalogue_are_none_of_a_fold(peopled_home: Home) -> None:
    with pytest.raises(ModelError, match="no splits"):
        CatalogueImages.open(peopled_home, "draft", ["val"], fold=Fold(0, 4))
    with pytest.raises(ModelError, match="no splits"):
        CatalogueImages.open(peopled_home, "draft", [CROSS_VALIDATION])


class Travelled(Lab):
    """Two internal centres that scanned the same people."""

    def center(self, center_id: str, role: str = "internal", **more: object) -> None:
        super().center(center_id, "internal", **more)

    def participant(self, center_id: str, participant_id: str, **more: object) -> dict[str, object]:
        return super().participant(center_id, participant_id, **more | {"person_id": f"person {participant_id}"})


@pytest.mark.slow
def test_a_person_of_two_centres_is_held_out_of_both_also_where_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "Lab", Travelled)
    home = make_tiny_home(tmp_path / "home", 8, ("T1w", "T2w"))

    def people(fold: Fold, split: str, *centers: str) -> list[str]:
        images = CatalogueImages.open(home, "draft", [split], fold=fold, centers=centers)
        return [f"{item.center_id} {item.person_id}" for item in images.items]

    for fold in (Fold(0, 2), Fold(1, 2)):
        held_out, learned = set(people(fold, CROSS_VALIDATION)), set(people(fold, "train"))
        assert not {name.split(" ", 1)[1] for name in held_out} & {name.split(" ", 1)[1] for name in learned}
        assert {name for name in learned if name.startswith("omega")} == set(people(fold, "train", "omega"))
        assert {name for name in held_out if name.startswith("omega")} == set(people(fold, CROSS_VALIDATION, "omega"))
