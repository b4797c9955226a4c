from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from model.physics.tissue import TISSUES, properties
from model.simulation import truth
from model.simulation.head import Head
from model.simulation.people import Subject
from tests.model.simulation.fake_head import LESION_MM, fake_head


@pytest.fixture(scope="module")
def head() -> Head:
    head = fake_head(Subject(1, 40.0, "F", lesions=("ms",)))
    shift = np.full_like(head.displacement_mm, 0)
    shift[0] = 3.14  # every point of the subject came from 3.14 mm further right
    return replace(head, displacement_mm=shift)


@pytest.fixture(scope="module")
def stored(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    for name, content in truth.head_files(head, 3.0).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.slow
def test_fractions_and_labels_are_those_of_the_head(head: Head, stored: Path) -> None:
    fractions = nib.load(stored / "fractions.nii.gz")
    assert np.moveaxis(fractions.get_fdata(), -1, 0) == pytest.approx(head.fractions.numpy(), abs=0.5 / 255 + 1e-6)
    assert fractions.affine == pytest.approx(head.affine)
    assert np.array_equal(np.asarray(nib.load(stored / "labels.nii.gz").dataobj), head.labels())


def test_maps_hold_the_values_of_the_tissue_in_their_units(head: Head, stored: Path) -> None:
    white = TISSUES.index("white_matter")
    here = head.fractions[white].numpy() == 1
    table = properties(3.0)
    for name in ("t1_s", "t2_s", "t2star_s", "pd", "chi_ppm"):
        values = nib.load(stored / f"{name}.nii.gz").get_fdata()
        assert values[here] == pytest.approx(float(getattr(table, name)[white]), abs=0.6e-3)
        assert values[0, 0, 0] == 0


def test_the_displacement_leads_to_the_template(stored: Path) -> None:
    moved = nib.load(stored / "displacement_mm.nii.gz").get_fdata()
    labels = np.asarray(nib.load(stored / "labels.nii.gz").dataobj)
    assert moved[labels > 0] == pytest.approx(np.tile([3.1, 0, 0], (np.count_nonzero(labels), 1)), abs=0.01)
    assert not moved[labels == 0].any()


def test_a_mask_lies_where_the_lesion_is(stored: Path) -> None:
    mask = nib.load(stored / "lesions_ms.nii.gz")
    center = mask.affine @ [*np.argwhere(np.asarray(mask.dataobj)).mean(0), 1]
    assert center[:3] == pytest.approx(LESION_MM, abs=2)


def test_a_subject_is_written_with_what_its_tissues_are(stored: Path) -> None:
    document = json.loads((stored / "subject.json").read_text())
    assert (document["age_years"], document["sex"], document["lesions"]) == (40.0, "F", ["ms"])
    assert document["tissues"] == list(TISSUES)
    assert len(document["tissue"]["t1_s"]) == len(TISSUES)


def test_what_does_not_apply_is_an_empty_cell(tmp_path: Path) -> None:
    text = truth.table_text([{"a": 1, "b": None}, {"a": "x, y", "b": 0.5}], ("a", "b"))
    assert text == 'a,b\n1,\n"x, y",0.5\n'
    (tmp_path / "t.csv").write_text(text)
    assert truth.read_rows(tmp_path / "t.csv") == [{"a": "1", "b": ""}, {"a": "x, y", "b": "0.5"}]
