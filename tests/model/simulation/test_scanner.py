from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES
from model.simulation.head import Head
from model.simulation.layouts import LAYOUTS, plan_of
from model.simulation.people import Subject, enrol
from model.simulation.scanner import (
    NECK_MM,
    STORAGE,
    Scanner,
    acquire,
    add_noise,
    random_pose,
    smooth_field,
    store,
    with_neck,
)
from tests.model.simulation.fake_head import LESION_MM, fake_head
from warehouse.errors import PhantomError

SIEMENS = Scanner("Siemens", "Trio", 3.0, snr=30.0, receive_bias=0.0, transmit_bias=0.0)
PDW = SequenceProtocol("PDw", "fast_spin_echo", 3.0, 6.0, 0.012, None, 180.0)
FLAIR = SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 10.0, 0.1, 2.58, 180.0)
SIZE = (4.0, 4.0, 4.0)
USED = sorted({place.look.axcodes for name in LAYOUTS for place in plan_of(name, enrol(name, 1, 1)).places})
POSE = random_pose(np.random.default_rng(3), np.zeros(3))


@pytest.fixture(scope="module")
def head() -> Head:
    return fake_head(Subject(1, 40.0, "F"))


def white_block() -> Head:
    """Return a head of white matter throughout: every voxel has the same signal."""
    head = fake_head(Subject(1, 40.0, "F"))
    fractions = torch.zeros_like(head.fractions)
    fractions[TISSUES.index("white_matter")] = 1.0
    return replace(head, fractions=fractions)


def brain_share(head: Head, scanner: Scanner, protocol: SequenceProtocol = PDW) -> np.ndarray:
    """Return stored numbers well inside a head of white matter."""
    voxels = acquire(head, protocol, scanner, voxel_size_mm=(5.0, 5.0, 5.0), axcodes="RAS", seed=5).voxels
    return voxels[2:-2, 2:-2, 2:-2].astype(float)


@pytest.mark.parametrize("axcodes", USED)
@pytest.mark.parametrize("tilt_deg", [(0.0, 0.0, 0.0), (15.0, 0.0, 0.0)], ids=["straight", "oblique"])
def test_a_lesion_of_the_left_lies_where_the_affine_says(
    head: Head, axcodes: str, tilt_deg: tuple[float, float, float]
) -> None:
    quiet = replace(SIEMENS, snr=1e5)
    healthy = fake_head(head.subject, has_lesion=False)
    with_it, without = (
        acquire(one, FLAIR, quiet, voxel_size_mm=SIZE, axcodes=axcodes, pose=POSE, tilt_deg=tilt_deg, seed=7)
        for one in (head, healthy)
    )
    changed = np.abs(with_it.voxels / with_it.voxels.max() - without.voxels / without.voxels.max())
    weights = np.where(changed > 0.3 * changed.max(), changed, 0)
    center = np.average(np.argwhere(weights > 0), axis=0, weights=weights[weights > 0])
    found = (np.linalg.inv(POSE) @ with_it.affine @ [*center, 1.0])[:3]
    assert found == pytest.approx(LESION_MM, abs=3.0)


@pytest.mark.parametrize("axcodes", USED)
def test_the_axes_run_as_they_are_called(head: Head, axcodes: str) -> None:
    import nibabel as nib

    made = acquire(head, PDW, SIEMENS, voxel_size_mm=(5.0, 4.0, 6.0), axcodes=axcodes, pose=POSE, seed=1)
    assert "".join(nib.aff2axcodes(made.affine)) == axcodes
    assert np.linalg.norm(made.affine[:3, :3], axis=0) == pytest.approx((5.0, 4.0, 6.0))


def test_noise_is_as_strong_as_asked() -> None:
    scanner = replace(SIEMENS, snr=20.0)
    head = white_block()
    quiet, noisy = (brain_share(head, replace(scanner, snr=snr)) for snr in (1e6, 20.0))
    mean = noisy.mean()
    assert quiet.std() / quiet.mean() < 2e-3
    # The ratio is to the mean of cortex and white matter; both are known from the equations.
    made = acquire(head, PDW, scanner, voxel_size_mm=(5.0, 5.0, 5.0), axcodes="RAS", seed=5)
    assert noisy.std() == pytest.approx(made.noise_sd, rel=0.03)
    assert mean / noisy.std() == pytest.approx(20.0, rel=0.15)  # cortex is some 10 % brighter than white matter


def test_noise_in_air_is_rayleigh() -> None:
    air = add_noise(np.zeros((40, 40, 40), np.float32), 5.0, np.random.default_rng(1))
    assert air.mean() == pytest.approx(5.0 * np.sqrt(np.pi / 2), rel=0.01)
    assert air.std() == pytest.approx(5.0 * np.sqrt(2 - np.pi / 2), rel=0.01)


