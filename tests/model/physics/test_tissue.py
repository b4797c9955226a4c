from __future__ import annotations

import pytest
import torch

from model.physics.tissue import (
    CONCENTRATION_MM,
    R1_PER_MM_S,
    R2_PER_MM_S,
    TISSUES,
    Properties,
    properties,
    rows,
    spread,
    stack,
    with_gadolinium,
)
from warehouse.errors import PhysicsError


def of(name: str, field_strength_t: float, column: str = "t1_s") -> float:
    return float(getattr(properties(field_strength_t), column)[TISSUES.index(name)])


def test_every_tissue_has_one_row_at_each_field_and_each_row_says_its_source() -> None:
    keys = [(row["tissue"], float(row["field_strength_t"])) for row in rows()]
    assert sorted(keys) == sorted((tissue, field) for tissue in TISSUES for field in (1.5, 3.0))
    assert all(len(row["source"]) > 20 for row in rows())


@pytest.mark.parametrize("column", ["T1", "T2", "PD"])
def test_each_field_takes_the_main_brain_tissues_from_one_source(column: str) -> None:
    for field in ("1.5", "3"):
        named = [
            next(part for part in row["source"].split(" | ") if column in part.split(":")[0].split(", "))
            for row in rows()
            if row["tissue"] in ("cortex", "white_matter") and row["field_strength_t"] == field
        ]
        papers = {part.split(": ")[1].split(" (")[0].split(",")[0] for part in named}
        assert len(papers) == 1, named


def test_times_are_possible() -> None:
    for field in (1.5, 3.0):
        tissue = properties(field)
        assert bool((tissue.t2star_s <= tissue.t2_s).all())
        assert bool((tissue.t2_s <= tissue.t1_s).all())
        assert bool((tissue.pd <= 1).all())
    assert bool(((spread() > 0) & (spread() < 0.2)).all())


@pytest.mark.parametrize("name", ["white_matter", "cortex", "striatum", "artery", "muscle"])
def test_t1_grows_and_t2star_shrinks_with_the_field(name: str) -> None:
    assert of(name, 3.0) > of(name, 1.5)
    assert of(name, 3.0, "t2star_s") < of(name, 1.5, "t2star_s")


def test_white_matter_recovers_before_cortex_and_cortex_before_fluid() -> None:
    for field in (1.5, 3.0):
        assert of("white_matter", field) < of("striatum", field) < of("cortex", field) < of("csf", field)


def test_iron_shortens_t2star_of_the_nuclei_in_its_order() -> None:
    times = [of(name, 3.0, "t2star_s") for name in ("pallidum", "nigra", "striatum", "thalamus", "cortex")]
    assert times == sorted(times)


def test_a_field_between_the_tabulated_ones_follows_a_power_law() -> None:
    middle = (1.5 * 3.0) ** 0.5
    assert of("white_matter", middle) == pytest.approx((of("white_matter", 1.5) * of("white_matter", 3.0)) ** 0.5)
    assert of("vein", middle, "chi_ppm") == pytest.approx(0.45)
    assert of("white_matter", 2.89) == pytest.approx(of("white_matter", 3.0), rel=0.02)


@pytest.mark.parametrize("field", [0.0, -3.0, 7.0, 3000.0, float("nan")])
def test_a_field_without_values_is_refused(field: float) -> None:
    with pytest.raises(PhysicsError, match="no relaxation values"):
        properties(field)


def test_times_that_cannot_be_are_refused() -> None:
    one = torch.ones(2)
    with pytest.raises(PhysicsError, match="t1_s"):
        Properties(-one, one, one, one, one)
    with pytest.raises(PhysicsError, match="t2_s"):
        Properties(one, one * torch.nan, one, one, one)
    with pytest.raises(PhysicsError, match="chi_ppm"):
        Properties(one, one, one, one, one * torch.inf)


def test_a_stack_keeps_a_row_for_each() -> None:
    both = stack([properties(1.5), properties(3.0)])
    assert both.t1_s.shape == (2, len(TISSUES))
    assert torch.equal(both.t2_s[1], properties(3.0).t2_s)


BEFORE = properties(3.0)
AFTER = with_gadolinium(BEFORE)


def test_rates_grow_with_relaxivity_times_concentration() -> None:
    tumour = TISSUES.index("tumour")
    amount = CONCENTRATION_MM["tumour"]
    assert (1 / AFTER.t1_s - 1 / BEFORE.t1_s)[tumour].item() == pytest.approx(R1_PER_MM_S * amount)
    assert (1 / AFTER.t2_s - 1 / BEFORE.t2_s)[tumour].item() == pytest.approx(R2_PER_MM_S * amount)


@pytest.mark.parametrize(
    "name", ["csf", "cortex", "white_matter", "thalamus", "hyperintensity", "lacune", "oedema", "fat"]
)
def test_what_the_barrier_guards_stays_as_it_was(name: str) -> None:
    row = TISSUES.index(name)
    for column in ("t1_s", "t2_s", "t2star_s", "chi_ppm"):
        assert getattr(AFTER, column)[row] == pytest.approx(getattr(BEFORE, column)[row].item(), rel=1e-12)


@pytest.mark.parametrize("name", ["tumour", "plaque", "artery", "vein", "dura"])
def test_leaky_tissue_and_blood_recover_faster_than_white_matter(name: str) -> None:
    assert AFTER.t1_s[TISSUES.index(name)] < 0.6 * BEFORE.t1_s[TISSUES.index(name)]


def test_no_dose_changes_nothing_and_doses_go_by_row() -> None:
    both = with_gadolinium(BEFORE, torch.tensor([[0.0], [1.0]], dtype=torch.float64))
    assert torch.allclose(both.t1_s[0], BEFORE.t1_s)
    assert torch.allclose(both.t1_s[1], AFTER.t1_s)
    assert both.pd.shape == both.t1_s.shape
