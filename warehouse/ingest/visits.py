"""Assigns a participant's age to a visit, where a table has one age for several visits.

The age goes to the only visit, or to the first one where the labels show which is the first. The age at other visits
is null.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from warehouse.ingest.demographics import Age
from warehouse.ingest.findings import Finding
from warehouse.ingest.participants import People, Person

Visits = Mapping[str, Collection[str | None]]  # labels of visits by participant; None where the dataset names none

BASELINE = re.compile(r"(?:bl|bas|base|baseline|screening|sc|initial|first|pre)[-_]?0*1?|[tmdyw]0+", re.IGNORECASE)
OFFSET = re.compile(r"(?:m|d|w|y|month|day|week|year)0*[1-9]\d*", re.IGNORECASE)  # time since the first visit
FOLLOW_UP = re.compile(r"(?:fu|flu|follow[-_]?up|post)\d*\w?", re.IGNORECASE)
COUNTED = re.compile(r"(?P<prefix>\D*)(?P<number>\d+)")
TOLERANCE_YEARS = 1.0


def ages_of_visits(people: People, visits: Visits) -> tuple[dict[tuple[str, str | None], Age], list[Finding]]:
    """Return the age at every visit by the tables, and findings about the assignment.

    Parameters
    ----------
    people : People
    visits : mapping of str to collection of (str or None)
        Labels of the visits with an image, by participant.
    """
    ages: dict[tuple[str, str | None], Age] = {}
    findings: list[Finding] = []
    labels = frozenset(label for some in visits.values() for label in some if label)
    for participant, own in visits.items():
        known = {label: age for label in own if (age := people.age_at(participant, label)).known}
        ages |= {(participant, label): age for label, age in known.items()}
        person = people.participants.get(participant)
        if person is None or not person.age.known or person.age_is_of_visit:
            continue
        findings += _disagreement(person, participant, known)
        if len(known) == len(own):
            continue
        chosen = None if person.age_is_at_baseline else visit_of_age(own, labels)
        if chosen is not None and chosen[0] not in known:
            ages[participant, chosen[0]] = person.age
            known[chosen[0]] = person.age
        if len(known) < len(own):
            findings.append(_not_assigned(person, participant, len(own) - len(known)))
    return ages, findings


def visit_of_age(own: Collection[str | None], labels: Collection[str]) -> tuple[str | None] | None:
    """Return the visit that a participant's one age belongs to, or None where it is unknown.

    Parameters
    ----------
    own : collection of (str or None)
        Labels of the participant's visits.
    labels : collection of str
        Labels of all visits of the dataset; if it has an earlier one, the participant's first image is a follow-up.

    Returns
    -------
    tuple of (str or None)
        The label, in a tuple since it may be None itself.
    """
    named = [label for label in own if label is not None]
    if not named:
        return (None,)
    baseline = [label for label in named if BASELINE.fullmatch(label)]
    if baseline:
        return (baseline[0],) if len(baseline) == 1 else None
    if None in own and all(OFFSET.fullmatch(label) or FOLLOW_UP.fullmatch(label) for label in named):
        return (None,)  # images without a label come before the follow-up
    if len(named) == 1:  # images without a label, such as masks, belong to no visit
        return None if OFFSET.fullmatch(named[0]) else (named[0],)
    counted = [match for label in named if (match := COUNTED.fullmatch(label))]
    if len(counted) < len(named) or len({match["prefix"] for match in counted}) > 1:
        return None
    first = min(counted, key=lambda match: int(match["number"]))
    earlier = (match for label in labels if (match := COUNTED.fullmatch(label)) and match["prefix"] == first["prefix"])
    is_later = OFFSET.fullmatch(first[0]) or FOLLOW_UP.fullmatch(first[0])
    if is_later or any(BASELINE.fullmatch(label) for label in labels):
        return None
    is_date = len(first["number"]) == len("20240101")
    if not is_date and any(int(match["number"]) < int(first["number"]) for match in earlier):
        return None
    return (first[0],)


def _disagreement(person: Person, participant: str, known: Mapping[str | None, Age]) -> list[Finding]:
    ages = [age.years for age in known.values() if age.years is not None]
    if person.age.years is None or not ages or person.age_has_offset:
        return []
    if min(ages) - TOLERANCE_YEARS <= person.age.years <= max(ages) + TOLERANCE_YEARS:
        return []
    detail = (
        f"The participant's age is {person.age.years:g} years, the ages of the visits are {min(ages):g} to "
        f"{max(ages):g}; those of the visits are used."
    )
    remedy = "correct one of the tables"
    return [Finding("sources_disagree", person.age_path, None, "age", person.age.years, detail, remedy, participant)]


def _not_assigned(person: Person, participant: str, n_visits: int) -> Finding:
    detail = f"One age is given for the participant; {n_visits} visits have none, since an age is of its visit."
    remedy = "give the age of each visit in sub-LABEL_sessions.tsv, or in a row per session"
    return Finding("age_not_assigned", person.age_path, None, "age", None, detail, remedy, participant)
