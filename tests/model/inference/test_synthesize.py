"""A scan keeps its grid, its axes and its sides whatever way it lies, and says that it is synthetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

import model
from model.data.catalogue import Source
from model.inference import synthesize as module
from model.inference.from_scans import MEDIAN, synthesize
from model.inference.synthesize import Synthesizer, load_synthesizer
from model.networks.synthesis.physics import Maps, Settings, signal
from model.networks.synthesis.voxels import sample
from tests.model.inference.conftest import bright
from tests.model.inference.test_grid import AFFINES, OBLIQUE, TILT
from tests.model.tiny_models import COMPACT, save_synthesis
from warehouse.errors import ModelError, PromptError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Grid, Image
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

T1W, T2W = PromptRecord(contrast="T1w"), PromptRecord(contrast="T2w", field_strength_t=3.0)


@pytest.fixture(scope="module")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("models") / "home")
    save_synthesis(home)
    return home


@pytest.fixture(scope="module")
def synthesizer(made_home: Home) -> Synthesizer:
    [path] = made_home.models.iterdir()
    return load_synthesizer(made_home, path.name, "cpu")


def one_sided(affine: NDArray[np.float64], shape: tuple[int, int, int] = (50, 36, 24)) -> nib.Nifti1Image:
    """Return an ellipsoid whose right side has a bright ball."""
    at = np.indices(shape).reshape(3, -1)
    mm = affine[:3, :3] @ (at - (np.array(shape)[:, None] - 1) / 2)
    extent = np.abs(mm).max(1)
    body = ((mm / extent[:, None]) ** 2).sum(0) < 0.8
    towards_right = np.array([0.5 * extent[0], 0, 0])
    ball = np.linalg.norm(mm - towards_right[:, None], axis=0) < 0.4 * extent[0]
    texture = 300.0 * (1 + 0.9 * (mm / extent[:, None])[2])
    return nib.Nifti1Image((body * texture + (ball & body) * 200.0 + 5).reshape(shape).astype(np.float32), affine)


def right_side(voxels: NDArray[Any], affine: NDArray[np.float64]) -> float:
    """Return how far to the right of the middle the brightness lies, mm."""
    at = np.indices(voxels.shape).reshape(3, -1)
    mm = affine[:3, :3] @ (at - (np.array(voxels.shape)[:, None] - 1) / 2)
    return float((mm[0] * voxels.ravel()).sum() / voxels.sum())


@pytest.fixture
def mirror(synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch) -> Synthesizer:
    """A model that hands on what it is given, so that only geometry is left."""
    monkeypatch.setattr(synthesizer.network, "latent", lambda scans, wanted: scans.voxels[:, :1])
    monkeypatch.setattr(
        synthesizer.network, "decode", lambda latent, wanted, at=None: latent if at is None else sample(latent, at)[0]
    )
    body = one_sided(np.eye(4)).get_fdata()
    return replace(synthesizer, relative_spread={"T2w": BrainScale.of(body, body > 100).relative_spread})


@pytest.mark.slow
@pytest.mark.parametrize("affine", AFFINES)
def test_affine_axes_and_sides_are_kept(affine: NDArray[np.float64], mirror: Synthesizer) -> None:
    scan = one_sided(affine)
    made = synthesize(scan, T2W, model=mirror)
    assert made.shape == scan.shape
    assert nib.aff2axcodes(made.affine) == nib.aff2axcodes(scan.affine)
    np.testing.assert_allclose(made.affine, scan.affine, atol=1e-5)
    np.testing.assert_allclose(made.get_sform(), scan.get_sform(), atol=1e-5)
    np.testing.assert_allclose(made.get_qform(), scan.get_qform(), atol=1e-4)
    shown, given = made.get_fdata(), scan.get_fdata()
    assert right_side(given, affine) > 0.1
    assert right_side(shown, affine) == pytest.approx(right_side(given, affine), rel=0.25)
    assert np.corrcoef(shown.ravel(), given.ravel())[0, 1] > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("axcodes", ["LPS", "PIR", "ASL"])
def test_one_scan_stored_in_any_order_of_axes_gives_one_result(axcodes: str, synthesizer: Synthesizer) -> None:
    scan = one_sided(nib.affines.from_matvec(2.0 * TILT, [3.0, -5.0, 7.0]))
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(scan.affine), nib.orientations.axcodes2ornt(tuple(axcodes))
    )
    made, other = synthesize(scan, T2W, model=synthesizer), synthesize(scan.as_reoriented(turn), T2W, model=synthesizer)
    one, two = nib.as_closest_canonical(made), nib.as_closest_canonical(other)
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-4)
    np.testing.assert_allclose(one.get_fdata(), two.get_fdata(), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1)], ids=["qform", "sform", "both"])
@pytest.mark.parametrize("affine", [param for param in AFFINES if param.id != "sheared"])
def test_sides_are_kept_from_file_to_file(
    affine: NDArray[np.float64], codes: tuple[int, int], mirror: Synthesizer, tmp_path: Path
) -> None:
    scan = one_sided(affine, (25, 18, 12))
    scan.set_qform(affine, codes[0])
    scan.set_sform(affine, codes[1])
    nib.save(scan, tmp_path / "in.nii.gz")
    nib.save(synthesize(tmp_path / "in.nii.gz", T2W, model=mirror), tmp_path / "out.nii.gz")
    made: Any = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(made.get_sform(), affine, atol=1e-4)
    np.testing.assert_allclose(made.get_qform(), affine, atol=1e-3)
    given = right_side(scan.get_fdata(), affine)
    assert given > 0.1
    assert right_side(np.asarray(made.dataobj), made.affine) > 0.5 * given
    assert np.corrcoef(np.asarray(made.dataobj).ravel(), scan.get_fdata().ravel())[0, 1] > 0.9


def test_a_head_in_metres_gives_the_result_of_the_head_in_millimetres(synthesizer: Synthesizer, tmp_path: Path) -> None:
    scan = one_sided(OBLIQUE, (25, 18, 12))
    in_metres = nib.Nifti1Image(scan.get_fdata(dtype=np.float32), np.diag([1e-3, 1e-3, 1e-3, 1.0]) @ OBLIQUE)
    in_metres.header.set_xyzt_units("meter", "sec")
    nib.save(in_metres, tmp_path / "metres.nii.gz")
    made = synthesize(tmp_path / "metres.nii.gz", T2W, model=synthesizer)
    expected = synthesize(scan, T2W, model=synthesizer)
    np.testing.assert_allclose(made.affine, expected.affine, atol=1e-3)
    assert made.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(made.get_fdata(), expected.get_fdata(), atol=1e-3)
    assert np.ptp(made.get_fdata()) > 0


@pytest.mark.parametrize("change", ["z-scored", "shifted", "NaN around"])
def test_what_was_subtracted_from_a_stripped_scan_changes_no_result(change: str, synthesizer: Synthesizer) -> None:
    scan = one_sided(OBLIQUE, (25, 18, 12))
    voxels = scan.get_fdata(dtype=np.float32)
    inside = voxels > 100
    texture = np.random.default_rng(0).normal(0, 40, voxels.shape)
    plain = np.where(inside, voxels + texture, 0)
    changed = {
        "z-scored": np.where(inside, (plain - plain[inside].mean()) / plain[inside].std(), 0),
        "shifted": plain - 1024,
        "NaN around": np.where(inside, plain, np.nan),
    }[change]
    made, expected = (
        synthesize(nib.Nifti1Image(values.astype(np.float32), OBLIQUE), T2W, model=synthesizer).get_fdata()
        for values in (changed, plain)
    )
    if change == "z-scored":  # how far the lowest tissue lay above the air is lost, which shows at the edge
        assert np.corrcoef(made[inside], expected[inside])[0, 1] > 0.85
    else:
        np.testing.assert_allclose(made, expected, atol=1e-3)


def test_a_result_says_that_it_is_synthetic_and_by_which_model(synthesizer: Synthesizer) -> None:
    made = synthesize(one_sided(OBLIQUE), T2W, model=synthesizer)
    description = bytes(made.header["descrip"]).rstrip(b"\0").decode()
    assert description == f"synthetic T2w by TUMSyn model {synthesizer.model_id}"
    assert made.get_data_dtype() == np.float32
    assert made.get_fdata().min() >= 0


def test_signal_is_zero_in_air_and_a_thousand_at_the_median_of_the_brain(mirror: Synthesizer) -> None:
    scan = one_sided(np.diag([3.0, 3.0, 3.0, 1.0]))
    brain = bright(Image(scan.get_fdata(), scan.affine))
    made = synthesize(scan, T2W, model=mirror).get_fdata()
    assert np.median(made[brain]) == pytest.approx(MEDIAN, rel=1e-3)
    assert made[scan.get_fdata() == 5].max() < 0.15 * MEDIAN


def rendering(home: Home, monkeypatch: pytest.MonkeyPatch) -> tuple[Synthesizer, Maps, Source]:
    """Return a model that renders known maps, whose T2 rises along the first axis, and adds nothing; and a scan."""
    stated = {"T2w": {"repetition_time_s": [2.0, 8.0], "echo_time_s": [0.02, 0.15]}}
    one = load_synthesizer(home, save_synthesis(home, has_equations=True, trained_ranges={"contrasts": stated}), "cpu")
    network, shape = one.network, (12, 8, 8)
    for parameter in cast(Any, network).last.parameters():
        torch.nn.init.zeros_(parameter)
    t2_s = torch.linspace(0.06, 0.12, shape[0])[None, :, None, None].expand(1, *shape)
    pd, t1_s = torch.ones_like(t2_s), torch.full_like(t2_s, 1.0)
    maps = Maps(pd=pd, t1_s=t1_s, t2_s=t2_s, t2star_s=t2_s)
    monkeypatch.setattr(cast(Any, network).map_head, "forward", lambda latent: maps)
    return one, maps, Source(np.zeros(shape, np.float32), np.ones(shape, bool), T1W)


@pytest.mark.parametrize("echo_time_s", [0.03, 0.1])
@pytest.mark.parametrize("usual", [0.01, 3.0])
def test_where_an_equation_is_known_signals_have_its_contrast(
    usual: float, echo_time_s: float, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, maps, source = rendering(home, monkeypatch)
    one = replace(one, relative_spread={"T2w": usual})
    target = PromptRecord(contrast="T2w", repetition_time_s=5.0, echo_time_s=echo_time_s)
    made, truth = one.signal([source], target), signal(maps, Settings.of([target], [None]))[0, 0].numpy()
    assert truth.max() / truth.min() > (1.2 if echo_time_s < 0.05 else 2)
    np.testing.assert_allclose(made, truth / np.median(truth), rtol=1e-3)


def test_a_rendered_brain_is_not_stretched_beyond_the_contrast_of_real_ones(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _, source = rendering(home, monkeypatch)
    wide = replace(one, relative_spread={"T2w": 3.0})
    usual = PromptRecord(contrast="T2w", repetition_time_s=5.0, echo_time_s=0.1)
    voxels, spread = wide.intensities([source], usual)
    assert spread == pytest.approx(3.0, rel=1e-5)
    own, rendered = replace(wide, is_simulated=True).intensities([source], usual)
    assert rendered < 1.0
    assert np.ptp(voxels) < np.ptp(own) / 2
    assert replace(one, relative_spread={"T2w": 0.01}).intensities([source], usual)[1] == pytest.approx(rendered)
    early = wide.intensities([source], replace(usual, echo_time_s=0.02))[1]
    assert early < spread, "tissues are more alike at a short echo time"


def test_names_in_the_header_of_a_scan_do_not_travel_on(synthesizer: Synthesizer) -> None:
    scan = one_sided(OBLIQUE)
    scan.header["db_name"] = scan.header["aux_file"] = b"Doe^Jane"
    assert b"Doe" not in synthesize(scan, T2W, model=synthesizer).to_bytes()[:352]


@pytest.mark.parametrize("shape", [(24, 20, 1), (1, 20, 24), (9, 31, 2)])
def test_a_side_of_one_voxel_is_kept(shape: tuple[int, int, int], synthesizer: Synthesizer) -> None:
    scan = one_sided(np.diag([4.0, 4.0, 5.0, 1.0]), (24, 20, 9))
    voxels = np.resize(scan.get_fdata(), shape).astype(np.float32)
    made = synthesize(nib.Nifti1Image(voxels, scan.affine), T2W, model=synthesizer)
    assert made.shape == shape
    assert np.isfinite(made.get_fdata()).all()


def test_a_voxel_size_in_the_prompt_is_the_results_over_the_same_field_of_view(mirror: Synthesizer) -> None:
    scan = one_sided(AFFINES[1].values[0])
    made = synthesize(scan, PromptRecord(contrast="T2w", voxel_size_mm=(2.0, 2.0, 6.0)), model=mirror)
    np.testing.assert_allclose(made.header.get_zooms(), (2, 2, 6), rtol=1e-5)
    assert made.shape == (25, 36, 12)
    assert nib.aff2axcodes(made.affine) == nib.aff2axcodes(scan.affine)
    given = right_side(scan.get_fdata(), scan.affine)
    assert given > 0.1
    assert right_side(made.get_fdata(), made.affine) > 0.5 * given


def test_the_voxel_size_that_it_has_changes_nothing(synthesizer: Synthesizer) -> None:
    scan = one_sided(OBLIQUE)
    sizes = tuple(float(size) for size in np.round(np.linalg.norm(OBLIQUE[:3, :3], axis=0), 2))
    made = synthesize(scan, replace(T2W, voxel_size_mm=(sizes[0], sizes[1], sizes[2])), model=synthesizer)
    np.testing.assert_allclose(made.affine, scan.affine, atol=1e-4)


@pytest.mark.parametrize("affine", [AFFINES[0], AFFINES[1], pytest.param(OBLIQUE, id="oblique")])
def test_what_is_evaluated_from_a_file_is_what_a_user_gets(
    affine: NDArray[np.float64], synthesizer: Synthesizer, tmp_path: Path
) -> None:
    nib.save(one_sided(affine), tmp_path / "in.nii.gz")
    source = replace(T1W, voxel_size_mm=(2.0, 2.0, 2.0))
    made = synthesize(tmp_path / "in.nii.gz", T2W, source_prompt=source, model=synthesizer)
    grid = Grid(made.shape, made.affine)
    there = nib.affines.from_matvec(TILT, [10.0, -4.0, 3.0])  # the evaluated grid lies elsewhere in its own world
    like = Grid(grid.shape, there @ grid.affine)
    scored = synthesizer.scan([tmp_path / "in.nii.gz"], [source], T2W, like=like, to_like=[there])
    signal = 1 + synthesizer.relative_spread["T2w"] * scored
    inside = tuple(slice(2, -2) for _ in range(3))  # the two interpolations differ at the borders
    assert np.corrcoef(signal[inside].ravel(), made.get_fdata()[inside].ravel())[0, 1] > 0.999
    np.testing.assert_allclose(MEDIAN * np.median(signal[inside]), np.median(made.get_fdata()[inside]), rtol=0.01)


def test_prompts_are_sentences_or_records(synthesizer: Synthesizer) -> None:
    scan = one_sided(OBLIQUE)
    said = synthesize(scan, "Modality: T2w; Field strength: 3T", source_prompt="Modality: T1w", model=synthesizer)
    recorded = synthesize(scan, T2W, source_prompt=T1W, model=synthesizer)
    np.testing.assert_array_equal(said.get_fdata(), recorded.get_fdata())


@pytest.mark.slow
def test_both_prompts_change_the_result(synthesizer: Synthesizer) -> None:
    scan = one_sided(OBLIQUE)
    made = synthesize(scan, T2W, source_prompt=T1W, model=synthesizer).get_fdata()
    assert np.abs(synthesize(scan, T1W, source_prompt=T1W, model=synthesizer).get_fdata() - made).mean() > 1e-4
    assert np.abs(synthesize(scan, T2W, source_prompt=T2W, model=synthesizer).get_fdata() - made).mean() > 1e-4


@pytest.mark.slow
def test_large_volumes_are_made_in_tiles_that_do_not_show(
    synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = np.random.default_rng(0).random((30, 26, 22)).astype(np.float32)
    source = Source(voxels, np.ones(voxels.shape, bool), T1W)
    whole = synthesizer.volume([source], T2W)
    assert np.array_equal(synthesizer.volume([source], T2W, tiled=False), whole)
    for core in (8, 14):
        monkeypatch.setattr(module, "CORE", core)
        assert np.abs(synthesizer.volume([source], T2W, tiled=True) - whole).max() < 1e-3


@pytest.mark.slow
def test_a_model_that_was_loaded_before_and_one_that_is_named_give_the_same(
    made_home: Home, synthesizer: Synthesizer
) -> None:
    scan = one_sided(OBLIQUE)
    loaded = synthesize(scan, T2W, model=synthesizer)
    named = model.synthesize(scan, T2W, model=synthesizer.model_id, home=made_home.root, device="cpu")
    np.testing.assert_array_equal(loaded.get_fdata(), named.get_fdata())


def test_air_stays_without_signal_whatever_is_made_of_it(mirror: Synthesizer) -> None:
    random = np.random.default_rng(0)
    scan = one_sided(np.diag([-2.0, 2.0, 2.0, 1.0]))
    head = scan.get_fdata() > 100
    noisy = scan.get_fdata() + random.uniform(1, 10, scan.shape)
    made = synthesize(nib.Nifti1Image(noisy, scan.affine), T2W, model=mirror).get_fdata()
    far = ndimage.distance_transform_edt(~head) > 5
    assert far.any()
    assert (made[far] == 0).all()
    assert (made[head] > 0).mean() > 0.95
    harmonised = synthesize(nib.Nifti1Image(noisy, scan.affine), T2W, model=mirror, already_harmonised=True)
    assert (harmonised.get_fdata()[far] > 0).any()


def test_a_prompt_that_cannot_be_understood_is_refused(synthesizer: Synthesizer) -> None:
    with pytest.raises(PromptError):
        synthesize(one_sided(OBLIQUE), "a nice picture, please", model=synthesizer)


def test_without_a_model_it_is_said_how_to_get_one(home: Home) -> None:
    with pytest.raises(ModelError, match="no champion") as refusal:
        synthesize(one_sided(OBLIQUE), T2W, home=home)
    assert "tumsyn train" in refusal.value.remedy


def test_weights_that_do_not_fit_their_configuration_are_refused(home: Home) -> None:
    model_id = save_synthesis(home, architecture=COMPACT | {"widths": (8, 16)})
    with pytest.raises(ModelError, match="do not match"):
        load_synthesizer(home, model_id)


def test_a_model_without_a_grid_is_refused(home: Home) -> None:
    with pytest.raises(ModelError, match="configuration is incomplete"):
        load_synthesizer(home, save_synthesis(home, grid_mm=None))


def test_a_device_that_is_not_there_is_refused(made_home: Home) -> None:
    with pytest.raises(ModelError, match="no device 'abacus'"):
        load_synthesizer(made_home, device="abacus", model=next(made_home.models.iterdir()))
