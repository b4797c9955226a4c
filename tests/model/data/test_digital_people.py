from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.data import digital_people
from model.data.digital_people import CHANNEL, DigitalCohort, drawn_factors, scanned
from model.physics.tissue import TISSUES, properties
from model.simulation.people import Subject
from tests.model.simulation.fake_head import fake_head
from warehouse.errors import PhantomError

SUBJECT = Subject(1, 45.0, "F")


@pytest.fixture
def crude(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cohorts of heads that are made in milliseconds."""
    monkeypatch.setattr(digital_people, "make_head", lambda subject, voxel_mm: fake_head(subject, voxel_mm))


def test_each_time_of_each_tissue_is_drawn_by_itself_within_the_spread() -> None:
    random = np.random.default_rng(0)
    drawn = np.array([[drawn_factors(random, 0.15)[TISSUES[at]] for at in CHANNEL.values()] for _ in range(400)])
    values = drawn.reshape(400, 12)
    assert 0.85 <= values.min() < 0.852
    assert 1.148 < values.max() <= 1.15
    assert np.abs(np.corrcoef(values.T) - np.eye(12)).max() < 0.2
    assert np.allclose(values.mean(0), 1, atol=0.02)


def test_other_tissues_are_those_of_the_textbook() -> None:
    assert drawn_factors(np.random.default_rng(0), 0.15)["thalamus"] == (1.0, 1.0, 1.0, 1.0)


def test_the_truth_told_is_the_truth_scanned() -> None:
    factors = fake_head(SUBJECT).properties_scale | {"white_matter": (1.1, 0.9, 0.95, 0.87)}
    white = scanned(replace(fake_head(SUBJECT), properties_scale=factors), "one", 0).relaxation["wm"]
    table, at = properties(3.0), CHANNEL["wm"]
    times = (1.1 * table.t1_s[at], 0.9 * table.t2_s[at], 0.95 * table.t2star_s[at], 0.87 * table.pd[at])
    assert white == pytest.approx([float(value) for value in times], rel=1e-6)


def test_the_scan_is_a_t1w_on_network_intensities() -> None:
    person = scanned(fake_head(SUBJECT, 2.5), "one", 0)
    mean = {name: float(person.source.voxels[mask].mean()) for name, mask in person.masks.items()}
    assert mean["wm"] > mean["gm"] > mean["csf"]
    assert abs(float(np.median(person.source.voxels[person.source.mask]))) < 1e-6
    assert person.source.record.contrast == "T1w"
    assert person.source.record.inversion_time_s == 0.9


def test_masks_are_pure_and_lie_where_the_scan_has_their_tissue() -> None:
    """The plaque of the crude head lies on the left; the same place on the right is white matter."""
    head = fake_head(SUBJECT)
    person, left = scanned(head, "one", 0), head.lesion_masks["ms"]
    white, voxels = person.masks["wm"], person.source.voxels
    assert float(person.shares["wm"][white].min()) >= digital_people.PURE
    here = left & white[::-1]
    assert here.sum() > 30
    assert not white[here].any()
    assert voxels[here].mean() < voxels[here[::-1]].mean() - 0.1


@pytest.mark.usefixtures("crude")
def test_a_person_does_not_depend_on_how_many_there_are() -> None:
    few, many = DigitalCohort(2, 7, 5.0), DigitalCohort(3, 7, 5.0)
    one, other = few.person(1), list(many.people())[1]
    assert one.label == other.label
    assert one.relaxation == other.relaxation
    assert np.array_equal(one.source.voxels, other.source.voxels)


@pytest.mark.usefixtures("crude")
def test_people_and_seeds_differ() -> None:
    people = [DigitalCohort(2, seed, 5.0).person(number) for seed in (0, 1) for number in (0, 1)]
    assert len({person.relaxation["gm"] for person in people}) == 4


def test_settings_decide_the_identity() -> None:
    cohorts = [DigitalCohort(), DigitalCohort(13), DigitalCohort(seed=1), DigitalCohort(voxel_mm=3.0)]
    assert len({cohort.data_id for cohort in cohorts}) == 4
    assert DigitalCohort().data_id == DigitalCohort().data_id


@pytest.mark.parametrize("wrong", [{"n_people": 0}, {"spread": 0.9}])
def test_what_cannot_be_drawn_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PhantomError):
        DigitalCohort(**wrong)  # type: ignore[arg-type]
