from __future__ import annotations

import json

import numpy as np
import pytest

from model.simulation.defects import KEPT, KINDS, kind_of, readable_fields, spoil_file, spoil_sidecar
from model.simulation.files import nifti_bytes
from model.simulation.scanner import Acquired
from warehouse.errors import PhantomError
from warehouse.imaging.files import RefusedError
from warehouse.imaging.nifti import read_header

FIELDS = {"EchoTime": 0.00298, "RepetitionTime": 2.3, "FlipAngle": 9.0}


def image() -> Acquired:
    voxels = np.random.default_rng(1).integers(0, 900, (6, 7, 8)).astype(np.int16)
    return Acquired(voxels, np.diag([-2.0, 2.0, 3.0, 1.0]))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("defect", ["truncated", "mirrored_qform"])
def test_a_spoilt_file_is_refused_for_the_reason_that_is_stated(defect: str, name: str, tmp_path) -> None:
    (tmp_path / name).write_bytes(nifti_bytes(image(), name, defect))
    with pytest.raises(RefusedError) as caught:
        read_header(str(tmp_path / name))
    kind = kind_of(defect, name)
    assert ("read", caught.value.reason) == (kind.stage, kind.reason)


def test_a_header_without_orientation_has_no_codes(tmp_path) -> None:
    (tmp_path / "a.nii").write_bytes(nifti_bytes(image(), "a.nii", "no_orientation"))
    header = read_header(str(tmp_path / "a.nii"))
    assert (header.qform_code, header.sform_code) == (0, 0)


def test_a_healthy_file_is_not_refused(tmp_path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(nifti_bytes(image(), "a.nii.gz"))
    assert read_header(str(tmp_path / "a.nii.gz")).axcodes == "LAS"


def test_a_truncated_file_keeps_its_beginning() -> None:
    assert spoil_file(b"0123456789", "truncated") == b"0123456789"[: int(10 * KEPT)]
    assert spoil_file(b"0123456789", None) == b"0123456789"


def test_an_echo_time_in_milliseconds_is_a_thousand_times_too_long() -> None:
    content = spoil_sidecar(FIELDS, "milliseconds")
    assert content is not None
    assert json.loads(content) == FIELDS | {"EchoTime": 2.98}


def test_a_sidecar_is_absent_broken_or_whole() -> None:
    assert spoil_sidecar(FIELDS, "no_sidecar") is None
    broken = spoil_sidecar(FIELDS, "broken_sidecar")
    assert broken is not None
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert readable_fields(FIELDS, "no_sidecar") == []
    assert readable_fields(FIELDS, "broken_sidecar") == []
    assert readable_fields(FIELDS, "truncated") == readable_fields(FIELDS, None) == sorted(FIELDS)


def test_every_kind_says_what_it_is() -> None:
    for kind in KINDS.values():
        assert kind.what
        assert bool(kind.stage) == bool(kind.reason)
        assert kind.disposition == "image" or kind.reason


def test_an_unknown_defect_is_refused() -> None:
    with pytest.raises(PhantomError, match="gremlin"):
        kind_of("gremlin", "a.nii")
