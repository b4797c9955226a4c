"""The layout of UK Biobank's brain imaging."""

from __future__ import annotations

from collections.abc import Sequence

from model.simulation.layouts.plan import CenterPlan, ExpectedSession, Look, Place, Table, acquired, cell, participant
from model.simulation.people import SimulatedPerson

FILES = {
    (20252, "T1/T1"): ("T1w", Look((1.0, 1.0, 1.0), "RAS")),
    (20253, "T2_FLAIR/T2_FLAIR_orig_defaced"): ("FLAIR", Look((1.05, 1.0, 1.0), "RAS")),
    (20251, "SWI/SWI"): ("SWI", Look((0.8, 0.8, 3.0), "LAS")),
}
INSTANCES = ("2", "3")  # the first imaging visit, and the repeat
COLUMNS = ("eid", "31-0.0", "21003-2.0", "21003-3.0")
# Its companions are taken for derivatives by their folder; here each image's sidecar lies beside it.
SIDECARS = ({"pattern": r"(?:.*/)?\d{7}_\d{5}_\d_0/.*\.json", "kind": "sidecar"},)


def ukb(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe one folder per bulk field and instance, and a column of ages per instance."""
    places, rows, told, sessions = [], [], [], []
    for person in people:
        eid = f"99900{person.number:02}"
        ages = [str(int(age)) for age in person.ages_years]
        for visit, instance in enumerate(INSTANCES[: person.n_visits]):
            places += [
                Place(f"{eid}_{field}_{instance}_0/{path}.nii.gz", person, visit, eid, instance, contrast, look)
                for (field, path), (contrast, look) in FILES.items()
            ]
            if person.is_age_told:
                sessions.append(ExpectedSession(eid, instance, float(ages[visit])))
        sex = {"F": "0", "M": "1"}[person.sex]
        shown = [cell(age, person.is_age_told) for age in [*ages, ""][:2]]
        rows.append((eid, cell(sex, person.is_sex_told), *shown))
        told.append(participant(eid, person, float(ages[0])))
    table = Table("clinical_data.csv", COLUMNS, rows, is_quoted=True)
    return CenterPlan(acquired(places), (table,), tuple(told), tuple(sessions))
