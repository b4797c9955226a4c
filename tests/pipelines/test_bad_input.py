"""What a user reads after a mistake: one line on what is wrong and where, one on the remedy, and the exit status.

The table holds the words exactly. `{here}` stands for the folder in which the command was typed, `{home}` for the home.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.conftest import write_bids
from tests.model.tiny_home import make_tiny_home
from tests.pipelines.conftest import Command, command_in
from warehouse.lake import atomic
from warehouse.lake.home import Home

EXAMPLE = "write for example: T2w; 3T Siemens; TR 3200 ms; TE 90 ms; voxel size 1 mm"
NIFTI = "give the path of a NIfTI file, .nii or .nii.gz"
YAML = "correct the file; it must be UTF-8 YAML"
SHIPPED_CENTERS = (
    "adni, aibl, brats2021, camcan, hcp_aging, hcp_development, hcp_young_adult, ixi, lemon, nki_rockland, oasis3, "
    "open_ms, ucsf_pdgm, ukb"
)
CONFIGS = "compact, demo, finetune, published, quick, reference, standard, weights, weights_settings, weights_signal"
MAKE = ["synthesize", "t1.nii.gz", "--prompt", "T2w", "--out", "out.nii.gz"]

Mistake = tuple[str, list[str], str, str]
# home, words, what is wrong and where, remedy
CENTERS: list[Mistake] = [
    ("filled", ["centers", "add", "mars", "--root", "."],
     f"no definition of 'mars' ships; there are {SHIPPED_CENTERS}",
     "for a BIDS dataset: tumsyn centers add mars --layout bids --root DIR"),
    ("filled", ["centers", "add", "ixi", "--root", "nowhere"],
     "centre ixi: root {here}/nowhere is not a folder", "give an existing folder with --root"),
    ("filled", ["centers", "add", "ixi", "--root", "a_file"],
     "centre ixi: root {here}/a_file is not a folder", "give an existing folder with --root"),
    ("filled", ["centers", "add", "A b", "--layout", "bids", "--root", "."],
     "centre 'A b': key 'center_id': use lower-case letters, digits, _ and -, beginning with a letter or digit "
     "(found 'A b')", "correct that value"),
    ("filled", ["centers", "add", "x", "--definition", "no.yaml", "--root", "."],
     "no.yaml cannot be read: No such file or directory", "give the path of a YAML file"),
    ("filled", ["centers", "add", "x", "--definition", ".", "--root", "."],
     ". cannot be read: Is a directory", "give the path of a YAML file"),
    ("filled", ["centers", "add", "x", "--definition", "open.yaml", "--root", "."],
     "open.yaml: cannot be read: while parsing a flow sequence*", YAML),
    ("filled", ["centers", "add", "x", "--definition", "keys.yaml", "--root", "."],
     "keys.yaml: key 'center_id' is missing", "correct that key; warehouse/centers/README.md shows the form"),
    ("filled", ["centers", "add", "x", "--definition", "list.yaml", "--root", "."],
     "list.yaml: key '(whole file)': must consist of keys and their values",
     "correct that key; warehouse/centers/README.md shows the form"),
    ("filled", ["centers", "add", "x", "--dicom", "nowhere"],
     "{here}/nowhere is not a folder", "give the folder that holds the DICOM files"),
    ("filled", ["centers", "remove", "ixi"],
     "not registered in {home}: ixi (there are tiny)", "tumsyn centers add ixi --root DIR"),
    ("filled", ["centers", "check", "nobody"],
     "not registered in {home}: nobody (there are tiny)", "tumsyn centers add nobody --root DIR"),
    ("empty", ["ingest"], "no centre is registered in {home}", "tumsyn centers add CENTER --root DIR"),
    ("filled", ["ingest", "nobody"],
     "not registered in {home}: nobody (there are tiny)", "tumsyn centers add nobody --root DIR"),
    ("filled", ["harmonize", "tiny", "--recipe", "nope"],
     "no recipe 'nope'", "give one of draft, standard, or the path of a YAML file"),
    ("filled", ["harmonize", "tiny", "--recipe", "open.yaml"],
     "open.yaml: cannot be read: while parsing a flow sequence*", YAML),
    ("filled", ["harmonize", "tiny", "--recipe", "keys.yaml"],
     "keys.yaml: key 'name' is missing", "correct that key; recipes/standard.yaml shows the form"),
]  # fmt: skip
VOLUMES: list[Mistake] = [
    ("filled", ["export", "0" * 16, "--out", "x"],
     f"there is no volume of image {'0' * 16} as session by recipe 'standard'",
     "run `tumsyn harmonize`; core.volume_rejection says if it was refused"),
    ("tiny", ["export", "--center", "alpha", "--out", "x"],
     "centre alpha has no session volumes by recipe 'standard'; recipes that it has: draft (0123456789abcdef)",
     "tumsyn harmonize alpha --recipe standard"),
    ("tiny", ["export", "--center", "alpha", "--recipe", "draft", "--out", "bids"],
     "bids is a raw BIDS data set", "export into a folder of its own, e.g. derivatives/tumsyn"),
    ("tiny", ["export", "--center", "alpha", "--recipe", "draft", "--out", "a_file"],
     "a_file is a file", "give the folder of a data set"),
    ("filled", ["phantom", "--out", "a_file"], "a_file is a file", "give a folder with --out"),
    ("filled", ["phantom", "--out", "x", "--centers", "mars"],
     "no simulated centre of mars",
     "choose from adni, aibl, camcan, hcp_aging, hcp_development, hcp_young_adult, ixi, lemon, nki_rockland, oasis3, "
     "open_ms, ucsf_pdgm, ukb"),
    ("filled", ["phantom", "--out", "x", "--resolution", "99"],
     "a resolution of 99.0 mm", "give one from 0.8 to 6.0 mm"),
    ("filled", ["phantom", "--out", "x", "--subjects-per-center", "500"],
     "500 subjects per centre", "give 1 to 98: identifiers have two digits"),
]  # fmt: skip
CATALOGUE: list[Mistake] = [
    ("empty", ["sql", "SELECT 1"],
     "nothing is published in {home}", "run `tumsyn ingest`, or name the home in TUMSYN_HOME"),
    ("filled", ["sql", "SELECT * FROM nowhere"],
     "Catalog Error: Table with name nowhere does not exist!*",
     "`tumsyn catalog tables` and `describe TABLE` show what there is"),
    ("filled", ["sql", "DROP TABLE core.image"], "DROP is not allowed: the catalogue is read-only", "give a SELECT"),
    ("filled", ["sql", "SELECT * FROM read_csv('/etc/passwd')"],
     "Permission Error: Cannot access file \"/etc/passwd\" - file system operations are disabled by configuration",
     "a query reads the tables of the catalogue alone: `tumsyn catalog tables` lists them"),
    ("filled", ["sql", "SELECT 1; SELECT 2"], "2 statements were given", "give exactly one SELECT"),
    ("filled", ["sql", "SELECT 1", "--memory", "lots"],
     "memory limit 'lots' is not a size", "write it as 500MB or 2GB"),
    ("filled", ["sql", "SELECT 1", "--output", "a_file"], "a_file exists", "remove it, or give another --output"),
    ("filled", ["sql", "SELECT 1", "--output", "nowhere/x.csv"],
     "nowhere is not a folder", "make it, or give another --output"),
    ("filled", ["catalog", "unpin", "0123"],
     "snapshot 0123 is not pinned by 'a person'", "pins are: none"),
    ("a_file", ["sql", "SELECT 1"], "the home {home} is a file", "name a folder with --home or TUMSYN_HOME"),
    ("back\\slash", ["sql", "SELECT 1"],
     "the home {home} has a backslash in its path, which DuckDB reads as a slash", "rename or move the folder"),
]  # fmt: skip
PROMPTS: list[Mistake] = [
    ("filled", ["prompt", ""], "the prompt is empty", EXAMPLE),
    ("filled", ["prompt", "hello world"], "the prompt contains 'hello', which is not understood", EXAMPLE),
    ("filled", ["prompt", "T1w T2w"], "the prompt contradicts itself: the contrast is T1w and T2w", "give one value"),
    ("filled", ["prompt", "T2w; TR 10 ms; TE 90 ms"],
     "the prompt contradicts physics: TE 90 ms is not shorter than TR 10 ms",
     "times without a unit are milliseconds; write s after seconds, as in TR 2.5 s"),
    ("filled", ["prompt", "T2w; age -4 years"],
     "the age cannot be -4 years", "the range is 0 to 120 years; write None where it is not known"),
]  # fmt: skip
SCANS: list[Mistake] = [
    *(("shipped", ["synthesize", scan, *MAKE[2:]], what, remedy) for scan, what, remedy in [
        ("", ". is a folder", NIFTI),
        ("nowhere.nii.gz", "there is no file nowhere.nii.gz", NIFTI),
        ("bids", "bids is a folder", NIFTI),
        ("empty.nii.gz", "empty.nii.gz: 0 bytes", "fetch or convert the image again"),
        ("text.nii.gz", "text.nii.gz: it is a text file", "fetch the image again"),
        ("cut.nii.gz", "cut.nii.gz: the gzip data are truncated", "fetch the image again"),
        ("flat.nii.gz", "flat.nii.gz: every voxel is 1", "fetch the image again"),
        ("four.nii.gz", "four.nii.gz: 3 volumes where one is expected", "split it into volumes"),
        ("nan.nii.gz", "nan.nii.gz: 100% of the voxels are NaN or infinite", "convert the image again"),
        ("scan.dcm", "scan.dcm: it is a DICOM file", "convert its series with dcm2niix"),
        ("nowhere_in_space.nii.gz",
         "nowhere_in_space.nii.gz: no orientation: neither qform nor sform is set, so left and right are unknown",
         "convert the image again from DICOM"),
    ]),
    ("shipped", [*MAKE[:4], "--out", "out.txt"],
     "out.txt is not the name of a NIfTI file", "give a name that ends in .nii or .nii.gz"),
    ("shipped", [*MAKE[:4], "--out", "nowhere/out.nii.gz"],
     "nowhere is not a folder", "make it, or give another --out"),
    ("shipped", [*MAKE[:4], "--out", "t1.nii.gz"],
     "t1.nii.gz is the scan itself", "give another --out; a scan and its sidecar are never overwritten"),
    ("shipped", [*MAKE[:3], "TR 5 s", "--out", "."],
     ". is a folder, and the prompt names no contrast by which the file could be called",
     "give a file name, or name the contrast in the prompt"),
    ("shipped", [*MAKE, "--brain-mask", "flat.nii.gz"],
     "the brain mask cannot be used: flat.nii.gz: every voxel is 1",
     "give a mask that is positive in the brain and 0 outside, or leave it out"),
    ("shipped", [*MAKE, "--like", "nowhere.nii.gz"], "there is no file nowhere.nii.gz", NIFTI),
    ("shipped", [*MAKE, "--source-prompt", "T1w", "--source-prompt", "T2w"],
     "2 source prompts are given for 1 scans", "give one for each scan, in order"),
    ("filled", [*MAKE, "--model", "nope"],
     "there is no model 'nope' in {home}/models", "train one: `tumsyn train synthesis --config demo`"),
    ("shipped", [*MAKE, "--max-memory", "-1"], "-1.0 GB is no amount of memory", "give a number above 0, in GB"),
    ("filled", ["synthesize", "--batch", "nowhere.csv"],
     "nowhere.csv cannot be read: No such file or directory", "give the path of a CSV file"),
    ("filled", ["synthesize", "--batch", "a_file"],
     "a_file lacks input, out, prompt and has unknown columns: x",
     "columns are input, prompt, out, and optionally like, source_prompt, brain_mask"),
]  # fmt: skip
MODELS: list[Mistake] = [
    ("filled", ["train", "synthesis", "--config", "nope"],
     "no configuration 'nope'", f"give one of {CONFIGS}, or the path of a YAML file"),
    ("filled", ["train", "synthesis", "--config", "keys.yaml"],
     "keys.yaml: key 'name' is missing", "correct that key; model/configs/synthesis_standard.yaml shows the form"),
    ("filled", ["train", "text-encoder", "--config", "demo"],
     "the catalogue has no volumes by recipe 'draft'",
     "nothing is harmonised yet; run `tumsyn harmonize --recipe draft`"),
    ("tiny", ["train", "synthesis", "--config", "demo", "--centers", "nobody"],
     "no centre of the catalogue is called nobody", "there are: alpha, omega"),
    ("tiny", ["evaluate", "--model", "nope"],
     "there is no model 'nope' in {home}/models", "train one: `tumsyn train synthesis --config demo`"),
    ("tiny", ["evaluate", "--protocol", "nope"],
     "no protocol 'nope'",
     "give one of cross_validation, demo, quick, standard, validation, or the path of a YAML file"),
    ("tiny", ["cross-validate", "--only-fold", "9"], "there is no fold 9 of 4", "give 0 to 3"),
    ("tiny", ["models", "show", "nope"],
     "there is no model 'nope' in {home}", "there are: none; train one first"),
    ("tiny", ["models", "rollback", "--reason", "x"],
     "this home has no champion of kind synthesis", "there is nothing to roll back"),
]  # fmt: skip
TABLE = [*CENTERS, *VOLUMES, *CATALOGUE, *PROMPTS, *SCANS, *MODELS]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of files that are wrong in one way each, and of one that is right, t1.nii.gz."""
    folder = tmp_path_factory.mktemp("here")
    texts = {"a_file": "x\n1\n", "open.yaml": "a: [1\n", "keys.yaml": "nonsense: 1\n", "list.yaml": "- 1\n"}
    for name, text in {**texts, "text.nii.gz": "hello", "empty.nii.gz": ""}.items():
        (folder / name).write_text(text)
    (folder / "scan.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 400)
    write_bids(folder / "bids")
    scan = np.random.default_rng(0).uniform(0, 100, (12, 12, 12)).astype(np.float32)
    arrays = {"t1": scan, "flat": np.ones_like(scan), "four": np.stack([scan] * 3, -1), "nan": scan * np.nan}
    for name, voxels in arrays.items():
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(scan, None), folder / "nowhere_in_space.nii.gz")
    (folder / "cut.nii.gz").write_bytes((folder / "t1.nii.gz").read_bytes()[:600])
    make_tiny_home(folder / "tiny", 3)
    return folder


