from __future__ import annotations

import pytest
import torch

from model.physics.gadolinium import CONCENTRATION_MM, R1_PER_MM_S, R2_PER_MM_S, with_gadolinium
from model.physics.tissue import TISSUES, properties

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
