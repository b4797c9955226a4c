"""Which edits change the identity of a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.simulation.cohort import DECIDES_COHORT
from model.training.trained import DECIDES_TRAINING
from warehouse.harmonize.recipe import DECIDES_VOLUMES
from warehouse.provenance import ROOT, _closure, source_hash

NETWORK = '''"""A network."""

import math
from warehouse import scale


def width():
    """Return it."""
    return 4
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "model/__init__.py": "",
        "model/network.py": NETWORK,
        "model/report.py": "COLOUR = 1\n",
        "warehouse/__init__.py": "",
        "warehouse/scale.py": "def scale():\n    from warehouse import deep\n    return deep.SCALE\n",
        "warehouse/deep.py": "SCALE = 2\n",
        "warehouse/tissue.csv": "wm,1\n",
        "README.md": "words\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def hashed(project: Path) -> str:
    source_hash.cache_clear()
    return source_hash("model.network", ("model", "warehouse"), project)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("model/network.py", NETWORK.replace("return 4", "return 8"), id="the network"),
        pytest.param("warehouse/deep.py", "SCALE = 3\n", id="a module that is imported inside a function"),
        pytest.param("warehouse/tissue.csv", "wm,2\n", id="a table beside a module"),
        pytest.param("warehouse/__init__.py", "X = 1\n", id="a package that is imported from"),
    ],
)
def test_what_decides_the_result_changes_the_hash(project: Path, file: str, text: str) -> None:
    before = hashed(project)
    (project / file).write_text(text)
    assert hashed(project) != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("README.md", "other words\n", id="a page"),
        pytest.param("model/report.py", "COLOUR = 2\n", id="a module that is not imported"),
        pytest.param("model/network.py", NETWORK.replace("Return it.", "Return the width."), id="a docstring"),
        pytest.param("model/network.py", NETWORK.replace("return 4", "return 4  # channels"), id="a comment"),
        pytest.param("model/network.py", NETWORK.replace("import math", "\nimport math"), id="a blank line"),
    ],
)
def test_what_does_not_decide_the_result_leaves_the_hash(project: Path, file: str, text: str) -> None:
    before = hashed(project)
    (project / file).write_text(text)
    assert hashed(project) == before


def test_an_import_for_annotations_alone_is_not_followed(project: Path) -> None:
    guard = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from model import report\n"
    (project / "warehouse/deep.py").write_text(guard + "SCALE = 2\n")
    before = hashed(project)
    (project / "model/report.py").write_text("COLOUR = 2\n")
    assert hashed(project) == before


def test_imports_of_what_cannot_decide_the_result_are_not_followed(project: Path) -> None:
    def limited() -> str:
        source_hash.cache_clear()
        return source_hash("model.network", ("model",), project)

    before = limited()
    (project / "warehouse/deep.py").write_text("SCALE = 3\n")
    assert limited() == before


def names_of(module: str, within: tuple[str, ...]) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in _closure(module, within, ROOT)}


def test_a_training_depends_on_its_network_loop_and_data_but_on_no_report() -> None:
    names = names_of("model.training.synthesis", DECIDES_TRAINING)
    assert {"model/training/loop.py", "model/data/natives.py", "warehouse/volumes/volume.py"} <= names
    assert {"warehouse/imaging/geometry.py", "warehouse/imaging/resampling.py"} <= names
    assert any(name.endswith("synthesis/compact.py") for name in names)
    assert not any("report" in name or "ingest" in name or "inference" in name for name in names)


def test_a_text_encoder_depends_on_both_architectures_and_on_the_simulation_that_makes_its_scans() -> None:
    names = names_of("model.training.text_encoder", DECIDES_TRAINING)
    assert {"model/networks/fields.py", "model/networks/reference.py", "model/data/agreement.py"} <= names
    assert {"model/simulation/ageing.py", "model/simulation/protocols.py"} <= names
    assert "warehouse/imaging/brain_scale.py" in names


def test_a_volume_depends_on_the_steps_of_harmonisation_but_on_no_ingest() -> None:
    names = names_of("warehouse.harmonize.session", DECIDES_VOLUMES)
    assert {"warehouse/imaging/resampling.py", "warehouse/volumes/store.py"} <= names
    assert not any("ingest" in name or "export" in name for name in names)


def test_a_simulated_cohort_depends_on_anatomy_physics_and_layouts() -> None:
    names = names_of("model.simulation.cohort", DECIDES_COHORT)
    assert {"model/simulation/head.py", "model/physics/sequences.py", "model/simulation/layouts/plan.py"} <= names
    assert "warehouse/imaging/geometry.py" in names
    assert not any("training" in name or "ingest" in name for name in names)
