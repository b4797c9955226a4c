from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from model.physics.contrast import signals_of
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES, properties
from model.simulation.head import Head, make_head
from model.simulation.people import Subject
from model.simulation.template import HeadGrid
from tests.model.simulation.made_heads import STEP_MM, head_of, share, volume_ml
from warehouse.harmonize.mask import dice, find_brain
from warehouse.imaging.geometry import Image

pytestmark = pytest.mark.slow  # its fixtures take seconds

ADULT = Subject(1, 30.0, "F")
STILL = Subject(1, 30.0, "F", deformation_mm=0.0)
PROTOCOLS = {
    "T1w": SequenceProtocol("T1w", "mprage", 3.0, 2.3, 0.003, 0.9, 9.0),
    "T2w": SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.5, 0.1, None, 90.0),
    "FLAIR": SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 9.0, 0.09, 2.5, 90.0),
}


@pytest.fixture(scope="module")
def head() -> Head:
    return head_of(ADULT)


def _bytes(head: Head) -> str:
    digest = hashlib.sha256(head.fractions.numpy().tobytes())
    digest.update(head.displacement_mm.tobytes())
    digest.update(repr(sorted(head.properties_scale.items())).encode())
    return digest.hexdigest()


def test_the_same_subject_has_the_same_bytes_and_another_has_others(head: Head) -> None:
    assert _bytes(make_head(ADULT, STEP_MM)) == _bytes(head)
    assert _bytes(head_of(STILL)) != _bytes(head)


def test_fractions_are_shares_of_a_voxel(head: Head) -> None:
    assert head.fractions.dtype == torch.float32
    assert tuple(head.fractions.shape) == (len(TISSUES), *HeadGrid(STEP_MM).shape)
    assert float(head.fractions.min()) >= 0
    assert float(head.fractions.sum(dim=0).max()) <= 1 + 1e-5
    assert np.allclose(head.affine, HeadGrid(STEP_MM).affine)


def test_a_head_has_the_volumes_of_a_head(head: Head) -> None:
    assert 1200 < head.intracranial.sum() * STEP_MM**3 / 1000 < 1750
    assert 550 < volume_ml(head, "cortex", "thalamus", "striatum", "pallidum") < 850
    assert 400 < volume_ml(head, "white_matter") < 640
    assert 8 < float(share(head, "vitreous").sum()) * STEP_MM**3 / 1000 < 18  # two globes of about 6.5 ml


def test_from_the_brain_outwards_come_fluid_dura_skull_fat_skin_and_air(head: Head) -> None:
    labels = head.labels()
    middle = np.linalg.inv(head.affine) @ [25, 0, 20, 1]
    i, j = round(float(middle[0])), round(float(middle[1]))
    names = ["air" if value == 0 else TISSUES[value - 1] for value in labels[i, j]]
    top = names[len(names) - 1 - next(k for k, name in enumerate(reversed(names)) if name == "cortex") :]
    order = [top.index(name) for name in ("cortex", "bone", "fat", "air")]
    assert order == sorted(order)
    assert "cortex" not in top[1:]
    assert set(top[top.index("air") :]) == {"air"}


def test_sinuses_and_throat_are_air_inside_the_head(head: Head) -> None:
    labels = head.labels()
    depth = np.argmax(labels[:, ::-1] != 0, axis=1)  # voxels of air before the face
    inner_air = sum(
        int((labels[i, j:, k][::-1][depth[i, k] :] == 0).sum()) for i, k in np.ndindex(depth.shape) for j in (60,)
    )
    assert inner_air * STEP_MM**3 / 1000 > 10


def test_poles_are_as_usual_the_right_reaches_further_forward_and_the_left_further_back() -> None:
    head, means = head_of(STILL), {}
    x = head.affine[0, 3] + STEP_MM * np.arange(head.intracranial.shape[0])
    y = head.affine[1, 3] + STEP_MM * np.arange(head.intracranial.shape[1])
    brain = share(head, "cortex", "white_matter", "csf").numpy()
    for side, name in ((1, "right"), (-1, "left")):
        profile = brain[(side * x > 9) & (side * x < 36), :, 30:60].sum(axis=(0, 2))
        means[name] = (profile[y > 45].sum(), profile[y < -75].sum())
    assert means["right"][0] > 1.02 * means["left"][0]
    assert means["left"][1] > 1.02 * means["right"][1]


def test_displacement_leads_to_the_template(head: Head) -> None:
    points = HeadGrid(STEP_MM).points_mm() + head.displacement_mm
    left = points[0][np.broadcast_to(HeadGrid(STEP_MM).axes_mm()[0] < -30, points[0].shape)]
    assert float(np.mean(left < 0)) > 0.999
    still = head_of(STILL)
    spread = np.linalg.norm(head.displacement_mm - still.displacement_mm, axis=0)
    assert 2.0 < np.sqrt((spread**2).mean()) < 6.0


def test_a_subject_has_its_own_tissue_near_the_tabulated(head: Head) -> None:
    own, table = head.tissue(3.0), properties(3.0)
    ratio = own.t1_s / table.t1_s
    assert 0.8 < float(ratio.min()) < 1 < float(ratio.max()) < 1.3
    assert bool((own.t2star_s <= own.t2_s).all())
    assert bool((own.pd <= 1.0).all())


def test_maps_are_those_of_what_a_voxel_holds(head: Head) -> None:
    maps, own = head.maps(3.0), head.tissue(3.0)
    white = share(head, "white_matter") > 0.999
    assert float((maps["t1_s"][white] / own.t1_s[TISSUES.index("white_matter")] - 1).abs().max()) < 0.005
    assert float(maps["pd"][0, 0, 0]) == 0.0
    assert set(maps) == {"t1_s", "t2_s", "t2star_s", "pd", "chi_ppm"}


def test_fresh_blood_comes_from_below(head: Head) -> None:
    artery = share(head, "artery")
    assert float((head.inflow - artery).max()) <= 1e-3
    half = head.inflow.shape[2] // 2
    spent = [
        float(head.inflow[:, :, part].sum() / artery[:, :, part].sum())
        for part in (slice(None, half), slice(half, None))
    ]
    assert spent[0] > spent[1] > 0


@pytest.mark.parametrize("resolution_mm", [1.0, 3.0])
@pytest.mark.parametrize(
    "subject", [Subject(11, 5.0, "F"), Subject(13, 30.0, "M"), Subject(15, 82.0, "F")], ids=["child", "adult", "old"]
)
def test_the_brain_is_found_in_every_contrast(subject: Subject, resolution_mm: float) -> None:
    head = make_head(subject, resolution_mm)
    signals = signals_of(list(PROTOCOLS.values()), head.tissue(3.0)).float()
    random = np.random.default_rng(0)
    for name, values in zip(
        PROTOCOLS, torch.einsum("pt,tijk->pijk", signals, head.fractions).abs().numpy(), strict=True
    ):
        sd = float(values[head.intracranial].mean()) / 40
        noisy = np.hypot(values + random.normal(0, sd, values.shape), random.normal(0, sd, values.shape))
        found = find_brain(Image(noisy.astype(np.float32), head.affine))
        assert dice(found, head.intracranial) >= 0.93, name
