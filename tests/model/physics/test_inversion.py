from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from model.physics.inversion import inversion_recovery, null_time_s
from model.physics.settings import SequenceSettings
from tests.model.physics.conftest import BRAIN_AND_FLUID, one_tissue
from tests.model.physics.epg import train_cycle

TIMES = pytest.mark.parametrize(("t1_s", "t2_s"), BRAIN_AND_FLUID.values(), ids=BRAIN_AND_FLUID.keys())


@TIMES
@pytest.mark.parametrize(("tr_s", "ti_s"), [(9.0, 2.5), (5.0, 1.8), (2.5, 0.15)])
def test_inversion_recovery_is_that_of_the_phase_graph(t1_s: float, t2_s: float, tr_s: float, ti_s: float) -> None:
    for angle_deg, within in [(180.0, 1e-6), (150.0, 0.006), (120.0, 0.009)]:
        settings = SequenceSettings.of(tr_s=tr_s, te_s=0.12, ti_s=ti_s, fa_deg=angle_deg).columns()
        slow = train_cycle(t1_s, t2_s, tr_s, 0.01, 12, np.deg2rad(angle_deg), ti_s)[-1]
        assert abs(inversion_recovery(settings, one_tissue(t1_s, t2_s)).item()) == pytest.approx(slow, abs=within)


@pytest.mark.parametrize("tr_s", [5.0, 9.0, 11.0])
def test_fluid_is_null_at_the_null_time_of_a_finite_tr(tr_s: float) -> None:
    t1_s, te_s = torch.tensor(4.3, dtype=torch.float64), torch.tensor(0.12)
    ti_s = null_time_s(t1_s, torch.tensor(tr_s), te_s)
    assert ti_s < t1_s * math.log(2)
    settings = SequenceSettings.of(tr_s=tr_s, te_s=0.12, ti_s=ti_s, fa_deg=180.0).columns()
    assert inversion_recovery(settings, one_tissue(4.3, 1.9)).item() == pytest.approx(0, abs=1e-7)


def test_after_endless_recovery_the_null_is_t1_times_ln_2() -> None:
    long = null_time_s(torch.tensor(0.3), torch.tensor(1000.0), torch.tensor(0.1))
    assert long.item() == pytest.approx(0.3 * math.log(2))


def test_real_flair_times_null_real_fluid() -> None:
    """TR 9 s and TI 2.5 s are what scanners play at 3 T."""
    null = null_time_s(torch.tensor(4.3), torch.tensor(9.0), torch.tensor(0.12))
    assert null.item() == pytest.approx(2.5, abs=0.1)


def test_the_sign_changes_at_the_null() -> None:
    settings = SequenceSettings.of(tr_s=9.0, te_s=0.12, ti_s=torch.tensor([1.5, 3.5]), fa_deg=180.0).columns()
    early, late = inversion_recovery(settings, one_tissue(4.3, 1.9))[:, 0].tolist()
    assert early < 0 < late


def test_a_late_excitation_sees_no_inversion() -> None:
    settings = SequenceSettings.of(tr_s=200.0, te_s=0.1, ti_s=100.0, fa_deg=180.0).columns()
    assert inversion_recovery(settings, one_tissue(1.0, 0.1, pd=0.7)).item() == pytest.approx(
        0.7 * math.exp(-1), rel=1e-9
    )
