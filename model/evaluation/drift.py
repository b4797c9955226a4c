"""Drift: whether new people differ from those that a model has learned from, field by field.

People are the units, because images of one person are alike: a person's number is the median over the images of a
contrast, a person's text the most frequent one. Two groups of *training* people are compared: those that the model
has learned from, and those that it has not. The whole catalogue against the model's people would be the duller
comparison, since both sides would share most people: fifty new people of another scanner beside five hundred known ones
move a distribution by a tenth only, and a test that takes the two samples as independent would be wrong. People of the
other splits are left out. Those of val and test are drawn by a hash, like training people, so that they add nothing;
external centres differ by design, and no training could answer it. Known people who left the catalogue are taken from
the snapshot that the model was trained on, if it is kept.

Source of the tests: `scipy.stats`. Libraries of drift (evidently, alibi-detect, nannyml) treat rows as units, and bring
servers or frameworks along; what is used of them would be these tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from warehouse.catalog import sqlfiles

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

Verdict = Literal["same", "drifted", "not_enough_data"]
TEXTS = ("sex", "manufacturer", "nominal_field_strength_t")
OF_PEOPLE = (*TEXTS, "age_years")  # all others are of a contrast
COLUMNS = {"person_id": str, "field": str, "contrast": str, "number": float, "text": str}
EXACT_BELOW = 500  # people; Kolmogorov and Smirnov's distribution is exact below, asymptotic above
LEAST_EXPECTED = 5  # people in a cell of a table, by Cochran's rule; rarer texts are one


@dataclass(frozen=True)
class DriftLimits:
    """When two distributions count as different.

    Parameters
    ----------
    least_people : int
        On each side.
    significance : float
        False discovery rate over all fields (Benjamini and Hochberg, 1995).
    least_effect : float
        In [0, 1]; smaller differences are no drift, however many people show them.
    """

    least_people: int
    significance: float
    least_effect: float


@dataclass(frozen=True)
class DriftScore:
    """One compared field.

    Parameters
    ----------
    field : str
        Column of `out.image_catalog`, measure of `core.quality`, brain_intensity, brain_relative_spread, or contrast.
    contrast : str or None
        Of the images; None for fields of a person.
    aspect : {"value", "presence"}
        Whether values are compared, or the shares of people who have one.
    test : str
        ks_2samp, chi2_contingency or fisher_exact, as `scipy.stats` calls it; empty where nothing was tested.
    statistic, p_value, p_adjusted : float or None
        None where nothing was tested. `p_adjusted` allows for the number of fields.
    effect : float or None
        Largest difference of the two distribution functions; of texts, half the sum of the differences of their shares;
        of presence, the difference of the shares. In [0, 1].
    n_known, n_new : int
        People with a value; of presence, people who could have one.
    known_values, new_values : str
        Median and quartiles, most frequent texts, or share.
    verdict : {"same", "drifted", "not_enough_data"}
    """

    field: str
    contrast: str | None
    aspect: Literal["value", "presence"]
    test: str
    statistic: float | None
    p_value: float | None
    p_adjusted: float | None
    effect: float | None
    n_known: int
    n_new: int
    known_values: str
    new_values: str
    verdict: Verdict


def read_people(connection: duckdb.DuckDBPyConnection, recipe_id: str, centers: Sequence[str] = ()) -> pd.DataFrame:
    """Return the values of all training people of a catalogue.

    Parameters
    ----------
    connection : DuckDBPyConnection
        To a snapshot.
    recipe_id : str
        Only images that it harmonised and did not flag.
    centers : sequence of str
        Whose people; none: those of all.

    Returns
    -------
    DataFrame
        Columns `person_id`, `field`, `contrast` (empty for fields of a person), `number`, `text`, one row per person,
        field and contrast. Number and text are both missing where no image of the person has the field.
    """
    import pandas as pd

    def rows(name: str) -> pd.DataFrame:
        found = connection.execute(sqlfiles.read(f"models/{name}"), {"recipe_id": recipe_id}).df()
        return found[found["center_id"].isin(list(centers))] if centers else found

    images, names = rows("training_images"), ["person_id", "contrast"]
    if images.empty:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    numbers = [name for name in images.columns if name not in (*names, "center_id", *OF_PEOPLE)]
    long = images.melt(names, numbers, "field", "number")
    quality = rows("training_quality").rename(columns={"value": "number"})
    ages = (
        images[["person_id", "age_years"]]
        .rename(columns={"age_years": "number"})
        .assign(field="age_years", contrast="")
    )
    measured = pd.concat([long, quality[[*names, "field", "number"]], ages], ignore_index=True)
    measured["number"] = measured["number"].astype(float)
    medians = measured.groupby(["person_id", "field", "contrast"], sort=True)["number"].median().reset_index()
    usual = _most_frequent(images.melt(["person_id"], list(TEXTS), "field", "text")).assign(contrast="")
    present = images[names].drop_duplicates().assign(field="contrast", number=1.0)
    found: list[pd.DataFrame] = [medians, usual, present]
    return pd.concat(found, ignore_index=True)[list(COLUMNS)]


def is_known(people: Sequence[str], learned: frozenset[str]) -> NDArray[np.bool_]:
    """Return for each person whether a model has learned from them.

    Parameters
    ----------
    people : sequence of str
        Identities.
    learned : frozenset of str
        SHA-256 of identities, as checkpoints keep them.
    """
    hashes = {person: hashlib.sha256(person.encode()).hexdigest() for person in set(people)}
    return np.array([hashes[person] in learned for person in people], bool)


def drift_scores(known: pd.DataFrame, new: pd.DataFrame, limits: DriftLimits) -> list[DriftScore]:
    """Compare new people with known ones in every field.

    Parameters
    ----------
    known, new : DataFrame
        As `read_people` returns them, of different people.
    limits : DriftLimits

    Returns
    -------
    list of DriftScore
        Drifted ones first, then by effect.
    """
    found = list(_compared(known, new, limits))
    tested = [number for number, one in enumerate(found) if one.p_value is not None]
    if tested:
        from scipy import stats

        adjusted = stats.false_discovery_control([found[number].p_value for number in tested])
        for number, p_adjusted in zip(tested, adjusted, strict=True):
            one = found[number]
            is_drift = p_adjusted <= limits.significance and (one.effect or 0.0) >= limits.least_effect
            found[number] = replace(one, p_adjusted=float(p_adjusted), verdict="drifted" if is_drift else "same")
    order = {"drifted": 0, "same": 1, "not_enough_data": 2}
    return sorted(found, key=lambda one: (order[one.verdict], -(one.effect or 0.0), one.field, one.contrast or ""))


def _compared(known: pd.DataFrame, new: pd.DataFrame, limits: DriftLimits) -> Iterator[DriftScore]:
    """Yield all fields of both groups, without what only all of them together decide."""
    groups = [_by_field(side) for side in (known, new)]
    n_known, n_new = (side["person_id"].nunique() for side in (known, new))
    for name, contrast in sorted({*groups[0], *groups[1]}):
        one, other = (side.get((name, contrast), known.iloc[:0]) for side in groups)
        if name == "contrast":
            yield _presence(_blank(name, contrast, "presence", n_known, n_new), (len(one), len(other)), limits)
            continue
        column = "text" if name in TEXTS else "number"
        first, second = one[column].dropna().tolist(), other[column].dropna().tolist()
        compared = _texts if column == "text" else _numbers
        yield compared(_blank(name, contrast, "value", len(first), len(second)), first, second, limits)
        if len(first) + len(second) not in (0, len(one) + len(other)):  # some have it and some lack it
            blank = _blank(name, contrast, "presence", len(one), len(other))
            yield _presence(blank, (len(first), len(second)), limits)


def _by_field(people: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    return {(str(key[0]), str(key[1])): rows for key, rows in people.groupby(["field", "contrast"], sort=True)}


def _blank(name: str, contrast: str, aspect: Literal["value", "presence"], n_known: int, n_new: int) -> DriftScore:
    """Return a score of which nothing is tested."""
    return DriftScore(name, contrast or None, aspect, "", None, None, None, None, n_known, n_new, "", "", "same")


def _presence(blank: DriftScore, counts: tuple[int, int], limits: DriftLimits) -> DriftScore:
    """Compare the shares of people who have something."""
    from scipy import stats

    sizes = blank.n_known, blank.n_new
    shares = [count / size if size else 0.0 for count, size in zip(counts, sizes, strict=True)]
    blank = replace(blank, known_values=f"{shares[0]:.0%}", new_values=f"{shares[1]:.0%}")
    if min(sizes) < limits.least_people:
        return replace(blank, verdict="not_enough_data")
    effect = abs(shares[0] - shares[1])
    if sum(counts) in (0, sum(sizes)):  # everybody or nobody
        return replace(blank, effect=effect)
    table = [[count, size - count] for count, size in zip(counts, sizes, strict=True)]
    result = stats.fisher_exact(table)
    return _tested(blank, "fisher_exact", float(result.statistic), float(result.pvalue), effect)


def _numbers(blank: DriftScore, known: list[float], new: list[float], limits: DriftLimits) -> DriftScore:
    """Compare two samples of numbers. Ties, as parameters of protocols have them, make the test conservative."""
    from scipy import stats

    blank = replace(blank, known_values=_quartiles(known), new_values=_quartiles(new))
    if min(len(known), len(new)) < limits.least_people:
        return replace(blank, verdict="not_enough_data")
    if min(known + new) == max(known + new):
        return replace(blank, effect=0.0)
    method = "exact" if max(len(known), len(new)) < EXACT_BELOW else "asymp"
    result = stats.ks_2samp(known, new, method=method)
    return _tested(blank, "ks_2samp", float(result.statistic), float(result.pvalue), float(result.statistic))


def _texts(blank: DriftScore, known: list[str], new: list[str], limits: DriftLimits) -> DriftScore:
    """Compare the shares of texts."""
    from scipy import stats

    names = sorted({*known, *new})
    counts = np.array([[side.count(name) for name in names] for side in (known, new)], float).reshape(2, -1)
    blank = replace(blank, known_values=_shares(names, counts[0]), new_values=_shares(names, counts[1]))
    if min(len(known), len(new)) < limits.least_people:
        return replace(blank, verdict="not_enough_data")
    shares = counts / counts.sum(1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    pooled = _pooled(counts)
    if pooled.shape[1] < 2:
        return replace(blank, effect=effect)
    if pooled.shape == (2, 2):
        result = stats.fisher_exact(pooled.astype(int))
        return _tested(blank, "fisher_exact", float(result.statistic), float(result.pvalue), effect)
    result = stats.chi2_contingency(pooled)
    return _tested(blank, "chi2_contingency", float(result.statistic), float(result.pvalue), effect)


def _tested(blank: DriftScore, test: str, statistic: float, p_value: float, effect: float) -> DriftScore:
    # An odds ratio may be infinite, which no JSON holds.
    kept = statistic if np.isfinite(statistic) else None
    return replace(blank, test=test, statistic=kept, p_value=p_value, effect=effect)


def _pooled(counts: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return a table of two rows in which texts of which too few people are expected on a side are one."""
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / counts.sum()
    is_rare = (expected < LEAST_EXPECTED).any(0)
    rest = counts[:, is_rare].sum(1, keepdims=True)
    return np.hstack([counts[:, ~is_rare], rest]) if rest.sum() else counts[:, ~is_rare]


def _most_frequent(texts: pd.DataFrame) -> pd.DataFrame:
    """Return the most frequent text of each person and field, of equally frequent ones the first; missing if none."""
    key = ["person_id", "field"]
    counted = texts.groupby([*key, "text"], as_index=False, sort=True).size()  # leaves out what is missing
    first = counted.sort_values("size", ascending=False, kind="stable").drop_duplicates(key)
    return texts[key].drop_duplicates().merge(first[[*key, "text"]], on=key, how="left")


def _quartiles(values: list[float]) -> str:
    if not values:
        return "none"
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.4g} [{low:.4g}, {high:.4g}]"


def _shares(names: list[str], counts: NDArray[np.floating[Any]]) -> str:
    """Return the three most frequent texts with their shares."""
    order = np.argsort(-counts, kind="stable")[:3]
    return ", ".join(f"{names[at]} {counts[at] / counts.sum():.0%}" for at in order if counts[at]) or "none"