@pytest.fixture
def homes(here: Path, filled: Home, tmp_path: Path) -> dict[str, Path]:
    wrong = {name: here / name for name in ("a_file", "back\\slash", "tiny")}
    return {"filled": filled.root, "shipped": filled.root, "empty": tmp_path / "empty", **wrong}


def test_the_table_has_mistakes_of_every_kind() -> None:
    assert len(TABLE) >= 60
    commands = {words[0] for _, words, _, _ in TABLE}
    assert commands >= {"centers", "ingest", "harmonize", "export", "sql", "catalog", "prompt", "synthesize", "train"}
    assert commands >= {"evaluate", "cross-validate", "models", "phantom"}


@pytest.mark.parametrize("mistake", TABLE, ids=[f"{home}: {' '.join(words)}" for home, words, _, _ in TABLE])
def test_a_mistake_is_explained_with_its_remedy(
    mistake: Mistake, here: Path, homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, words, what, remedy = mistake
    monkeypatch.chdir(here)
    if home == "shipped":
        monkeypatch.undo()  # the weights that ship are there: the scan is what is wrong
        monkeypatch.chdir(here)
    before = sorted(here.iterdir())
    result = command_in_folder(homes[home])(*words)
    names = {"here": str(here), "home": str(homes[home])}
    said, arrow, advice = result.stderr.rstrip("\n").partition("\n  -> ")
    expected = f"tumsyn: {what.format(**names)}"
    assert said.startswith(expected[:-1]) if expected.endswith("*") else said == expected
    assert arrow
    assert advice == remedy.format(**names)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert sorted(here.iterdir()) == before, "nothing was written"


def command_in_folder(root: Path) -> Command:
    """Return the command at work in a home that may be none."""

    class Named:
        def __init__(self) -> None:
            self.root = root

    return command_in(Named())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space on that disk, then run the same command again: it goes on with what was finished"),
        (errno.EROFS, "make the disk writable, or name another place"),
        (errno.EACCES, "give this user permission, or name another place"),
    ],
)
def test_a_full_or_read_only_home_is_named_with_a_remedy(
    tumsyn: Command, home: Home, bids: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(atomic, "write_text", refuse)
    result = tumsyn("centers", "add", "lab", "--layout", "bids", "--root", str(bids))
    assert result.stderr == f"tumsyn: {home.centers / 'lab.yaml'}: {os.strerror(number)}\n  -> {remedy}\n"
    assert result.exit_code == 1
