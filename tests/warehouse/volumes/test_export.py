"""Other programs find a BIDS derivative data set, and can get back to the source's units."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import bids2table
import nibabel as nib
import numpy as np
import pytest

from tests.warehouse.volumes.conftest import AFFINES, Stored, make_payload
from warehouse.errors import VolumeError
from warehouse.prompts.vocabulary import CONTRASTS
from warehouse.volumes import Volume, export, open_store, runs, write
from warehouse.volumes.export import compress, resolution, to_source_units


def read_json(path: Path | None) -> dict[str, Any]:
    assert path is not None
    return dict(json.loads(path.read_text()))


def test_files_are_named_as_bids_names_derivatives(stored: Stored, tmp_path: Path) -> None:
    session = export(stored(), tmp_path / "out")
    native = export(stored(name="native", form="native", affine=AFFINES["LPS"]), tmp_path / "out")
    names = [path.name for one in (session, native) for path in vars(one).values()]
    stem = "sub-01_ses-2_acq-mprage"
    assert names == [
        f"{stem}_space-session_res-1mm_desc-harmonized_T1w.nii.gz",
        f"{stem}_space-session_res-1mm_desc-harmonized_T1w.json",
        f"{stem}_space-session_res-1mm_label-brain_desc-T1w_mask.nii.gz",
        f"{stem}_space-session_res-1mm_label-brain_desc-T1w_mask.json",
        f"{stem}_desc-harmonized_T1w.nii.gz",
        f"{stem}_desc-harmonized_T1w.json",
        f"{stem}_label-brain_desc-T1w_mask.nii.gz",
        f"{stem}_label-brain_desc-T1w_mask.json",
    ]


def test_scans_of_a_session_that_would_share_a_name_are_runs(stored: Stored, tmp_path: Path) -> None:
    entities = {"sub": "01", "ses": "2", "suffix": "T1w"}
    volumes = [
        stored(name=name, entities=entities | more) for name, more in (("b", {}), ("a", {}), ("c", {"acq": "x"}))
    ]
    assert runs(volumes) == [2, 1, None]
    done = [export(volume, tmp_path / "out", run=run) for volume, run in zip(volumes, runs(volumes), strict=True)]
    assert [path.image.name.split("_space")[0] for path in done] == [
        "sub-01_ses-2_run-2", "sub-01_ses-2_run-1", "sub-01_ses-2_acq-x"
    ]  # fmt: skip
    assert len({path for one in done for path in vars(one).values()}) == 12


@pytest.mark.slow
def test_every_kind_of_export_passes_the_bids_validator(stored: Stored, tmp_path: Path) -> None:
    folder = Path(sys.executable).parent
    validator = shutil.which("bids-validator-deno", path=f"{folder}{os.pathsep}{os.environ['PATH']}")
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    out = tmp_path / "out"
    every = dict.fromkeys(("acq", "ce", "rec", "run", "echo", "inv", "dir", "proc"), "1") | {"part": "mag"}
    volumes = [
        stored(name="native", form="native", affine=AFFINES["LPS"], dtype="int16"),
        stored(name="anisotropic", affine=np.diag([0.8, 0.8, 3.0, 1.0])),
        stored(name="every", entities={"sub": "02", "suffix": "T1w"} | every),
        stored(name="agent", entities={"sub": "03"}, contrast="ceT1w"),
        stored(name="bare", entities={"sub": "03"}, source={}, mask={}, is_masked=False),
        *(stored(name=name, entities={"sub": "04"}, contrast=name) for name in CONTRASTS),
    ]
    for volume in volumes:
        export(volume, out)
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}  # the validator calls deno
    words = [validator, str(out), "--format", "json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    said = json.loads(done.stdout)
    assert sorted(said["summary"]["subjects"]) == ["01", "02", "03", "04"]
    assert [issue for issue in said["issues"]["issues"] if issue["severity"] == "error"] == []
    assert {issue["code"] for issue in said["issues"]["issues"]} <= {"TOO_FEW_AUTHORS"}, "nobody's names are known"
    assert done.returncode == 0


def test_entities_that_bids_does_not_allow_in_derivatives_are_left_out(stored: Stored, tmp_path: Path) -> None:
    volumes = [stored(name=f"{inv}", entities={"sub": "01", "inv": inv, "suffix": "T1w"}) for inv in "12"]
    names = [export(one, tmp_path, run=run).image.name for one, run in zip(volumes, runs(volumes), strict=True)]
    assert [name.split("_space")[0] for name in names] == ["sub-01_ses-2_run-1", "sub-01_ses-2_run-2"]


def test_bids2table_understands_every_name(stored: Stored, tmp_path: Path) -> None:
    out = tmp_path / "out"
    every = dict.fromkeys(("acq", "ce", "rec", "run", "echo", "part", "inv"), "1") | {"part": "mag"}
    every |= {"sub": "01", "ses": "2", "suffix": "T1w"}
    for number, more in enumerate([{}, {"entities": every}, {"entities": {"sub": "03"}, "contrast": "ceT1w"}]):
        export(stored(name=f"{number}", **more), out)
    paths = sorted(out.rglob("sub-*.nii.gz"))
    assert len(paths) == 6
    indexed = bids2table.index_dataset(out).to_pylist()
    assert sum(row["ext"] == ".nii.gz" for row in indexed) == 6
    for path in paths:
        entities = bids2table.parse_bids_entities(path)
        valid, rest = bids2table.validate_bids_entities(entities)
        assert not rest
        again = bids2table.format_bids_path(valid)
        assert again.name == path.name, "entities are in the order of BIDS"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["../../../escaped", "/etc/escaped", "a/../../../b", "x/y", "a\\b", "a\nb"])
@pytest.mark.parametrize("key", ["sub", "ses", "acq", "run", "suffix", "mod"])
def test_no_text_of_a_store_leads_out_of_the_folder(stored: Stored, tmp_path: Path, key: str, text: str) -> None:
    out = tmp_path / "deep" / "er" / "out"
    done = export(stored(entities={"sub": "01", "ses": "2", "suffix": "T1w", key: text}), out)
    made = [path for path in vars(done).values() if path is not None]
    assert all(path.resolve().is_relative_to(out) for path in made)
    assert all(len(path.relative_to(out).parts) == 4 for path in made), "sub-, ses-, anat and the name"
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"er"}


@pytest.mark.parametrize("key", ["sub", "suffix"])
def test_a_store_without_any_letter_in_its_labels_is_refused(stored: Stored, tmp_path: Path, key: str) -> None:
    volume = stored(entities={"sub": "01", "suffix": "T1w", key: "../.."}, participant_id="..", session_id="alpha/x")
    with pytest.raises(VolumeError, match=r"names neither|names no participant"):
        export(volume, tmp_path / "out")


def test_a_contrast_after_agent_keeps_its_name_apart(stored: Stored, tmp_path: Path) -> None:
    volume = stored(entities={"sub": "03"}, session_id="alpha/sub-03", contrast="ceT1w")
    name = export(volume, tmp_path).image.name
    assert name == "sub-03_ce-unspecified_space-session_res-1mm_desc-harmonized_T1w.nii.gz"


@pytest.mark.parametrize(
    ("sizes", "label"), [((1, 1, 1), "1mm"), ((0.8, 0.8, 0.8), "0p8mm"), ((1, 1, 2.5), "1x1x2p5mm")], ids=str
)
def test_the_resolution_is_a_label_without_signs(stored: Stored, sizes: tuple[float, ...], label: str) -> None:
    assert resolution(stored(affine=np.diag([*sizes, 1.0]))) == label


def test_a_nifti_holds_what_the_store_holds(stored: Stored, tmp_path: Path) -> None:
    volume = stored(affine=AFFINES["oblique"], form="native")
    exported = export(volume, tmp_path)
    image = nib.load(exported.image)
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(image.dataobj), volume[...])
    np.testing.assert_allclose(image.affine, volume.affine, atol=1e-5)
    assert exported.mask is not None
    assert volume.mask is not None
    mask = nib.load(exported.mask)
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(mask.dataobj), volume.mask[...])
    np.testing.assert_array_equal(mask.affine, image.affine)


def test_the_sidecar_says_where_it_is_from_and_how_to_get_back(stored: Stored, tmp_path: Path) -> None:
    exported = export(stored(), tmp_path)
    said = read_json(exported.sidecar)
    assert said["Sources"] == ["bids:alpha:sub-01/ses-2/anat/sub-01_ses-2_acq-mprage_T1w.nii.gz"]
    assert said["SkullStripped"] is True
    assert said["RecipeId"] == "fedcba9876543210"
    assert said["IntensityScaling"]["low"] == 10.0
    assert said["IntensityScaling"]["to_source"] == "low + value * (high - low)"
    assert said["SpatialReference"].startswith("bids::sub-01/")
    assert said["Resolution"] == "1 × 1 × 1 mm grid of the session, RAS"
    assert said["IsSimulated"] is True
    mask = read_json(exported.mask_sidecar)
    assert (mask["Type"], mask["MaskVolumeMl"]) == ("Brain", 1400.0)
    description = read_json(tmp_path / "dataset_description.json")
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "tumsyn"
    assert set(description["DatasetLinks"]) == {"alpha"}


def test_a_native_volume_refers_to_its_own_space(stored: Stored, tmp_path: Path) -> None:
    said = read_json(export(stored(form="native"), tmp_path).sidecar)
    assert said["SpatialReference"] == "orig"
    assert "Resolution" not in said


def test_a_whole_head_is_not_called_stripped(tmp_path: Path) -> None:
    payload = make_payload()
    whole = type(payload)(payload.voxels + np.float16(0.01), payload.affine, payload.mask, payload.attributes, b"")
    write(tmp_path / "a.zarr", whole, name="a")
    assert read_json(export(open_store(tmp_path / "a.zarr"), tmp_path / "out").sidecar)["SkullStripped"] is False


def test_source_units_undo_the_scaling(stored: Stored, tmp_path: Path) -> None:
    volume = stored()
    exported = export(volume, tmp_path, source_units=True)
    values = np.asarray(nib.load(exported.image).dataobj)
    assert volume.mask is not None
    mask = volume.mask[...] > 0
    np.testing.assert_allclose(values[mask], volume[...].astype(np.float64)[mask] * 1000 + 10, rtol=1e-6)
    assert not values[~mask].any(), "nothing is known outside the mask"
    assert read_json(exported.sidecar)["IntensityScaling"]["to_source"] == "value"


def test_a_round_trip_of_intensities_is_within_half_a_step_of_float16(tmp_path: Path) -> None:
    low, high = -12.5, 1731.0
    source = np.random.default_rng(0).uniform(low, high, (9, 9, 9))
    payload = make_payload(shape=(9, 9, 9), is_masked=False, intensity={"low": low, "high": high})
    scaled = ((source - low) / (high - low)).astype(np.float16)
    write(tmp_path / "a.zarr", type(payload)(scaled, payload.affine, None, payload.attributes, b""), name="a")
    volume = open_store(tmp_path / "a.zarr")
    assert np.abs(to_source_units(volume, volume[...]) - source).max() <= (high - low) * 2**-12 * 1.001


def test_without_parameters_there_are_no_source_units(stored: Stored, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="no intensity parameters"):
        export(stored(intensity={}), tmp_path, source_units=True)
    assert not list(tmp_path.rglob("*.nii.gz"))


def test_nothing_is_overwritten_without_force(stored: Stored, tmp_path: Path) -> None:
    volume = stored()
    exported = export(volume, tmp_path)
    exported.image.unlink()
    with pytest.raises(VolumeError, match="exists"):
        export(volume, tmp_path)
    assert not exported.image.exists()
    export(volume, tmp_path, force=True)
    assert exported.image.exists()


def test_a_raw_data_set_is_never_written_into(stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text('{"Name": "raw", "BIDSVersion": "1.8.0"}')
    with pytest.raises(VolumeError, match="raw BIDS data set"):
        export(stored(), tmp_path, force=True)
    assert not (tmp_path / "sub-01").exists()


def test_a_description_that_a_person_mended_stands(stored: Stored, tmp_path: Path) -> None:
    mended = {"Name": "Ours", "DatasetType": "derivative", "DatasetLinks": {"alpha": "file:///data/alpha"}}
    (tmp_path / "dataset_description.json").write_text(json.dumps(mended))
    export(stored(), tmp_path)
    after = read_json(tmp_path / "dataset_description.json")
    assert after["Name"] == "Ours"
    assert after["DatasetLinks"] == {"alpha": "file:///data/alpha"}


def test_free_texts_of_the_header_are_not_handed_out(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header["db_name"], header["descrip"], header["cal_max"] = b"DOE JANE", b"DOE JANE 1970", 900.0
    header.set_data_shape(make_payload().voxels.shape)
    header.set_sform(AFFINES["RAS"], 1)
    payload = make_payload(form="native")
    write(
        tmp_path / "a.zarr",
        type(payload)(payload.voxels, payload.affine, None, payload.attributes, header.binaryblock),
        name="a",
    )
    path = export(open_store(tmp_path / "a.zarr"), tmp_path / "out").image
    assert b"DOE" not in gzip.decompress(path.read_bytes())
    exported = nib.load(path).header
    assert (exported["cal_min"], exported["cal_max"]) == (0, 0), "the source's range would show [0, 1] as black"


@pytest.mark.parametrize("fast", [True, False], ids=["isal", "standard library"])
def test_the_same_volume_gives_the_same_bytes(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    if fast:
        pytest.importorskip("isal")
    else:
        monkeypatch.setattr(sys.modules["warehouse.volumes.export"], "find_spec", lambda name: None)
    volume: Volume = stored()
    one, other = (export(volume, tmp_path / name).image.read_bytes() for name in ("one", "other"))
    assert one == other
    assert one[4:8] == b"\0\0\0\0", "no time of writing"
    assert gzip.decompress(compress(b"voxels" * 1000)) == b"voxels" * 1000
