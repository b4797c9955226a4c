"""Every layout, by names and tables alone: an ingest reads from them what the simulator put in."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.simulation.center import sidecar_path
from model.simulation.layouts import LAYOUTS, CenterPlan, definition_of, plan_of
from model.simulation.layouts.plan import table_bytes
from model.simulation.people import TRAVELLER, enrol
from warehouse.centers.registry import Center, shipped
from warehouse.errors import PhantomError
from warehouse.ingest.discover import discover
from warehouse.ingest.eligibility import contrast_of
from warehouse.ingest.participants import read_people
from warehouse.ingest.tree import walk

N_SUBJECTS = 8  # enough that something is withheld and somebody comes back


class Written:
    """A layout whose images are empty files."""

    def __init__(self, name: str, root: Path) -> None:
        self.plan: CenterPlan = plan_of(name, enrol(name, N_SUBJECTS, 2))
        self.center: Center = definition_of(name, self.plan)
        files = {place.path: b"" for place in self.plan.places}
        files |= {sidecar_path(place.path): b"{}" for place in self.plan.places}
        files |= {table.path: table_bytes(table) for table in self.plan.tables}
        files |= {path: text.encode() for path, text in self.plan.texts.items()}
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        self.entries = walk(root)
        self.found = discover(self.center, self.entries)


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(request.param, tmp_path_factory.mktemp(request.param))


def test_every_image_is_recognised_by_its_name(written: Written) -> None:
    assert not written.found.refusals
    found = {
        candidate.entry.path: (
            candidate.entities["sub"],
            candidate.entities.get("ses"),
            contrast_of(candidate.suffix),
            "ce" in candidate.entities,
            candidate.declared,
        )
        for candidate in written.found.images
    }
    put_in = {
        place.path: (place.participant_id, place.session_label, place.contrast, place.is_post_contrast, None)
        for place in written.plan.places
    }
    assert found == put_in


def test_every_sidecar_counts_as_one(written: Written) -> None:
    kinds = {path: kind for path, (_, kind) in written.found.companions.items()}
    assert {kinds[sidecar_path(place.path)] for place in written.plan.places} == {"sidecar"}


def test_the_tables_tell_exactly_what_the_simulator_tells(written: Written) -> None:
    people = read_people(written.center, written.entries)
    assert people.refused == []
    told = {person.participant_id: person for person in written.plan.participants}
    assert people.participants.keys() == told.keys()
    for name, person in told.items():
        age = people.participants[name].age
        assert people.participants[name].sex == person.sex, name
        if age.years is not None or age.low_years is not None:
            found = (age.years, age.low_years, age.high_years)
            wanted = (person.age_years, person.age_low_years, person.age_high_years)
            if not any(visit.participant_id == name for visit in written.plan.sessions):
                assert found == pytest.approx(wanted), name
        else:
            assert person.age_years is None or not person.age_years


def test_the_ages_at_visits_are_what_the_simulator_tells(written: Written) -> None:
    people = read_people(written.center, written.entries)
    for visit in written.plan.sessions:
        assert people.age_at(visit.participant_id, visit.session_label).years == pytest.approx(
            visit.age_years, abs=1e-3
        )


def test_what_is_told_is_near_the_truth(written: Written) -> None:
    told = {person.participant_id: person for person in written.plan.participants}
    for place in written.plan.places:
        person, age = told[place.participant_id], place.person.ages_years[0]
        if person.age_years is not None:
            assert abs(person.age_years - age) <= 1.0
        if person.age_low_years is not None:
            assert person.age_low_years <= age


def test_the_definition_says_that_the_centre_is_simulated(written: Written) -> None:
    real = shipped()[written.center.center_id.removeprefix("phantom_")]
    assert written.center.is_simulated
    assert written.center.title.endswith("(simulated)")
    assert written.center.role == real.role
    assert written.center.layout.protocols == []
    acquired = [pattern.model_copy(update={"resampled": False}) for pattern in real.layout.images]
    assert written.center.layout.images == acquired


def test_paths_are_unique_and_of_numbers_that_no_real_person_has(written: Written) -> None:
    paths = [place.path for place in written.plan.places]
    assert len(paths) == len(set(paths))


def offered(role: str, n_subjects: int) -> set[str]:
    return {
        place.label
        for name in LAYOUTS
        if shipped()[name].role == role
        for place in plan_of(name, enrol(name, n_subjects, 1)).places
        if not place.defect
    }


@pytest.mark.parametrize("role", ["internal", "external"])
def test_every_contrast_is_offered_by_internal_and_external_centres(role: str) -> None:
    everything = {"T1w", "T2w", "PDw", "FLAIR", "T2starw", "SWI", "angio", "ceT1w"}
    assert offered(role, 1) == everything
    declared = {name for center in LAYOUTS if shipped()[center].role == role
                for name in definition_of(center, plan_of(center, enrol(center, 1, 1))).contrasts}  # fmt: skip
    assert declared == everything


def test_the_traveller_and_a_patient_of_two_sets_are_one_person_each() -> None:
    persons = {name: definition_of(name, plan_of(name, enrol(name, 1, 1))).layout.persons for name in LAYOUTS}
    assert persons["ixi"] == {"IXI999": TRAVELLER}
    assert persons["open_ms"] == {"long01": "phantom_open_ms/1", "cross01": "phantom_open_ms/1"}
    assert persons["adni"] == {}


def test_an_unknown_centre_is_refused() -> None:
    with pytest.raises(PhantomError, match="mylab"):
        plan_of("mylab", [])
