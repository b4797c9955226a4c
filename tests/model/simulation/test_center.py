from __future__ import annotations

import numpy as np
import pytest

from model.simulation.center import CohortSettings, protocol_of, scan_seed_of, sidecar_path, voxel_size_at
from model.simulation.layouts import LAYOUTS, plan_of
from model.simulation.people import enrol
from model.simulation.seeds import seed_of, stream
from warehouse.centers.registry import shipped


@pytest.mark.parametrize(
    ("real", "resolution", "made"),
    [
        ((0.8, 0.8, 0.8), 1.0, (1.0, 1.0, 1.0)),
        ((0.9375, 0.9375, 1.2), 3.0, (3.0, 3.0, 3.84)),
        ((0.86, 0.86, 5.0), 3.0, (3.0, 3.0, 5.0)),
        ((0.86, 0.86, 5.0), 4.0, (4.0, 4.0, 5.6)),
        ((1.2, 1.0, 1.0), 0.8, (1.2, 1.0, 1.0)),
    ],
    ids=["finer", "nearly isotropic", "slices", "slices at 4 mm", "coarser"],
)
def test_voxels_keep_their_shape_and_slices_their_thickness(real: tuple, resolution: float, made: tuple) -> None:
    assert voxel_size_at(real, resolution) == pytest.approx(made)


def test_protocols_go_with_neither_age_nor_role_nor_field() -> None:
    settings, rows = CohortSettings(40, 1, 3.0), []
    for name in LAYOUTS:
        for place in plan_of(name, enrol(name, 40, 1)).places:
            protocol = protocol_of(place, scan_seed_of(settings, f"phantom_{name}", place))
            if protocol.sequence == "mprage":
                is_external = shipped()[name].role == "external"
                age = place.person.ages_years[place.visit]
                told = (protocol.repetition_time_s, protocol.inversion_time_s, protocol.echo_time_s)
                rows.append((age, is_external, protocol.field_strength_t, *told, protocol.flip_angle_deg))
    correlations = np.corrcoef(np.array(rows, float).T)[:3, 3:]
    assert len(rows) > 300
    assert np.abs(correlations).max() < 4 / np.sqrt(len(rows))  # four standard errors of no correlation


def test_a_sidecar_lies_beside_its_image() -> None:
    assert sidecar_path("a/b_T1w.nii.gz") == "a/b_T1w.json"
    assert sidecar_path("a/b.c_T1w.nii") == "a/b.c_T1w.json"


def test_draws_depend_on_names_alone() -> None:
    assert seed_of(1, "ab", "c") != seed_of(1, "a", "bc")
    assert stream(1, "noise").random() == stream(1, "noise").random()
    assert stream(1, "noise").random() != stream(2, "noise").random()
