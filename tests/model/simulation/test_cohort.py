from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

from model.simulation import center, cohort
from model.simulation.cohort import Cohort, register_cohort, write_cohort
from tests.model.simulation.fake_head import fake_head
from warehouse.centers.registry import registered
from warehouse.errors import PhantomError
from warehouse.lake.home import Home

QUICK = ("nki_rockland", "hcp_young_adult")
COARSE_MM = 6.0


@pytest.fixture(autouse=True)
def crude(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads that are made in milliseconds."""
    monkeypatch.setattr(center, "make_head", fake_head)


def write(out: Path, **more: object) -> Cohort:
    settings = {"subjects_per_center": 1, "seed": 1, "resolution_mm": COARSE_MM, "centers": QUICK, "workers": 1}
    return write_cohort(out, **(settings | more))  # type: ignore[arg-type]


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(tmp_path / name, seed=seed, centers=QUICK[:1])
    one, same, other = (digests(tmp_path / name) for name in "abc")
    assert one == same
    images = [path for path in one if path.endswith(".nii.gz") and path in other]
    assert images
    assert all(one[path] != other[path] for path in images if path.startswith("phantom_"))


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # workers are other processes: they make real heads
    for name, workers in (("one", 1), ("two", 2)):
        write(tmp_path / name, workers=workers, centers=QUICK[:1])  # three visits
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_smaller_cohort_holds_the_same_scans_as_a_larger_one(tmp_path: Path) -> None:
    write(tmp_path / "small", centers=["ukb"])
    write(tmp_path / "large", centers=["ukb"], subjects_per_center=2)
    small, large = digests(tmp_path / "small"), digests(tmp_path / "large")
    scans = [path for path in small if path.startswith("phantom_ukb/") and path.endswith(".nii.gz")]
    assert scans
    assert all(small[path] == large[path] for path in scans)


def test_a_finished_centre_is_left_and_another_is_added(tmp_path: Path) -> None:
    first = write(tmp_path, centers=QUICK[:1])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "phantom_nki_rockland").rglob("*")}
    second = write(tmp_path)
    assert first.made == ("phantom_nki_rockland",)
    assert second.made == ("phantom_hcp_young_adult",)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with (tmp_path / "phantom_truth.csv").open() as file:
        assert {row["center_id"] for row in csv.DictReader(file)} == set(second.centers)


@pytest.mark.slow
def test_a_centre_made_with_other_settings_is_replaced_by_force_alone(tmp_path: Path) -> None:
    write(tmp_path, centers=QUICK[:1])
    with pytest.raises(PhantomError, match="other settings"):
        write(tmp_path, centers=QUICK[:1], seed=2)
    replaced = write(tmp_path, centers=QUICK[:1], seed=2, force=True)
    assert replaced.made == ("phantom_nki_rockland",)
    fresh = tmp_path / "fresh"
    write(fresh, centers=QUICK[:1], seed=2)
    root = "phantom_nki_rockland"
    assert digests(tmp_path / root) == digests(fresh / root)


def test_a_folder_that_is_not_a_cohorts_is_never_touched(tmp_path: Path) -> None:
    mine = tmp_path / "phantom_nki_rockland" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(PhantomError, match="not made by this command"):
        write(tmp_path, force=True)
    assert mine.read_text() == "mine"


def test_an_interrupted_cohort_leaves_no_half_of_a_centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def interrupted(visit: center.Visit) -> list[dict[str, object]]:
        calls.append(visit.center.center_id)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return center.image_visit(visit)

    monkeypatch.setattr(cohort, "image_visit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    assert (tmp_path / "phantom_nki_rockland").is_dir()  # its three visits were done
    assert not (tmp_path / "phantom_hcp_young_adult").exists()
    assert not [path for path in tmp_path.rglob(".*") if path.name != ".lock"]
    monkeypatch.undo()
    monkeypatch.setattr(center, "make_head", fake_head)
    assert write(tmp_path).made == ("phantom_hcp_young_adult",)


def test_what_a_killed_cohort_left_is_swept(tmp_path: Path) -> None:
    left = tmp_path / ".phantom_ixi-0123.tmp" / "IXI-T1"
    left.mkdir(parents=True)
    write(tmp_path, centers=QUICK[1:])
    assert not left.exists()


def test_progress_counts_visits(tmp_path: Path) -> None:
    said: list[tuple[int, int, str]] = []
    write(tmp_path, centers=QUICK[1:], progress=lambda *step: said.append(step))
    assert said == [(1, 1, "phantom_hcp_young_adult")]


def test_truth_holds_the_maps_of_every_head(tmp_path: Path) -> None:
    write(tmp_path, centers=["open_ms"])
    names = {path.name.split(".")[0] for path in (tmp_path / "truth" / "phantom_open_ms" / "01" / "1").iterdir()}
    assert names >= {"fractions", "labels", "t1_s", "t2_s", "t2star_s", "pd", "chi_ppm", "displacement_mm", "subject"}
    assert "lesions_ms" in names


def test_a_cohort_is_registered_as_simulated_and_with_its_roles(tmp_path: Path, home: Home) -> None:
    write(tmp_path / "out", centers=["nki_rockland", "aibl"])
    assert register_cohort(home, tmp_path / "out") == ["phantom_aibl", "phantom_nki_rockland"]
    roles = {name: (entry.center.role, entry.center.is_simulated) for name, entry in registered(home).items()}
    assert roles == {"phantom_aibl": ("external", True), "phantom_nki_rockland": ("internal", True)}


def test_an_empty_folder_registers_nothing(tmp_path: Path, home: Home) -> None:
    with pytest.raises(PhantomError, match="no simulated centre"):
        register_cohort(home, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"subjects_per_center": 0}, {"resolution_mm": 9.0}, {"centers": ["mylab"]}],
    ids=["nobody", "too coarse", "no such centre"],
)
def test_a_cohort_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(PhantomError):
        write(tmp_path, **wrong)
    assert not [path for path in tmp_path.iterdir() if path.name != ".lock"]
