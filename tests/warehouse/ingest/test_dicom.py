"""DICOM series become a BIDS dataset: whose is whose, left is left, and no name of a person in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from warehouse.errors import LayoutError
from warehouse.ingest import dicom
from warehouse.ingest.dicom import convert, guess_contrast

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("dcm2niix")
SALT = b"a secret"


def series(folder: Path, patient: str, study: str, number: int, description: str, **times: float) -> None:
    """Write eight slices whose left half is bright: columns run towards the patient's left."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    series_uid = generate_uid()
    for slice_number in range(8):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = MRImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        voxels = np.full((16, 20), 100, np.uint16)
        voxels[:, 10:] = 1000
        fields: dict[str, Any] = {
            "SOPClassUID": MRImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "Modality": "MR",
            "PatientName": "SMITH^JOHN", "PatientID": patient, "PatientBirthDate": "19800101", "PatientAge": "035Y",
            "StudyInstanceUID": study, "SeriesInstanceUID": series_uid, "SeriesNumber": number,
            "InstanceNumber": slice_number + 1, "SeriesDescription": description, "StudyDate": "20200102",
            "Manufacturer": "SIEMENS", "MagneticFieldStrength": 3, "ScanningSequence": "GR", "SequenceVariant": "SP",
            "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"], "MRAcquisitionType": "3D", "FlipAngle": 9,
            "Rows": 16, "Columns": 20, "PixelSpacing": [2, 2], "SliceThickness": 2, "SpacingBetweenSlices": 2,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [-20, -16, 2 * slice_number],
            "PatientPosition": "HFS", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
            "PixelData": voxels.tobytes(), **times,
        }  # fmt: skip
        made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        for name, value in fields.items():
            setattr(made, name, value)
        made.save_as(folder / f"{number}-{slice_number}.dcm", enforce_file_format=True)


T1W = {"RepetitionTime": 2300, "EchoTime": 2.98, "InversionTime": 900}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dicom")
    series(folder / "a", "12345", "1.2.3.1", 1, "t1_mprage_sag", **T1W)
    series(folder / "a", "12345", "1.2.3.1", 2, "ax t2 tse", RepetitionTime=5000, EchoTime=90)
    series(folder / "b", "12345", "1.2.3.2", 1, "t1_mprage_sag", **T1W)
    series(folder / "c", "777", "1.2.9.1", 4, "something else", RepetitionTime=400, EchoTime=9)
    series(folder / "c", "777", "1.2.9.1", 5, "mystery", **T1W)
    return folder


def test_patients_and_studies_become_participants_and_visits_without_their_names(source: Path, tmp_path: Path) -> None:
    made = convert(source, tmp_path / "bids", "a lab", SALT)
    paths = [path.relative_to(made.root).as_posix() for path in made.root.rglob("*") if path.is_file()]
    people = {path.split("/")[0] for path in made.named}
    assert (len(people), len(made.named), len(made.unnamed)) == (2, 4, 1)
    assert len({"/".join(path.split("/")[:2]) for path in made.named}) == 3
    assert sorted(path.rsplit("_", 1)[1] for path in made.named) == ["T1w.nii.gz"] * 3 + ["T2w.nii.gz"]
    texts = "".join(paths) + "".join(path.read_text() for path in made.root.rglob("*.json"))
    for secret in ("SMITH", "12345", "1980", "20200102"):
        assert secret not in texts


def test_left_stays_left(source: Path, tmp_path: Path) -> None:
    made = convert(source, tmp_path / "bids", "a lab", SALT)
    image = nib.load(made.root / made.named[0])
    world = nib.affines.apply_affine(image.affine, np.argwhere(image.get_fdata() > 500))
    assert world[:, 0].mean() < 0  # RAS+: the patient's left has negative x


def test_the_source_is_not_written_into(source: Path, tmp_path: Path) -> None:
    before = sorted(source.rglob("*"))
    convert(source, tmp_path / "bids", "a lab", SALT)
    assert sorted(source.rglob("*")) == before
    with pytest.raises(LayoutError, match="lies in the folder of the DICOM files"):
        convert(source, source / "bids", "a lab", SALT)


@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value for the data element")
@pytest.mark.parametrize("text", ["../../../escaped", "/tmp/escaped", "..", "a/../../../b", "-f /tmp/x", "$(id)", "%s"])
def test_no_identifier_leads_out_of_the_new_folder(tmp_path: Path, text: str) -> None:
    source, root = tmp_path / "dicom", tmp_path / "deep" / "er" / "bids"
    series(source, text, text[:16], 1, text, **T1W)
    before = sorted(source.rglob("*"))
    made = convert(source, root, text, SALT)
    assert len(made.named) + len(made.unnamed) == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["er"]
    assert [path.name for path in root.parent.iterdir()] == ["bids"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "dicom"]
    assert sorted(source.rglob("*")) == before
    assert not any("escaped" in path.name for path in root.rglob("*"))


def test_a_folder_that_is_in_use_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids" / "mine.txt").write_text("x")
    with pytest.raises(LayoutError, match="not empty"):
        convert(source, tmp_path / "bids", "a lab", SALT)


def test_a_folder_without_dicom_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(LayoutError, match="no image was converted"):
        convert(tmp_path / "empty", tmp_path / "bids", "a lab", SALT)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_without_the_extra_it_is_said_how_to_install_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "find_spec", lambda _: None)
    with pytest.raises(LayoutError, match="not installed") as refusal:
        convert(source, tmp_path / "bids", "a lab", SALT)
    assert "tumsyn[dicom]" in refusal.value.remedy


@pytest.mark.parametrize(
    ("sidecar", "contrast"),
    [
        ({"BidsGuess": ["anat", "_acq-x_FLAIR"]}, "FLAIR"),
        ({"SeriesDescription": "AAHead_Scout"}, None),
        ({"SeriesDescription": "3D T2 FLAIR"}, "FLAIR"),
        ({"SeriesDescription": "T2*"}, "T2starw"),
        ({"ScanningSequence": "SE", "RepetitionTime": 4.0, "EchoTime": 0.09}, "T2w"),
        ({"ScanningSequence": "SE", "RepetitionTime": 9.0, "EchoTime": 0.12, "InversionTime": 2.5}, "FLAIR"),
        ({"ScanningSequence": "SE", "RepetitionTime": 1.5, "EchoTime": 0.05}, None),
        ({}, None),
    ],
)
def test_a_contrast_is_guessed_from_description_or_parameters_or_not_at_all(
    sidecar: dict[str, Any], contrast: str | None
) -> None:
    assert guess_contrast(sidecar) == contrast
