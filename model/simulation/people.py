"""The people of each simulated centre: ages, sexes, lesions, visits, and which facts its tables omit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from model.simulation.seeds import seed_of, stream
from warehouse.errors import PhantomError

LESIONS = ("ms", "lacunes", "small_vessel", "tumour")


@dataclass(frozen=True)
class Subject:
    """One simulated person at one visit; equal subjects have equal heads.

    Parameters
    ----------
    seed : int
        Determines the anatomy; all visits of one person share it.
    age_years : float
        From 2 to 100.
    sex : {"M", "F"}
    deformation_mm : float
        Standard deviation of the displacement from the template.
    lesions : tuple of str
        Of `LESIONS`.

    Raises
    ------
    PhantomError
        For values outside these ranges.
    """

    seed: int
    age_years: float
    sex: Literal["M", "F"]
    deformation_mm: float = 4.0
    lesions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= self.age_years <= 100:
            raise PhantomError(f"an age of {self.age_years} years cannot be simulated", "give one from 2 to 100 years")
        if self.sex not in ("M", "F"):
            raise PhantomError(f"sex {self.sex!r} cannot be simulated", "give M or F")
        if not 0 <= self.deformation_mm <= 10:
            raise PhantomError(f"a deformation of {self.deformation_mm} mm folds space", "give one from 0 to 10 mm")
        if unknown := set(self.lesions) - set(LESIONS):
            raise PhantomError(f"no such lesions: {sorted(unknown)}", f"choose from {', '.join(LESIONS)}")


TRAVELLER = "phantom_traveller"
TRAVELLER_NUMBER = 99  # in the identifiers of the centres it visits
MOST_SUBJECTS = TRAVELLER_NUMBER - 1  # two of the layouts count to 99
# All internal: a person whom an external centre sees as well is excluded from training everywhere.
VISITED_BY_TRAVELLER = ("camcan", "ixi", "nki_rockland")
TRAVELLER_AGE_YEARS = {"camcan": 41.25, "ixi": 41.5, "nki_rockland": 41.75}
OLD_YEARS = 55.0  # from which lesions of ageing are drawn
GOLDEN = (math.sqrt(5) - 1) / 2
AGE_WITHHELD, SEX_WITHHELD, CONTRAST_MISSING = 0.1, 0.07, 0.1


@dataclass(frozen=True)
class Enrolment:
    """The people that a centre enrols.

    Parameters
    ----------
    youngest_years, oldest_years : float
        As in the real dataset.
    deformation_mm : float
        Standard deviation of the displacement from the template; larger at external centres.
    of_all, of_old : tuple of (lesion, probability)
        Lesions of all people, and of those older than `OLD_YEARS`.
    years_between : float
        Time to the second visit of subjects 1, 4, 7, ...; 0 where there is none.
    """

    youngest_years: float
    oldest_years: float
    deformation_mm: float = 4.0
    of_all: tuple[tuple[str, float], ...] = ()
    of_old: tuple[tuple[str, float], ...] = (("small_vessel", 0.4), ("lacunes", 0.2))
    years_between: float = 0.0


ENROLMENTS: dict[str, Enrolment] = {
    "adni": Enrolment(55, 90, of_old=(("small_vessel", 0.6), ("lacunes", 0.3)), years_between=2.0),
    "aibl": Enrolment(60, 88, 5.5, of_old=(("small_vessel", 0.8), ("lacunes", 0.5))),
    "camcan": Enrolment(18, 88),
    "hcp_aging": Enrolment(36, 90),
    "hcp_development": Enrolment(5, 21),
    "hcp_young_adult": Enrolment(22, 36),
    "ixi": Enrolment(20, 86),
    "lemon": Enrolment(20, 77),
    "nki_rockland": Enrolment(6, 85, years_between=1.5),
    "oasis3": Enrolment(42, 95, 5.5, of_old=(("small_vessel", 0.8), ("lacunes", 0.5)), years_between=2.5),
    "open_ms": Enrolment(19, 55, of_all=(("ms", 1.0),), of_old=(), years_between=1.0),
    "ucsf_pdgm": Enrolment(18, 88, 6.0, of_all=(("tumour", 1.0),), of_old=(("small_vessel", 0.5),)),
    "ukb": Enrolment(45, 82, years_between=2.25),
}


@dataclass(frozen=True)
class SimulatedPerson:
    """One participant of a centre.

    Parameters
    ----------
    number : int
        From 1 within the centre; part of the identifiers.
    person_id : str
        The same in all centres that the person visits.
    seed : int
        Of the anatomy.
    ages_years : tuple of float
        At each visit.
    is_age_published, is_sex_published : bool
        Whether the tables of the centre give them.
    missing : frozenset of str
        Contrasts that were not acquired.
    """

    center_id: str
    number: int
    person_id: str
    seed: int
    sex: Literal["M", "F"]
    ages_years: tuple[float, ...]
    deformation_mm: float
    lesions: tuple[str, ...] = ()
    is_age_published: bool = True
    is_sex_published: bool = True
    missing: frozenset[str] = field(default=frozenset())

    def at(self, visit: int) -> Subject:
        """Return the subject of a visit, counted from 0."""
        return Subject(self.seed, self.ages_years[visit], self.sex, self.deformation_mm, self.lesions)

    @property
    def n_visits(self) -> int:
        """Return the number of visits."""
        return len(self.ages_years)


def enrol(center_id: str, n_subjects: int, seed: int) -> tuple[SimulatedPerson, ...]:
    """Return the people of a centre; a smaller cohort holds the first people of a larger one.

    Parameters
    ----------
    center_id : str
        Of the real centre, e.g. ixi.
    n_subjects : int
        Without the travelling subject, who is added at the centres of `VISITED_BY_TRAVELLER`.
    seed : int
        Of the cohort.

    Raises
    ------
    PhantomError
        For an unknown centre, or a number that does not fit into the identifiers.
    """
    if center_id not in ENROLMENTS:
        raise PhantomError(
            f"there is no simulated centre of {center_id!r}", f"choose from {', '.join(sorted(ENROLMENTS))}"
        )
    if not 1 <= n_subjects <= MOST_SUBJECTS:
        raise PhantomError(
            f"{n_subjects} subjects per centre", f"give 1 to {MOST_SUBJECTS}: identifiers have two digits"
        )
    people = [_person(center_id, number, seed) for number in range(1, n_subjects + 1)]
    return (*people, _traveller(center_id, seed)) if center_id in VISITED_BY_TRAVELLER else tuple(people)


def _person(center_id: str, number: int, seed: int) -> SimulatedPerson:
    sample, random = ENROLMENTS[center_id], stream(seed, "person", center_id, number)
    # Multiples of the golden ratio spread ages evenly over the range for any number of people.
    share = (stream(seed, "ages", center_id).random() + number * GOLDEN) % 1
    age = round(sample.youngest_years + share * (sample.oldest_years - sample.youngest_years), 2)
    comes_back = sample.years_between and number % 3 == 1
    ages = (age, round(age + sample.years_between + random.uniform(-0.2, 0.2), 2)) if comes_back else (age,)
    sex: Literal["M", "F"] = "F" if random.random() < 0.5 else "M"
    chances = (*sample.of_all, *(sample.of_old if age >= OLD_YEARS else ()))
    lesions = tuple(name for name, chance in chances if random.random() < chance)
    withheld = random.random(2)
    is_first = number == 1  # complete, so that a cohort of one offers every contrast
    return SimulatedPerson(
        center_id=center_id,
        number=number,
        person_id=f"phantom_{center_id}/{number}",
        seed=seed_of(seed, "anatomy", center_id, number),
        sex=sex,
        ages_years=ages,
        deformation_mm=sample.deformation_mm,
        lesions=lesions,
        is_age_published=is_first or withheld[0] >= AGE_WITHHELD,
        is_sex_published=is_first or withheld[1] >= SEX_WITHHELD,
        missing=frozenset() if is_first else _missing(seed, center_id, number),
    )


def _missing(seed: int, center_id: str, number: int) -> frozenset[str]:
    """Return contrasts that were not acquired; T1w always was, so that everybody has an image."""
    labels = ("T2w", "PDw", "FLAIR", "T2starw", "SWI", "angio", "ceT1w")
    random = stream(seed, "missing", center_id, number)
    return frozenset(label for label in labels if random.random() < CONTRAST_MISSING)


def _traveller(center_id: str, seed: int) -> SimulatedPerson:
    return SimulatedPerson(
        center_id=center_id,
        number=TRAVELLER_NUMBER,
        person_id=TRAVELLER,
        seed=seed_of(seed, "anatomy", TRAVELLER),
        sex="F",
        ages_years=(TRAVELLER_AGE_YEARS[center_id],),
        deformation_mm=4.0,
    )
