from __future__ import annotations

import numpy as np
import pytest
import torch

from model.physics.gradient_echo import spoiled_gradient_echo
from model.physics.inflow import fresh_blood, inflow_gain, staying_share
from model.physics.settings import SequenceSettings
from model.physics.tissue import TISSUES, properties
from tests.model.physics.bloch import gradient_echo
from tests.model.physics.conftest import one_tissue

TOF = SequenceSettings.of(tr_s=0.022, te_s=0.0037, fa_deg=18.0).columns()


def test_blood_that_has_felt_no_pulse_gives_all_it_has() -> None:
    signal = fresh_blood(TOF, one_tissue(1.96, 0.122, t2star_s=0.048), n_pulses=0).item()
    assert signal == pytest.approx(np.sin(np.deg2rad(18)) * np.exp(-0.0037 / 0.048), rel=1e-9)


@pytest.mark.parametrize("n_pulses", [1, 3, 20])
def test_blood_saturates_pulse_by_pulse_as_bloch_says(n_pulses: int) -> None:
    slow = gradient_echo(1.96, 0.048, 0.022, 0.0037, np.deg2rad(18), n_pulses + 1)
    assert fresh_blood(TOF, one_tissue(1.96, 0.048), n_pulses=n_pulses).item() == pytest.approx(slow, rel=1e-6)


def test_blood_that_stays_is_static_tissue() -> None:
    blood = one_tissue(1.96, 0.122, t2star_s=0.048)
    assert fresh_blood(TOF, blood, n_pulses=5000).item() == pytest.approx(spoiled_gradient_echo(TOF, blood).item())


def test_only_arteries_gain_from_inflow_and_outshine_the_brain() -> None:
    gain = inflow_gain(TOF, properties(3.0))[0]
    static = spoiled_gradient_echo(TOF, properties(3.0))[0]
    artery = TISSUES.index("artery")
    assert gain[artery] + static[artery] > 2 * static[TISSUES.index("white_matter")]
    assert gain.count_nonzero() == 1


def test_fast_blood_leaves_before_a_late_echo_and_the_brain_stays() -> None:
    share = staying_share(torch.tensor([[0.01], [0.1]], dtype=torch.float64))
    assert share[1, TISSUES.index("artery")] < 0.05
    assert share[1, TISSUES.index("artery")] < share[1, TISSUES.index("vein")] < share[0, TISSUES.index("vein")]
    assert bool((share[:, TISSUES.index("cortex")] == 1).all())
