"""`tumsyn synthesize` writes scans that are marked as synthetic, says what it used, and overwrites nothing unasked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.model.inference.conftest import bright
from tests.model.inference.test_synthesize import one_sided
from tests.model.tiny_models import COMPACT, save_synthesis
from tests.pipelines.conftest import Command
from tests.warehouse.catalog.test_promotion import known
from warehouse.catalog import promotion
from warehouse.harmonize import mask as brain
from warehouse.lake.home import Home

ASKED = ("--prompt", "Modality: T2w; TE: 90 ms", "--device", "cpu")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    nib.save(one_sided(np.diag([-2.0, 2.0, 3.0, 1.0]), (20, 18, 12)), path)
    return path


@pytest.fixture
def model_id(home: Home) -> str:
    return save_synthesis(home)


@pytest.mark.slow
def test_a_scan_becomes_what_the_prompt_asks_for(tumsyn: Command, scan: Path, model_id: str, tmp_path: Path) -> None:
    for name in ("one.nii.gz", "two.nii"):
        done = tumsyn("synthesize", str(scan), *ASKED, "--model", model_id, "--out", str(tmp_path / name))
        assert done.exit_code == 0, done.output
        assert f"synthetic T2w by TUMSyn model {model_id}" in done.stderr
        made = nib.load(tmp_path / name)
        np.testing.assert_allclose(made.affine, nib.load(scan).affine)
        assert made.shape == (20, 18, 12)
        assert b"synthetic" in bytes(made.header["descrip"])
    assert {path.name for path in tmp_path.iterdir()} == {
        "scan.nii.gz",
        "home",
        "one.nii.gz",
        "one.json",
        "two.nii",
        "two.json",
    }


@pytest.mark.usefixtures("bright_brain")
def test_affines_that_disagree_are_reported_with_the_one_that_was_used(
    tumsyn: Command, scan: Path, model_id: str, tmp_path: Path
) -> None:
    image = nib.load(scan)
    image.set_sform(image.affine, 1)
    image.set_qform(nib.affines.from_matvec(np.eye(3), [9.0, 0, 0]) @ image.affine, 1)
    nib.save(image, tmp_path / "apart.nii.gz")
    out = tmp_path / "out.nii.gz"
    done = tumsyn("synthesize", str(tmp_path / "apart.nii.gz"), *ASKED, "--model", model_id, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "place a corner 9.0 mm apart; the sform is used" in done.stderr.replace("\n", " ")


@pytest.mark.usefixtures("bright_brain")
def test_nothing_is_overwritten_unless_it_is_forced(tumsyn: Command, scan: Path, model_id: str, tmp_path: Path) -> None:
    out = tmp_path / "out.nii"
    out.write_text("mine")
    words = "synthesize", str(scan), *ASKED, "--model", model_id, "--out", str(out)
    refused = tumsyn(*words)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert out.read_text() == "mine"
    assert tumsyn(*words, "--force").exit_code == 0
    assert nib.load(out).shape == (20, 18, 12)


def test_the_scan_itself_is_never_overwritten(tumsyn: Command, scan: Path, model_id: str) -> None:
    before = scan.read_bytes()
    refused = tumsyn("synthesize", str(scan), *ASKED, "--model", model_id, "--out", str(scan), "--force")
    assert refused.exit_code == 1
    assert "the scan itself" in refused.stderr
    assert scan.read_bytes() == before


@pytest.mark.parametrize(
    ("out", "message"), [("out.png", "not the name of a NIfTI file"), ("absent/out.nii", "is not a folder")]
)
def test_an_output_that_cannot_be_is_refused(
    tumsyn: Command, scan: Path, tmp_path: Path, out: str, message: str
) -> None:
    refused = tumsyn("synthesize", str(scan), *ASKED, "--out", str(tmp_path / out))
    assert refused.exit_code == 1
    assert message in refused.stderr


def test_without_a_model_it_is_said_how_to_get_one(tumsyn: Command, scan: Path, tmp_path: Path) -> None:
    refused = tumsyn("synthesize", str(scan), *ASKED, "--out", str(tmp_path / "out.nii"))
    assert refused.exit_code == 1
    assert "tumsyn train" in refused.stderr
    assert not (tmp_path / "out.nii").exists()


def test_a_brain_mask_can_be_given_and_must_lie_on_the_scans_grid(
    tumsyn: Command, scan: Path, model_id: str, tmp_path: Path
) -> None:
    image, mask = nib.load(scan), tmp_path / "mask.nii.gz"
    words = "synthesize", str(scan), *ASKED, "--model", model_id, "--brain-mask", str(mask), "--out"
    brain = (image.get_fdata() > 100).astype(np.uint8)
    nib.save(nib.Nifti1Image(brain, image.affine), mask)
    done = tumsyn(*words, str(tmp_path / "out.nii"))
    assert done.exit_code == 0, done.output
    nib.save(nib.Nifti1Image(brain[1:], image.affine), mask)
    refused = tumsyn(*words, str(tmp_path / "other.nii"))
    assert refused.exit_code == 1
    assert "resample the mask to the scan's grid" in refused.stderr.replace("\n", " ")
    assert not (tmp_path / "other.nii").exists()


@pytest.fixture
def bright_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain, "find_brain", bright)
    monkeypatch.setattr(brain, "implausible", lambda found, image: None)


@pytest.mark.usefixtures("bright_brain")
def test_in_a_folder_a_result_gets_a_bids_name_and_the_command_says_what_it_used(
    tumsyn: Command, scan: Path, model_id: str, tmp_path: Path
) -> None:
    named = scan.rename(tmp_path / "sub-01_ses-02_FLAIR.nii.gz")
    (tmp_path / "sub-01_ses-02_FLAIR.json").write_text(json.dumps({"PatientAge": "034Y", "RepetitionTime": 9.0}))
    (tmp_path / "out").mkdir()
    done = tumsyn("synthesize", str(named), *ASKED, "--model", model_id, "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "sub-01_ses-02_desc-synthetic_T2w.nii.gz",
        "sub-01_ses-02_desc-synthetic_T2w.json",
    }
    assert "from its sidecar: age 34 years, TR 9000 ms" in done.stderr
    assert "from its file name: contrast FLAIR" in done.stderr
    assert "asked for: from the prompt: contrast T2w, TE 90 ms; from its sidecar (input): age 34 years" in done.stderr
    assert "from the grid of the result: voxel size 2 × 2 × 3 mm" in done.stderr
    assert "unknown: vendor, field strength, sex, TR, TI, FA" in done.stderr
    fields = json.loads((tmp_path / "out" / "sub-01_ses-02_desc-synthetic_T2w.json").read_text())
    assert fields["Prompt"]["Given"] == ASKED[1]
    assert fields["Model"]["Id"] == model_id


@pytest.mark.usefixtures("bright_brain")
def test_what_lies_outside_the_training_is_a_warning(tumsyn: Command, scan: Path, home: Home, tmp_path: Path) -> None:
    ranges = {"contrasts": {"T2w": {"echo_time_s": [0.1, 0.12]}}, "all": {}}
    words = "--model", save_synthesis(home, trained_ranges=ranges), "--out", str(tmp_path / "out.nii")
    done = tumsyn("synthesize", str(scan), *ASKED, *words, "--source-prompt", "T1w")
    assert done.exit_code == 0, done.output
    assert "warning: TE is 90 ms, and the training for T2w had 100 to 120 ms" in done.stderr
    assert "T1w is none of those that the model was trained on: T2w" in done.stderr


@pytest.mark.usefixtures("bright_brain")
def test_a_reference_gives_the_result_its_grid(tumsyn: Command, scan: Path, model_id: str, tmp_path: Path) -> None:
    reference, out = tmp_path / "ref.nii", tmp_path / "out.nii"
    nib.save(nib.Nifti1Image(np.zeros((9, 10, 11), np.uint8), nib.load(scan).affine), reference)
    words = "--model", model_id, "--out", str(out), "--like", str(reference), "--max-memory", "4"
    done = tumsyn("synthesize", str(scan), *ASKED, *words, "--already-harmonised")
    assert done.exit_code == 0, done.output
    assert nib.load(out).shape == (9, 10, 11)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt", "T2w; TE 90 ms; TR 80 ms"], "contradicts physics"),
        (["--prompt", "FLAIR; TR 2 s; TI 3 s"], "contradicts physics"),
        ([*ASKED, "--max-memory", "-1"], "no amount of memory"),
        ([*ASKED, "--like", "absent.nii"], "no file absent.nii"),
        ([*ASKED, "--source-prompt", "T1w", "--source-prompt", "T2w"], "2 source prompts are given for 1 scans"),
    ],
)
@pytest.mark.usefixtures("bright_brain")
def test_what_cannot_be_made_leaves_no_file(
    tumsyn: Command, scan: Path, model_id: str, tmp_path: Path, words: list[str], said: str
) -> None:
    out = tmp_path / "out.nii"
    refused = tumsyn("synthesize", str(scan), *words, "--model", model_id, "--out", str(out))
    assert refused.exit_code == 1
    assert said in refused.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"scan.nii.gz", "home"}


@pytest.mark.usefixtures("bright_brain")
def test_a_model_of_one_scan_refuses_several(tumsyn: Command, scan: Path, home: Home, tmp_path: Path) -> None:
    model_id = save_synthesis(home, architecture=COMPACT | {"max_scans": 1})
    words = "--model", model_id, "--out", str(tmp_path / "out.nii")
    refused = tumsyn("synthesize", str(scan), str(scan), *ASKED, *words)
    assert refused.exit_code == 1
    assert f"2 scans are given, and model {model_id} takes 1" in refused.stderr


@pytest.mark.usefixtures("bright_brain")
def test_several_scans_give_one_and_maps_where_they_are_asked_for(
    tumsyn: Command, home: Home, scan: Path, tmp_path: Path
) -> None:
    model_id = save_synthesis(home, max_scans=2, has_equations=True)
    out = tmp_path / "made"
    out.mkdir()
    words = (
        "--model",
        model_id,
        "--out",
        str(out / "x.nii"),
        "--maps",
        "--source-prompt",
        "T1w",
        "--source-prompt",
        "FLAIR",
    )
    done = tumsyn("synthesize", str(scan), str(scan), *ASKED, *words)
    assert done.exit_code == 0, done.output
    stems = ["x", *(f"x_{suffix}" for suffix in ("PDmap", "T1map", "T2map", "T2starmap"))]
    assert {path.name for path in out.iterdir()} == {f"{name}.{ending}" for name in stems for ending in ("nii", "json")}
    sources = json.loads((out / "x.json").read_text())["Sources"]
    assert [source["Record"]["contrast"] for source in sources] == ["T1w", "FLAIR"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="nothing"),
        pytest.param(["scan.nii", "--prompt", "T2w"], id="no output"),
        pytest.param(["scan.nii", "--out", "o.nii"], id="no prompt"),
        pytest.param(["--prompt", "T2w", "--out", "o.nii"], id="no scan"),
        pytest.param(["scan.nii", "--batch", "t.csv"], id="a scan beside a table"),
        pytest.param(["--prompt", "T2w", "--batch", "t.csv"], id="a prompt beside a table"),
        pytest.param(["scan.nii", "--prompt", "T2w", "--out", "o.nii", "--max-memory", "much"], id="no number"),
    ],
)
def test_wrong_usage_ends_with_status_2(tumsyn: Command, words: list[str]) -> None:
    assert tumsyn("synthesize", *words).exit_code == 2


@pytest.mark.usefixtures("bright_brain")
def test_a_table_accounts_for_every_row_and_its_status_says_whether_one_failed(
    tumsyn: Command, scan: Path, model_id: str, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    rows = ["scan.nii.gz,T2w,one.nii", "absent.nii,T2w,two.nii", "scan.nii.gz,nonsense,three.nii"]
    table.write_text("\n".join(["input,prompt,out", *rows]))
    words = "synthesize", "--batch", str(table), "--model", model_id, "--device", "cpu"
    done = tumsyn(*words)
    assert done.exit_code == 1
    assert "1 made, 0 skipped, 2 failed" in done.stderr
    assert "line 3 failed: there is no file" in done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[2:5]] == [
        ["2", "made"],
        ["3", "failed"],
        ["4", "failed"],
    ]
    table.write_text("\n".join(["input,prompt,out", rows[0]]))
    again = tumsyn(*words)
    assert again.exit_code == 0, again.output
    assert "0 made, 1 skipped, 0 failed" in again.stderr


@pytest.mark.slow
def test_a_command_that_is_stopped_leaves_no_half_written_file(home: Home, model_id: str, tmp_path: Path) -> None:
    scan, made = tmp_path / "scan.nii.gz", tmp_path / "out" / "made.nii.gz"
    nib.save(one_sided(np.diag([-1.0, 1.0, 1.0, 1.0]), (150, 140, 120)), scan)
    made.parent.mkdir()
    words = "--home", str(home.root), "synthesize", str(scan), *ASKED, "--model", model_id, "--already-harmonised"
    command = [sys.executable, "-m", "pipelines.cli", *words, "--out", str(made), "--force"]
    for signum, delay_s in ((signal.SIGINT, 3.0), (signal.SIGTERM, 4.0), (signal.SIGKILL, 5.0)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        time.sleep(delay_s)
        process.send_signal(signum)
        _, said = process.communicate()
        assert b"Traceback" not in said
        assert process.returncode in (0, 128 + signum, -signum)
        if made.exists():
            assert nib.load(made).get_fdata().shape == (150, 140, 120)
            assert json.loads(made.with_name("made.json").read_text())["Synthetic"]
        if signum != signal.SIGKILL:
            assert {path.name for path in made.parent.iterdir()} <= {"made.nii.gz", "made.json"}


@pytest.mark.slow
@pytest.mark.usefixtures("bright_brain")
def test_it_is_said_which_model_was_used_and_why(tumsyn: Command, home: Home, scan: Path, tmp_path: Path) -> None:
    old, new = save_synthesis(home), save_synthesis(home, seed=2)
    known(home, old, new)
    for model_id in (old, new):
        promotion.promote(home, model_id, "a test", despite_gates=True)
    words = ("synthesize", str(scan), *ASKED, "--force", "--out", str(tmp_path / "out.nii"))
    why = "champion of this home for the grid of 3 mm for voxels of 2 mm"
    assert f"model {new}: {why}" in tumsyn(*words).stderr.replace("\n", " ")
    promotion.rollback(home, "synthesis", "it blurs")
    assert f"model {old}: {why}" in tumsyn(*words).stderr.replace("\n", " ")
    assert f"model {new}: named as '{new}'" in tumsyn(*words, "--model", new).stderr.replace("\n", " ")
