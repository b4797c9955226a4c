from __future__ import annotations

import pytest

from model.data.digital_people import Relaxation
from model.evaluation.simulator import Acquisition, signal
from model.physics.contrast import tissue_signals
from model.physics.protocol import SequenceSettings
from model.physics.tissue import TISSUES, properties
from warehouse.errors import ModelError

CHANNELS = [TISSUES.index(name) for name in ("csf", "cortex", "white_matter")]
SCANS = {  # with the sequence of the equations, and the difference that echo trains leave
    "spin echo": (Acquisition("spin_echo", 0.5, 0.012, 90.0), "spin_echo", 1e-6),
    "gradient echo": (Acquisition("gradient_echo", 0.65, 0.02, 20.0), "t2star", 1e-6),
    "short gradient echo": (Acquisition("gradient_echo", 0.03, 0.02, 15.0), "t2star", 1e-6),
    "MPRAGE": (Acquisition("mprage", 2.3, 0.003, 9.0, 0.9), "mprage", 1e-6),
    "fast spin echo": (Acquisition("fast_spin_echo", 4.0, 0.1, 150.0), "fast_spin_echo", 0.03),
    "FLAIR": (Acquisition("inversion_recovery", 9.0, 0.12, 150.0, 2.2), "inversion_recovery", 0.02),
}


@pytest.mark.parametrize(("scan", "sequence", "within"), SCANS.values(), ids=SCANS.keys())
@pytest.mark.parametrize("channel", CHANNELS, ids=["csf", "gm", "wm"])
def test_stepped_spins_agree_with_the_equations_up_to_what_echo_trains_do(
    scan: Acquisition, sequence: str, within: float, channel: int
) -> None:
    table = properties(3.0)
    tissue = Relaxation(*(float(getattr(table, name)[channel]) for name in Relaxation._fields))
    settings = SequenceSettings.of(scan.tr_s, scan.te_s, scan.flip_angle_deg, scan.ti_s or 0.0)
    expected = float(tissue_signals(sequence, table, settings)[0, channel])
    assert signal(scan, tissue) == pytest.approx(expected, abs=within)


def test_an_echo_train_reads_the_echo_at_the_echo_time() -> None:
    for te_s in (0.02, 0.1, 0.123, 0.3):
        n_echoes, effective, spacing_s = Acquisition("fast_spin_echo", 4.0, te_s, 150.0).train
        assert (effective + 1) * spacing_s == pytest.approx(te_s)
        assert effective < n_echoes >= 16


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(("spin_echo", 0.5, 0.6, 90.0), id="TE beyond TR"),
        pytest.param(("mprage", 2.3, 0.003, 9.0), id="no TI"),
        pytest.param(("fast_spin_echo", 4.0, 0.1, 150.0, 2.0), id="TI without inversion"),
        pytest.param(("mprage", 2.3, 0.003, 9.0, 0.5), id="train before the inversion"),
        pytest.param(("inversion_recovery", 2.0, 0.1, 150.0, 1.9), id="train beyond TR"),
    ],
)
def test_what_no_scanner_plays_is_refused(wrong: tuple[object, ...]) -> None:
    with pytest.raises(ModelError):
        Acquisition(*wrong)  # type: ignore[arg-type]
