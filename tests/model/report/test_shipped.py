"""The weights that ship are shown on scans that they never saw, each beside the real one, on its grid and its sides."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from model.inference.synthesize import Synthesizer, load_synthesizer
from model.report.shipped import Wish, draw, make_examples, was_seen
from tests.model.inference.conftest import bright
from tests.model.tiny_models import save_synthesis
from warehouse.errors import ModelError
from warehouse.harmonize import mask
from warehouse.lake.atomic import sha256
from warehouse.lake.home import Home

AFFINE = np.array([[-3.0, 0, 0, 40], [0, 3.0, 0, -50], [0, 0, 3.0, -30], [0, 0, 0, 1]])


@pytest.fixture(autouse=True)
def bright_voxels_are_the_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask, "find_brain", bright)
    monkeypatch.setattr(mask, "implausible", lambda found, image: None)


def head(sign: float) -> np.ndarray[Any, Any]:
    """Return a head whose right side is brighter or darker; the first axis runs to the left."""
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in (28, 32, 24)), indexing="ij"))
    texture = 60 * np.sin(9 * at[1]) * np.sin(7 * at[2])
    return (((at**2).sum(0) < 0.8) * (500 - sign * 200 * at[0] + texture)).astype(np.float32)


@pytest.fixture
def scans(tmp_path: Path) -> tuple[Path, Path]:
    folder = tmp_path / "sub-01"
    folder.mkdir()
    for suffix, sign in (("T1w", 1.0), ("T2w", 0.8)):
        nib.save(nib.Nifti1Image(head(sign), AFFINE), folder / f"{suffix}.nii.gz")
    return folder / "T1w.nii.gz", folder / "T2w.nii.gz"


class Same(Synthesizer):
    """A model that gives its first scan back."""

    def intensities(self, sources: Any, target: Any, **_: Any) -> Any:
        return np.asarray(sources[0].voxels, np.float32), float(sources[0].relative_spread)


@pytest.fixture
def model(home: Home) -> Synthesizer:
    loaded = load_synthesizer(home, save_synthesis(home), "cpu")
    return Same(**{one.name: getattr(loaded, one.name) for one in fields(loaded)})


def test_each_wish_is_a_file_and_a_row_with_left_on_the_left(
    home: Home, model: Synthesizer, scans: tuple[Path, Path], tmp_path: Path
) -> None:
    source, real = scans
    [row] = make_examples(home, model, [Wish(source, "T2w", real, "a head")], tmp_path / "made")
    made: Any = nib.load(tmp_path / "made" / "sub-01_T1w_to_T2w.nii.gz")
    np.testing.assert_allclose(made.affine, AFFINE)
    assert json.loads((tmp_path / "made" / "sub-01_T1w_to_T2w.json").read_text(encoding="utf-8"))
    assert row.caption.startswith("T1w → T2w, a head")
    for volume in (row.source, row.made, row.target):  # RAS: the bright right side comes last
        assert volume.shape == made.shape
        assert volume[16:20, 12:20, 10:14].mean() > volume[8:12, 12:20, 10:14].mean() + 0.05
    assert draw([row]).startswith(b"\x89PNG")


def test_figures_are_those_of_what_was_made(
    home: Home, model: Synthesizer, scans: tuple[Path, Path], tmp_path: Path
) -> None:
    source, real = scans
    alike, other = make_examples(
        home, model, [Wish(source, "T1w", source, "a head"), Wish(source, "T2w", real, "a head")], tmp_path / "made"
    )
    figures = [float(row.caption.split("    ")[1].split(" dB")[0]) for row in (alike, other)]
    assert figures[0] > 35
    assert figures[1] < figures[0]


def test_a_scan_that_was_learned_from_is_known_by_its_content(home: Home, scans: tuple[Path, Path]) -> None:
    learned = {"people": [], "scans": [sha256(scans[0])]}
    model_id = save_synthesis(home, trained_on=learned)
    copy = scans[0].with_name("renamed.nii.gz")
    copy.write_bytes(scans[0].read_bytes())
    assert was_seen(home.models / model_id, copy)
    assert not was_seen(home.models / model_id, scans[1])
    assert not was_seen(home.models / save_synthesis(home), scans[0])


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ModelError, match="no example"):
        draw([])
