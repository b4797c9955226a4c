"""A user's scans, of any number and geometry, become a scan on the grid that is asked for, with what was used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.data.catalogue import Source
from model.data.target_voxels import TargetVoxels
from model.inference import from_scans
from model.inference.from_scans import loader, make, synthesize
from model.inference.synthesize import Synthesizer, load_synthesizer
from model.networks.synthesis.voxels import sample
from tests.model.inference.test_grid import AFFINES, OBLIQUE
from tests.model.inference.test_synthesize import one_sided, right_side
from tests.model.inference.test_together import FIRST, ISOTROPIC, MOVED, THICK, head
from tests.model.tiny_models import save_synthesis
from warehouse.errors import ModelError, PromptError
from warehouse.harmonize.alignment import Alignment
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Grid, corners_mm
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

T2W = PromptRecord(contrast="T2w", echo_time_s=0.09)
RANGES = {"contrasts": {"T2w": {"echo_time_s": [0.08, 0.1]}, "T1w": {}}, "all": {"voxel_size_mm": [0.5, 6.0]}}


@pytest.fixture(scope="module")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("models") / "home")
    save_synthesis(home, trained_ranges=RANGES)
    return home


@pytest.fixture(scope="module")
def synthesizer(made_home: Home) -> Synthesizer:
    [path] = made_home.models.iterdir()
    return load_synthesizer(made_home, path.name, "cpu")


class Averaging(Synthesizer):
    """A model that returns the mean of its scans, each where it has seen something."""

    given: list[list[Source]] = []  # noqa: RUF012 - what the test looks at

    @property
    def max_sources(self) -> int:
        return 3

    def intensities(
        self,
        sources: Sequence[Source],
        target: PromptRecord,
        *,
        tiled: bool | None = None,
        at: TargetVoxels | None = None,
    ) -> tuple[NDArray[np.float32], float]:
        self.refuse_number(len(sources))
        self.given.append(list(sources))
        weights = [np.ones(one.voxels.shape) if one.seen is None else one.seen.astype(float) for one in sources]
        total = sum(weight * one.voxels for weight, one in zip(weights, sources, strict=True))
        made = np.asarray(total / np.maximum(sum(weights), 1), np.float32)
        made = made if at is None else sample(torch.from_numpy(made)[None, None], at)[0][0, 0].numpy()
        return made, self.relative_spread["T2w"]

    def maps(self, sources: Sequence[Source], target: PromptRecord) -> dict[str, NDArray[np.float32]]:
        return {"T1map": np.where(sources[0].mask, 1.2, 0.1).astype(np.float32)}


@pytest.fixture
def averaging(synthesizer: Synthesizer) -> Averaging:
    Averaging.given.clear()
    fields = {name: getattr(synthesizer, name) for name in synthesizer.__dataclass_fields__}
    body = one_sided(np.eye(4)).get_fdata()
    spread = BrainScale.of(body, body > 100).relative_spread
    return Averaging(**(fields | {"relative_spread": {"T2w": spread}}))


@pytest.mark.slow
@pytest.mark.parametrize("affine", AFFINES)
def test_a_reference_gives_its_grid_and_left_stays_left(affine: NDArray[np.float64], averaging: Averaging) -> None:
    scan = one_sided(np.diag([-2.0, 2.0, 2.0, 1.0]))
    moved = affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    shape = (40, 20, 15)
    middle = nib.affines.apply_affine(scan.affine, (np.array(scan.shape) - 1) / 2)
    moved[:3, 3] = middle - moved[:3, :3] @ (np.array(shape) - 1) / 2
    reference = nib.Nifti1Image(np.zeros(shape, np.uint8), moved)
    made = synthesize(scan, T2W, like=reference, model=averaging)
    assert made.shape == shape
    np.testing.assert_allclose(made.affine, moved, atol=1e-5)
    assert right_side(made.get_fdata(), moved) > 0.5
    there = synthesize(scan, T2W, model=averaging).get_fdata()
    at = np.indices(shape).reshape(3, -1).T[::37]
    back = nib.affines.apply_affine(np.linalg.inv(scan.affine) @ moved, at)
    inside = ((back > 1) & (back < np.array(scan.shape) - 2)).all(1)
    expected = there[tuple(np.round(back[inside]).astype(int).T)]
    assert np.corrcoef(expected, made.get_fdata()[tuple(at[inside].T)])[0, 1] > 0.8


def test_a_reference_wider_than_the_scan_is_empty_beyond_it(averaging: Averaging) -> None:
    wide = nib.Nifti1Image(np.zeros((80, 80, 80), np.uint8), nib.affines.from_matvec(3 * np.eye(3), [-120.0] * 3))
    made = synthesize(FIRST, T2W, like=wide, model=averaging)
    outside = (np.abs(nib.affines.apply_affine(wide.affine, np.indices((80,) * 3).reshape(3, -1).T)) > 70).any(1)
    assert (made.get_fdata().reshape(-1)[outside] == 0).all()
    assert made.get_fdata().max() > 500


def test_a_reference_can_be_a_file_of_several_volumes(averaging: Averaging, tmp_path: Path) -> None:
    nib.save(
        nib.Nifti1Image(np.zeros((20, 22, 19, 3), np.int16), ISOTROPIC @ np.diag([2, 2, 2, 1.0])), tmp_path / "r.nii"
    )
    assert synthesize(FIRST, T2W, like=tmp_path / "r.nii", model=averaging).shape == (20, 22, 19)


def unplaced() -> nib.Nifti1Image:
    image = nib.Nifti1Image(np.zeros((9, 9, 9), np.uint8), ISOTROPIC)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    return image


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        pytest.param("absent.nii", "no file absent.nii", id="absent"),
        pytest.param(unplaced(), "no orientation", id="without orientation"),
        pytest.param(
            nib.Nifti1Image(np.zeros((9, 9, 9), np.uint8), nib.affines.from_matvec(np.eye(3), [900, 0, 0])),
            "lies in the field of view",
            id="elsewhere",
        ),
    ],
)
def test_a_reference_that_cannot_be_is_refused(reference: Any, said: str, averaging: Averaging) -> None:
    with pytest.raises(ModelError, match=said) as refusal:
        synthesize(FIRST, T2W, like=reference, model=averaging)
    assert refusal.value.remedy


def test_a_prompt_and_a_reference_with_other_voxels_contradict_each_other(averaging: Averaging) -> None:
    asked = replace(T2W, voxel_size_mm=(1.0, 1.0, 1.0))
    with pytest.raises(PromptError, match="asks for voxels of 1 × 1 × 1 mm"):
        synthesize(FIRST, asked, like=FIRST, model=averaging)
    rounded = replace(T2W, voxel_size_mm=(2.95, 3.0, 3.0))
    assert synthesize(FIRST, rounded, like=FIRST, model=averaging).shape == FIRST.shape


def test_further_scans_reach_the_model_on_the_first_ones_grid_with_what_they_have_seen(averaging: Averaging) -> None:
    slab = head(ISOTROPIC, (40, 44, 19))
    made = synthesize(
        [FIRST, slab, head(THICK, (66, 57, 22))],
        T2W,
        source_prompt=["T1w", "FLAIR"],
        model=averaging,
        already_harmonised=True,
    )
    assert made.shape == FIRST.shape
    [[one, two, three]] = Averaging.given
    assert one.voxels.shape == two.voxels.shape == three.voxels.shape == FIRST.shape
    assert [one.record.contrast, two.record.contrast, three.record.contrast] == ["T1w", "FLAIR", None]
    assert one.seen is None
    assert two.seen is not None
    assert not two.seen[:, :, 25:].any()
    assert three.size_mm == pytest.approx((6, 2, 2))


def test_files_are_evaluated_with_the_transforms_that_harmonisation_found(
    averaging: Averaging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.inference.together.register", lambda *_, **__: pytest.fail("it was registered"))
    nib.save(FIRST, tmp_path / "one.nii.gz")
    nib.save(head(ISOTROPIC, (40, 44, 38), moved=MOVED), tmp_path / "two.nii.gz")
    there = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.1, 0, 0), [9.0, 0, -5.0])
    like = Grid((40, 44, 38), there @ ISOTROPIC)
    files, to_like = [tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"], [there, there @ np.linalg.inv(MOVED)]
    made = averaging.scan(files, [T2W, T2W], T2W, like=like, to_like=to_like)
    assert made.shape == like.shape
    [[one, two]] = Averaging.given
    assert two.seen is not None
    inside = one.mask & two.mask
    assert np.corrcoef(one.voxels[inside], two.voxels[inside])[0, 1] > 0.93
    assert np.corrcoef(made[inside], FIRST.get_fdata()[inside])[0, 1] > 0.9


def test_a_scan_after_the_head_moved_is_aligned_and_the_user_is_told(
    averaging: Averaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = np.linalg.inv(MOVED)
    monkeypatch.setattr("model.inference.together.register", lambda *_, **__: Alignment(back, 0.1, 0.2))
    after = head(ISOTROPIC @ np.diag([0.99, 1, 1, 1]), (40, 44, 38), moved=MOVED)
    made = make([FIRST, after], T2W, model=averaging)
    assert any("image 2 was aligned with the first scan: moved by" in warning for warning in made.warnings)
    as_it_is = make([FIRST, after], T2W, model=averaging, is_harmonised=True)
    assert not any("aligned" in warning for warning in as_it_is.warnings)


def test_a_model_of_one_scan_refuses_several_before_any_is_prepared(
    synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesizer.network, "max_scans", 1)
    monkeypatch.setattr(from_scans, "prepare_together", lambda *_, **__: pytest.fail("scans were prepared"))
    with pytest.raises(ModelError, match=r"2 scans are given, and model .* takes 1"):
        synthesize([FIRST, FIRST], T2W, model=synthesizer)


@pytest.mark.parametrize(
    ("images", "options", "said"),
    [
        ([], {}, "no scan is given"),
        ([FIRST], {"source_prompt": ["T1w", "T2w"]}, "2 source prompts are given for 1 scans"),
        ([FIRST], {"brain_mask": [None, None]}, "2 brain masks are given for 1 scans"),
        ([FIRST], {"max_memory_gb": 0.0}, "no amount of memory"),
        ([FIRST], {"max_memory_gb": float("nan")}, "no amount of memory"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(
    images: list[Any], options: dict[str, Any], said: str, averaging: Averaging
) -> None:
    with pytest.raises(ModelError, match=said):
        synthesize(images, T2W, model=averaging, **options)


def test_what_was_used_is_returned_with_where_it_is_from(averaging: Averaging, tmp_path: Path) -> None:
    nib.save(FIRST, tmp_path / "sub-01_T1w.nii.gz")
    (tmp_path / "sub-01_T1w.json").write_text(json.dumps({"PatientAge": "034Y", "EchoTime": 0.003}))
    made = make([tmp_path / "sub-01_T1w.nii.gz"], "T2w; TE 200 ms", model=averaging)
    [one] = made.inputs
    assert one.known.record.contrast == "T1w"
    assert one.known.origins["voxel_size_mm"] == "its header"
    assert len(str(one.sha256)) == 64
    assert made.request.record.age_years == 34
    assert made.request.record.voxel_size_mm == (3.0, 3.0, 3.0)
    assert "TE is 200 ms, and the training for T2w had 80 to 100 ms" in made.warnings
    assert any("settings follow the signal equations: no T2w" in warning for warning in made.warnings)
    assert made.weights_sha256 == averaging.weights_sha256 != ""


def test_a_contrast_that_nobody_tells_is_left_unknown_without_a_text_encoder(averaging: Averaging, home: Home) -> None:
    made = make([FIRST], T2W, model=averaging, home=home)
    assert made.inputs[0].known.record.contrast is None
    assert any("no champion of kind text_encoder" in warning for warning in made.warnings)


def test_a_contrast_that_nobody_tells_is_recognised_from_the_image(
    averaging: Averaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def recognise(prepared: Any, home: Any, labels: Any) -> tuple[str, str]:
        asked.append(labels)
        return "T1w", "recognised by text encoder x"

    monkeypatch.setattr(from_scans, "recognised", recognise)
    made = make([FIRST], T2W, model=averaging)
    assert [set(labels) for labels in asked] == [{"T2w", "T1w"}]  # the contrasts that the model knows
    assert made.inputs[0].known.origins["contrast"] == "the image"
    assert any("its contrast is T1w, recognised by text encoder x" in warning for warning in made.warnings)
    make([FIRST], T2W, model=averaging, source_prompts=["Modality: FLAIR"])
    assert len(asked) == 1


def test_an_impossible_source_prompt_is_refused_by_the_name_of_its_scan(averaging: Averaging) -> None:
    with pytest.raises(PromptError, match=r"the source prompt of image 1: .*TE"):
        make([FIRST], T2W, model=averaging, source_prompts=["T1w; TE 90 ms; TR 80 ms"])


def test_maps_lie_on_the_grid_of_the_result_and_say_that_they_are_synthetic(averaging: Averaging) -> None:
    made = make([FIRST], T2W, model=averaging, with_maps=True, like=one_sided(OBLIQUE, (25, 18, 12)))
    [(suffix, image)] = made.maps.items()
    assert suffix == "T1map"
    np.testing.assert_allclose(image.affine, made.image.affine)
    assert 1.1 < image.get_fdata().max() < 1.3
    assert b"synthetic T1map" in bytes(image.header["descrip"])


def test_a_model_without_a_physics_branch_says_that_it_makes_no_maps(
    synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(synthesizer.network), "has_maps", False)
    with pytest.raises(ModelError, match="no physics branch"):
        make([FIRST], T2W, model=synthesizer, with_maps=True)


def test_little_memory_gives_tiles_and_the_same_result(synthesizer: Synthesizer) -> None:
    seen: list[int] = []

    def progress(name: str) -> Any:
        return lambda done, total, item: seen.append(total) if name == "synthesize" else None

    long = one_sided(np.diag([3.0, 3.0, 3.0, 1.0]), (120, 20, 20))
    whole = make([long], T2W, model=replace(synthesizer, memory_bytes=1e12), progress=progress)
    assert set(seen) == {1}
    seen.clear()
    small = replace(synthesizer, memory_bytes=80 * 20 * 20 * synthesizer.bytes_per_voxel)
    tiled = make([long], T2W, model=small, progress=progress)
    assert min(seen) > 1
    np.testing.assert_allclose(tiled.image.get_fdata(), whole.image.get_fdata(), atol=0.5)
    with pytest.raises(ModelError, match="smallest tile takes"):
        make([long], T2W, model=replace(synthesizer, memory_bytes=10.0))


def test_a_model_is_loaded_once_for_all_that_is_made(made_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    [path] = made_home.models.iterdir()
    loaded: list[Any] = []

    def load(*words: Any) -> Synthesizer:
        loaded.append(words)
        return load_synthesizer(*words)

    monkeypatch.setattr(from_scans, "load_synthesizer", load)
    by_voxel = loader(made_home, path.name, "cpu", 2.0)
    assert by_voxel(1.0) is by_voxel(4.0)
    assert by_voxel(1.0).memory_bytes == 2e9
    assert len(loaded) == 1


@pytest.mark.slow
@pytest.mark.parametrize("affine", AFFINES)
def test_thick_and_small_scans_keep_grid_and_sides(affine: NDArray[np.float64], averaging: Averaging) -> None:
    thick = affine @ np.diag([1.0, 1.0, 4.0 / np.linalg.norm(affine[:3, 2]), 1.0])
    scan = one_sided(thick, (40, 30, 14))
    made = synthesize(scan, T2W, model=averaging)
    assert made.shape == scan.shape
    np.testing.assert_allclose(corners_mm(made.shape, made.affine), corners_mm(scan.shape, scan.affine), atol=1e-3)
    assert right_side(made.get_fdata(), thick) > 0.5 * right_side(scan.get_fdata(), thick)


@pytest.mark.parametrize(
    ("prompt", "voxel_mm"),
    [
        ("Modality: T2w", 2.0),
        ("Modality: T2w; Voxel size: (1, 1, 1)", 1.0),
        ("Modality: T2w; Voxel size: (4, 4, 4)", 2.0),
    ],
    ids=["that of the scan", "finer", "coarser"],
)
def test_the_model_is_chosen_for_the_smallest_voxel_of_scan_and_result_and_it_is_said_why(
    synthesizer: Synthesizer, prompt: str, voxel_mm: float
) -> None:
    asked: list[float] = []

    def load(voxel_mm: float) -> Synthesizer:
        asked.append(voxel_mm)
        return replace(synthesizer, chosen="it is the only one")

    made = make([one_sided(np.diag([-2.0, 2.0, 3.0, 1.0]), (20, 18, 12))], prompt, model=load)
    assert asked == [pytest.approx(voxel_mm)]
    assert (made.model_id, made.chosen) == (synthesizer.model_id, "it is the only one")
