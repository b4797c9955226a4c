"""`tumsyn synthesize` keeps the left of any file on the left, and leaves nothing where it refuses one."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import pytest
from typer.testing import Result

from model.inference import from_scans
from model.inference.synthesize import load_synthesizer
from tests.model.inference.awkward_scans import ACCEPTED, HEAD, REFUSED, File, assert_left_is_left
from tests.model.inference.conftest import bright
from tests.model.inference.test_from_scans import Averaging
from tests.model.tiny_models import save_synthesis
from tests.pipelines.conftest import Command
from warehouse.harmonize import mask as brain
from warehouse.imaging.brain_scale import BrainScale
from warehouse.lake.home import Home

ASKED = ("--prompt", "Modality: T2w; TE: 90 ms", "--device", "cpu")


@pytest.fixture(autouse=True)
def cheap_model(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the command find a brain by its brightness, and load a model that returns what it is given."""
    spread = BrainScale.of(HEAD, HEAD > 100).relative_spread
    tiny = load_synthesizer(home, save_synthesis(home, grid_mm=4.5, relative_spread={"T2w": spread}), "cpu")
    model = Averaging(**{name: getattr(tiny, name) for name in tiny.__dataclass_fields__})
    monkeypatch.setattr(from_scans, "load_synthesizer", lambda *_: model)
    monkeypatch.setattr(brain, "find_brain", bright)
    monkeypatch.setattr(brain, "implausible", lambda found, image: None)
    return model.model_id


def synthesized(file: File, tumsyn: Command, model: str, folder: Path) -> tuple[Result, Path]:
    """Give a file to the command, and return how it ended and the folder of what it made."""
    given, out = folder / file.name, folder / "out"
    given.write_bytes(file.content)
    out.mkdir()
    return tumsyn("synthesize", str(given), *ASKED, "--model", model, "--out", str(out)), out


@pytest.mark.slow
@pytest.mark.parametrize("what", ACCEPTED)
def test_a_marker_on_the_left_stays_on_the_left_from_file_to_file(
    what: str, tumsyn: Command, cheap_model: str, tmp_path: Path
) -> None:
    file = ACCEPTED[what]
    done, out = synthesized(file, tumsyn, cheap_model, tmp_path)
    assert done.exit_code == 0, done.output
    assert file.said in " ".join(done.stderr.split())
    [made] = out.glob("*.nii.gz")
    assert_left_is_left(nib.load(made), file.affine)
    assert len(list(out.iterdir())) == 2  # the scan and its sidecar


@pytest.mark.slow
@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_cannot_be_used_is_refused_by_name_and_leaves_nothing(
    what: str, tumsyn: Command, cheap_model: str, tmp_path: Path
) -> None:
    file = REFUSED[what]
    done, out = synthesized(file, tumsyn, cheap_model, tmp_path)
    assert done.exit_code == 1, done.output
    said = " ".join(done.stderr.split())
    assert file.said in said
    assert file.name in said
    assert not list(out.iterdir())
