"""A synthetic scan has a name and a sidecar that say so, is whole where it exists, and never replaces an input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from model.inference.from_scans import Input, Made
from model.inference.known import known_of
from model.inference.outputs import map_files, out_file, read_own_sidecar, refuse_output, write
from model.inference.request import understand
from warehouse.errors import ModelError
from warehouse.lake import atomic
from warehouse.prompts.record import PromptRecord

T2W = PromptRecord("T2w")
PROMPT = "T2w; TE 90 ms"


def made(*maps: str) -> Made:
    known = known_of(Path("sub-01_T1w.nii.gz"))
    image = nib.Nifti1Image(np.ones((3, 4, 5), np.float32), np.eye(4))
    request = understand(PROMPT, [known], (1.0, 1.0, 1.0))
    inputs = (Input("/data/sub-01_T1w.nii.gz", known, "ab" * 32),)
    return Made(image, request, inputs, "m" * 16, "w" * 64, ("beware",), dict.fromkeys(maps, image))


@pytest.mark.parametrize(
    ("first", "target", "name"),
    [
        ("sub-01_ses-02_T1w.nii.gz", T2W, "sub-01_ses-02_desc-synthetic_T2w.nii.gz"),
        ("sub-01_acq-mprage_rec-norm_run-2_T1w.nii", T2W, "sub-01_run-2_desc-synthetic_T2w.nii.gz"),
        ("sub-01_space-MNI_desc-preproc_FLAIR.nii.gz", T2W, "sub-01_space-MNI_desc-synthetic_T2w.nii.gz"),
        ("sub-01_ce-gd_T1w.nii.gz", T2W, "sub-01_desc-synthetic_T2w.nii.gz"),
        ("sub-01_T2w.nii.gz", PromptRecord("T1w", True), "sub-01_ce-agent_desc-synthetic_T1w.nii.gz"),
        ("scan.nii.gz", T2W, "scan_desc-synthetic_T2w.nii.gz"),
    ],
)
def test_in_a_folder_a_result_gets_a_bids_name(first: str, target: PromptRecord, name: str, tmp_path: Path) -> None:
    assert out_file(tmp_path, Path("/data") / first, target) == tmp_path / name


def test_a_given_name_is_used_as_it_is(tmp_path: Path) -> None:
    assert out_file(tmp_path / "mine.nii", Path("sub-01_T1w.nii.gz"), T2W) == tmp_path / "mine.nii"


def test_a_folder_needs_a_prompt_with_a_contrast(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="names no contrast"):
        out_file(tmp_path, Path("scan.nii"), PromptRecord(age_years=30.0))


def test_maps_lie_beside_the_scan_by_their_bids_suffix() -> None:
    names = {suffix: path.name for suffix, path in map_files(Path("sub-01_desc-synthetic_T2w.nii.gz")).items()}
    assert names["T2starmap"] == "sub-01_desc-synthetic_T2starmap.nii.gz"
    assert {suffix: path.name for suffix, path in map_files(Path("a.nii")).items()} == {
        suffix: f"a_{suffix}.nii" for suffix in ("PDmap", "T1map", "T2map", "T2starmap")
    }


def test_sidecar_and_header_say_what_it_is_and_how_it_came_about(tmp_path: Path) -> None:
    write(made(), tmp_path / "out.nii.gz")
    fields = json.loads((tmp_path / "out.json").read_text())
    assert fields["Synthetic"] is True
    assert "synthetic" in fields["Description"]
    assert fields["Model"] == {"Id": "m" * 16, "WeightsSha256": "w" * 64}
    assert fields["Prompt"]["Given"] == PROMPT
    assert "Modality: T2w" in fields["Prompt"]["Sentence"]
    assert fields["Prompt"]["Record"]["echo_time_s"] == 0.09
    assert fields["Prompt"]["Origins"]["voxel_size_mm"] == "the grid of the result"
    assert "repetition_time_s" in fields["Prompt"]["Missing"]
    [source] = fields["Sources"]
    assert (source["File"], source["Sha256"]) == ("sub-01_T1w.nii.gz", "ab" * 32)
    assert source["Origins"]["contrast"] == "its file name"
    assert fields["Warnings"] == ["beware"]
    assert fields["GeneratedBy"][0]["Version"]
    assert read_own_sidecar(tmp_path / "out.nii.gz") == fields


def test_a_name_of_bytes_that_are_no_characters_can_be_written_down(tmp_path: Path) -> None:
    one = made()
    odd = replace(one, inputs=(replace(one.inputs[0], name=b"/data/scan-\xe9.nii".decode(errors="surrogateescape")),))
    write(odd, tmp_path / "out.nii")
    assert json.loads((tmp_path / "out.json").read_text())["Sources"][0]["File"] == "scan-?.nii"


def test_each_map_has_a_file_and_a_sidecar_with_its_unit(tmp_path: Path) -> None:
    files = write(made("T1map", "PDmap"), tmp_path / "sub-01_desc-synthetic_T2w.nii.gz")
    assert files[-1] == tmp_path / "sub-01_desc-synthetic_T2w.nii.gz"
    fields = json.loads((tmp_path / "sub-01_desc-synthetic_T1map.json").read_text())
    assert (fields["Units"], fields["Synthetic"]) == ("s", True)
    assert nib.load(tmp_path / "sub-01_desc-synthetic_PDmap.nii.gz").shape == (3, 4, 5)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files}


@pytest.mark.parametrize("n_done", [0, 1, 2, 3])
def test_an_interruption_leaves_no_half_written_file_and_no_scan_without_its_sidecar(
    n_done: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[Path] = []
    move = atomic.move

    def interrupted(temporary: Path, target: Path) -> None:
        if len(moved) == n_done:
            raise KeyboardInterrupt
        moved.append(target)
        move(temporary, target)

    monkeypatch.setattr(atomic, "move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(made("T1map"), tmp_path / "out.nii.gz")
    assert not (tmp_path / "out.nii.gz").exists()
    assert set(tmp_path.iterdir()) == set(moved)
    for path in tmp_path.glob("*.nii.gz"):
        assert nib.load(path).get_fdata().all()


def test_an_interruption_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(made(), tmp_path / "out.nii.gz")
    assert list(tmp_path.iterdir()) == []


def touched(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_text("{}")
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("out", "options", "said"),
    [
        ("out.png", {}, "not the name of a NIfTI file"),
        ("absent/out.nii", {}, "is not a folder"),
        ("old.nii", {}, "old.nii exists"),
        ("older.nii", {}, "older.json exists"),
        ("new.nii", {"with_maps": True}, "new_T1map.nii exists"),
        ("scan.nii.gz", {"force": True}, "the scan itself"),
        ("scan.nii", {"force": True}, "would share its sidecar with an input"),
        ("link.nii.gz", {"force": True}, "the scan itself"),
        ("mask.nii", {"force": True}, "is the scan itself"),
        ("place.nii", {}, "is a folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused(out: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    touched(tmp_path, "scan.nii.gz", "scan.json", "mask.nii", "old.nii", "older.json", "new_T1map.nii")
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "scan.nii.gz")
    (tmp_path / "place.nii").mkdir()
    inputs = [tmp_path / "scan.nii.gz", tmp_path / "mask.nii"]
    with pytest.raises(ModelError, match=said) as refusal:
        refuse_output(tmp_path / out, inputs, **({"force": False} | options))
    assert refusal.value.remedy


def test_force_overwrites_results_and_inherited_sidecars_never(tmp_path: Path) -> None:
    anat = tmp_path / "sub-01" / "anat"
    anat.mkdir(parents=True)
    touched(tmp_path, "dataset_description.json", "T1w.json")
    touched(anat, "sub-01_T1w.nii.gz", "old.nii", "old.json")
    refuse_output(anat / "old.nii", [anat / "sub-01_T1w.nii.gz"], force=True)
    with pytest.raises(ModelError, match="belongs to an input"):
        refuse_output(tmp_path / "T1w.nii.gz", [anat / "sub-01_T1w.nii.gz"], force=True)