def test_receive_bias_spans_the_share_asked() -> None:
    voxels = acquire(white_block(), PDW, replace(SIEMENS, snr=1e6, receive_bias=0.6), voxel_size_mm=(5.0, 5.0, 5.0),
                     axcodes="RAS", seed=5).voxels[1:-1, 1:-1, 1:-1]  # fmt: skip
    assert 1.4 < voxels.max() / voxels.min() <= 1.3 / 0.7 + 0.01


def test_transmit_bias_changes_signal_by_the_flip_angle_alone() -> None:
    biased = replace(SIEMENS, snr=1e6, transmit_bias=0.4)
    gradient = SequenceProtocol(
        "T1w", "spoiled_gradient_echo", 3.0, 0.009, 0.004, None, 25.0
    )  # far above the Ernst angle
    field = brain_share(white_block(), biased, gradient)
    assert 1.05 < field.max() / field.min() < 2.0


@pytest.mark.parametrize("manufacturer", sorted(STORAGE))
def test_numbers_are_stored_as_the_vendor_does(manufacturer: str) -> None:
    image = np.linspace(0, 100, 30**3, dtype=np.float32).reshape(30, 30, 30)
    storage = STORAGE[manufacturer]
    for seed in range(20):
        voxels, scale, slope = store(image, manufacturer, np.random.default_rng(seed))
        assert voxels.dtype == np.int16
        assert voxels.min() >= 0
        assert storage.peak[0] - 1 <= voxels.max() <= min(storage.largest, 1.01 * storage.peak[1])
        assert (slope != 1.0) == storage.has_slope
        assert voxels[-1, -1, -1] == pytest.approx(100 * scale, abs=1)


def test_the_same_seed_gives_the_same_bytes(head: Head) -> None:
    def scan(seed: int) -> bytes:
        return acquire(head, FLAIR, SIEMENS, voxel_size_mm=SIZE, axcodes="LPS", seed=seed).voxels.tobytes()

    assert scan(4) == scan(4)
    assert scan(4) != scan(5)


@pytest.mark.parametrize(
    ("pose", "said"),
    [(np.diag([1.0, 1.0, 2.0, 1.0]), "not rigid"), (np.diag([-1.0, 1.0, 1.0, 1.0]), "mirrors")],
    ids=["stretched", "mirrored"],
)
def test_a_pose_that_is_no_rotation_is_refused(head: Head, pose: np.ndarray, said: str) -> None:
    with pytest.raises(PhantomError, match=said):
        acquire(head, PDW, SIEMENS, voxel_size_mm=SIZE, axcodes="RAS", pose=pose, seed=1)


@pytest.mark.parametrize(
    "wrong",
    [{"manufacturer": "Acme"}, {"snr": 0.0}, {"receive_bias": 2.0}, {"transmit_bias": -0.1}],
    ids=["vendor", "snr", "receive", "transmit"],
)
def test_a_scanner_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PhantomError):
        replace(SIEMENS, **wrong)  # type: ignore[arg-type]


def test_the_neck_goes_on_below_the_grid() -> None:
    image = torch.rand(4, 5, 6)
    longer, affine = with_neck(image, np.diag([5.0, 5.0, 5.0, 1.0]))
    n_layers = longer.shape[2] - image.shape[2]
    assert n_layers * 5.0 >= NECK_MM
    assert torch.equal(longer[:, :, n_layers:], image)
    assert torch.equal(longer[:, :, 0], image[:, :, 0])
    assert affine @ [0, 0, n_layers, 1] == pytest.approx([0, 0, 0, 1])  # what was first stays where it was


def test_an_image_without_signal_is_refused() -> None:
    with pytest.raises(PhantomError, match="no signal"):
        store(np.zeros((8, 8, 8), np.float32), "GE", np.random.default_rng(1))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_a_field_spans_its_share_around_one(share: float) -> None:
    for seed in range(5):
        field = smooth_field((40, 50, 30), np.random.default_rng(seed), share)
        assert field.shape == (40, 50, 30)
        assert float(field.max()) <= 1 + share / 2 + 1e-6
        assert float(field.min()) >= 1 - share / 2 - 1e-6
        assert float(field.max() - field.min()) == pytest.approx(share, rel=0.05, abs=1e-6)


def test_a_field_varies_over_centimetres() -> None:
    field = smooth_field((60, 60, 60), np.random.default_rng(1), 0.6).numpy()
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in range(3)) < 0.6 * 0.12


def test_fields_of_two_seeds_differ() -> None:
    one, other = (smooth_field((16, 16, 16), np.random.default_rng(seed), 0.4) for seed in (1, 2))
    assert not np.allclose(one, other)


def test_a_field_that_changes_sign_is_refused() -> None:
    with pytest.raises(PhantomError, match="changes sign"):
        smooth_field((8, 8, 8), np.random.default_rng(1), 2.5)
