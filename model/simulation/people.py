"""The people of each simulated centre: ages, sexes, lesions, visits, a travelling subject, and what tables omit."""

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
        Makes the anatomy; two visits of one person share it.
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
        For what cannot be simulated.
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
# All internal: whoever is seen by an external centre is left out of training everywhere.
VISITED_BY_TRAVELLER = ("camcan", "ixi", "nki_rockland")
TRAVELLER_AGE_YEARS = {"camcan": 41.25, "ixi": 41.5, "nki_rockland": 41.75}
OLD_YEARS = 55.0  # from which lesions of ageing are drawn
GOLDEN = (math.sqrt(5) - 1) / 2
AGE_WITHHELD, SEX_WITHHELD, CONTRAST_MISSING = 0.1, 0.07, 0.1


@dataclass(frozen=True)
class AgeDistribution:
    """Whom a centre enrols.

    Parameters
    ----------
    youngest_years, oldest_years : float
        As the real dataset has them.
    deformation_mm : float
        Standard deviation of the displacement from the template; larger at external centres.
    of_all, of_old : tuple of (lesion, probability)
        Lesions of everybody, and of those beyond `OLD_YEARS`.
    years_between : float
        Until the repeat visit of the first subject and of every third thereafter; 0 where nobody comes back.
    """

    youngest_years: float
    oldest_years: float
    deformation_mm: float = 4.0
    of_all: tuple[tuple[str, float], ...] = ()
    of_old: tuple[tuple[str, float], ...] = (("small_vessel", 0.4), ("lacunes", 0.2))
    years_between: float = 0.0


SAMPLES: dict[str, AgeDistribution] = {
    "adni": AgeDistribution(55, 90, of_old=(("small_vessel", 0.6), ("lacunes", 0.3)), years_between=2.0),
    "aibl": AgeDistribution(60, 88, 5.5, of_old=(("small_vessel", 0.8), ("lacunes", 0.5))),
    "camcan": AgeDistribution(18, 88),
    "hcp_aging": AgeDistribution(36, 90),
    "hcp_development": AgeDistribution(5, 21),
    "hcp_young_adult": AgeDistribution(22, 36),
    "ixi": AgeDistribution(20, 86),
    "lemon": AgeDistribution(20, 77),
    "nki_rockland": AgeDistribution(6, 85, years_between=1.5),
    "oasis3": AgeDistribution(42, 95, 5.5, of_old=(("small_vessel", 0.8), ("lacunes", 0.5)), years_between=2.5),
    "open_ms": AgeDistribution(19, 55, of_all=(("ms", 1.0),), of_old=(), years_between=1.0),
    "ucsf_pdgm": AgeDistribution(18, 88, 6.0, of_all=(("tumour", 1.0),), of_old=(("small_vessel", 0.5),)),
    "ukb": AgeDistribution(45, 82, years_between=2.25),
}


@dataclass(frozen=True)
class SimulatedPerson:
    """One participant of a centre.

    Parameters
    ----------
    number : int
        From 1 within the centre; identifiers are made of it.
    person_id : str
        The human being, the same over centres.
    seed : int
        Of the anatomy.
    ages_years : tuple of float
        At each visit.
    is_age_told, is_sex_told : bool
        Whether the centre's tables have them.
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
    is_age_told: bool = True
    is_sex_told: bool = True
    missing: frozenset[str] = field(default=frozenset())

    def at(self, visit: int) -> Subject:
        """Return who is imaged at a visit, counted from 0."""
        return Subject(self.seed, self.ages_years[visit], self.sex, self.deformation_mm, self.lesions)

    @property
    def n_visits(self) -> int:
        """How often this person came."""
        return len(self.ages_years)


def enrol(center_id: str, n_subjects: int, seed: int) -> tuple[SimulatedPerson, ...]:
    """Return the people of a centre; those of a smaller cohort are the first of a larger one.

    Parameters
    ----------
    center_id : str
        Of the real centre, e.g. ixi.
    n_subjects : int
        Without the travelling subject, who comes in addition where the traveller goes.
    seed : int
        Of the cohort.

    Raises
    ------
    PhantomError
        For an unknown centre, or a number that identifiers have no room for.
    """
    if center_id not in SAMPLES:
        raise PhantomError(
            f"there is no simulated centre of {center_id!r}", f"choose from {', '.join(sorted(SAMPLES))}"
        )
    if not 1 <= n_subjects <= MOST_SUBJECTS:
        raise PhantomError(
            f"{n_subjects} subjects per centre", f"give 1 to {MOST_SUBJECTS}: identifiers have two digits"
        )
    people = [_person(center_id, number, seed) for number in range(1, n_subjects + 1)]
    return (*people, _traveller(center_id, seed)) if center_id in VISITED_BY_TRAVELLER else tuple(people)


def _person(center_id: str, number: int, seed: int) -> SimulatedPerson:
    sample, random = SAMPLES[center_id], stream(seed, "person", center_id, number)
    # Multiples of the golden ratio spread ages evenly over the range, however many people there are.
    share = (stream(seed, "ages", center_id).random() + number * GOLDEN) % 1
    age = round(sample.youngest_years + share * (sample.oldest_years - sample.youngest_years), 2)
    comes_back = sample.years_between and number % 3 == 1
    ages = (age, round(age + sample.years_between + random.uniform(-0.2, 0.2), 2)) if comes_back else (age,)
    sex: Literal["M", "F"] = "F" if random.random() < 0.5 else "M"
    chances = (*sample.of_all, *(sample.of_old if age >= OLD_YEARS else ()))
    lesions = tuple(name for name, chance in chances if random.random() < chance)
    withheld = random.random(2)
    is_first = number == 1  # complete, so that even a cohort of one offers everything
    return SimulatedPerson(
        center_id=center_id,
        number=number,
        person_id=f"phantom_{center_id}/{number}",
        seed=seed_of(seed, "anatomy", center_id, number),
        sex=sex,
        ages_years=ages,
        deformation_mm=sample.deformation_mm,
        lesions=lesions,
        is_age_told=is_first or withheld[0] >= AGE_WITHHELD,
        is_sex_told=is_first or withheld[1] >= SEX_WITHHELD,
        missing=frozenset() if is_first else _missing(seed, center_id, number),
    )


def _missing(seed: int, center_id: str, number: int) -> frozenset[str]:
    """Return contrasts that were not acquired; T1w always was, so that nobody is without an image."""
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
