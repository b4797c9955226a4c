from __future__ import annotations

import pytest

from model.simulation.layouts import LAYOUTS
from model.simulation.people import ENROLMENTS, TRAVELLER, VISITED_BY_TRAVELLER, enrol
from model.simulation.scanner import CENTER_SCANNERS, scanner_of
from warehouse.centers.registry import shipped
from warehouse.errors import PhantomError


def test_each_of_the_thirteen_centres_has_people_scanners_and_a_layout() -> None:
    assert set(ENROLMENTS) == set(CENTER_SCANNERS) == set(LAYOUTS) == set(shipped()) - {"brats2021"}


@pytest.mark.parametrize("center_id", sorted(ENROLMENTS))
def test_ages_lie_in_the_range_of_the_dataset(center_id: str) -> None:
    sample = ENROLMENTS[center_id]
    people = [person for person in enrol(center_id, 30, 1) if person.person_id != TRAVELLER]
    first = [person.ages_years[0] for person in people]
    assert sample.youngest_years <= min(first)
    assert max(first) <= sample.oldest_years
    assert max(first) - min(first) > 0.7 * (sample.oldest_years - sample.youngest_years)
    assert {person.sex for person in people} == {"M", "F"}


def test_a_smaller_cohort_is_the_beginning_of_a_larger_one() -> None:
    assert enrol("adni", 2, 7) == enrol("adni", 5, 7)[:2]
    assert enrol("adni", 2, 7) != enrol("adni", 2, 8)


def test_the_first_of_a_centre_is_complete() -> None:
    for center_id in ENROLMENTS:
        first = enrol(center_id, 1, 3)[0]
        assert first.is_age_published
        assert first.is_sex_published
        assert not first.missing


def test_the_travelling_subject_is_one_person_of_internal_centres_alone() -> None:
    roles = {center_id: shipped()[center_id].role for center_id in VISITED_BY_TRAVELLER}
    assert set(roles.values()) == {"internal"}
    travellers = [
        person for center_id in ENROLMENTS for person in enrol(center_id, 1, 1) if person.person_id == TRAVELLER
    ]
    assert len(travellers) == len(VISITED_BY_TRAVELLER)
    assert len({(person.seed, person.sex) for person in travellers}) == 1


def test_patients_have_their_lesions_and_the_old_some() -> None:
    assert all("ms" in person.lesions for person in enrol("open_ms", 5, 1))
    assert all("tumour" in person.lesions for person in enrol("ucsf_pdgm", 5, 1))
    assert any("small_vessel" in person.lesions for person in enrol("aibl", 10, 1))
    assert not any(person.lesions for person in enrol("hcp_young_adult", 20, 1))


def test_who_comes_back_is_older_and_has_the_same_anatomy() -> None:
    first = enrol("adni", 1, 1)[0]
    assert first.n_visits == 2
    assert first.at(1).age_years > first.at(0).age_years
    assert first.at(0).seed == first.at(1).seed


def test_external_centres_deform_more_than_internal_ones() -> None:
    by_role = {role: {sample.deformation_mm for name, sample in ENROLMENTS.items() if shipped()[name].role == role}
               for role in ("internal", "external")}  # fmt: skip
    assert max(by_role["internal"]) < min(by_role["external"])


def test_a_person_keeps_to_one_scanner() -> None:
    assert {scanner_of("ixi", number).manufacturer for number in range(1, 4)} == {"Philips", "GE"}
    assert scanner_of("ixi", 4) == scanner_of("ixi", 1)


@pytest.mark.parametrize("n_subjects", [0, 99])
def test_numbers_that_identifiers_cannot_hold_are_refused(n_subjects: int) -> None:
    with pytest.raises(PhantomError, match="subjects per centre"):
        enrol("ixi", n_subjects, 1)


def test_a_centre_that_is_not_simulated_is_refused() -> None:
    with pytest.raises(PhantomError, match="mylab"):
        enrol("mylab", 1, 1)
