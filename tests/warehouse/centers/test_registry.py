"""Definitions are refused with file, key and remedy; registration keeps what was registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from warehouse.centers.registry import Center, load_center, register, registered, shipped
from warehouse.errors import CenterError
from warehouse.lake.home import Home

PATTERN = r"(?P<id>\d+)-T1\.nii\.gz"


def definition(**changes: Any) -> dict[str, Any]:
    """Return a sound definition with some keys changed; None takes a key away."""
    whole: dict[str, Any] = {
        "center_id": "mylab",
        "title": "My laboratory",
        "layout": {"kind": "files", "images": [{"pattern": PATTERN, "entities": {"sub": "{id}", "suffix": "T1w"}}]},
    }
    return {key: value for key, value in (whole | changes).items() if value is not None}


def layout(**changes: Any) -> dict[str, Any]:
    """Return a sound layout with some keys changed."""
    return definition()["layout"] | changes


def written(folder: Path, document: object, name: str = "mylab") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return path


def images(**changes: Any) -> dict[str, Any]:
    """Return a layout whose one pattern has some keys changed."""
    return layout(images=[{"pattern": PATTERN, "entities": {"sub": "{id}", "suffix": "T1w"}} | changes])


def table(**changes: Any) -> dict[str, Any]:
    """Return a layout with one table of participants, some of its keys changed."""
    return layout(participants=[{"file": "people.csv", "id": {"names": ["id"]}} | changes])


@pytest.mark.parametrize(
    ("document", "key"),
    [
        pytest.param(definition(colour="red"), "colour", id="an unknown key"),
        pytest.param(definition(title=None), "title", id="a missing title"),
        pytest.param(definition(center_id="My Lab"), "center_id", id="an identifier with capitals and blanks"),
        pytest.param(definition(role="both"), "role", id="an unknown role"),
        pytest.param(definition(country="GBR"), "country", id="a country of three letters"),
        pytest.param(definition(latitude_deg=99), "latitude_deg", id="a latitude beyond the pole"),
        pytest.param(definition(contrasts=["T1w", "T1c"]), "contrasts", id="an unknown contrast"),
        pytest.param(definition(layout={"kind": "dicom"}), "layout.kind", id="an unknown kind of layout"),
        pytest.param(definition(layout={"kind": "files"}), "layout", id="files without patterns"),
        pytest.param(definition(layout=images(pattern="(")), "layout.images.0.pattern", id="a broken pattern"),
        pytest.param(definition(layout=images(pattern="")), "layout.images.0.pattern", id="an empty pattern"),
        pytest.param(definition(layout=images(entities={"sub": "{id}"})), "layout.images.0", id="no suffix"),
        pytest.param(
            definition(layout=images(entities={"sub": "{who}", "suffix": "T1w"})),
            "layout.images.0",
            id="a group that is not named",
        ),
        pytest.param(
            definition(layout=images(ineligible="a copy", copy_of_raw="a copy")),
            "layout.images.0",
            id="a copy that is never used and sometimes",
        ),
        pytest.param(definition(layout=images(copy_of_raw="")), "layout.images.0", id="a copy without a reason"),
        pytest.param(
            definition(layout=layout(companions=[{"pattern": ".*", "kind": "pet"}])),
            "layout.companions.0.kind",
            id="an unknown kind",
        ),
        pytest.param(
            definition(layout=table(age={"names": ["a"], "unit": "fortnights"})),
            "layout.participants.0.age.unit",
            id="fortnights",
        ),
        pytest.param(
            definition(layout=table(id={"names": ["id"], "pattern": "("})),
            "layout.participants.0.id.pattern",
            id="a broken id",
        ),
        pytest.param(
            definition(layout=table(file="../elsewhere/people.csv")),
            "layout.participants.0.file",
            id="a table beside the root",
        ),
        pytest.param(
            definition(layout=table(file=["people.csv", "/etc/people.csv"])),
            "layout.participants.0.file",
            id="a table anywhere",
        ),
        pytest.param(
            definition(center_id="../../escaped"),
            "center_id",
            id="an identifier that is a path",
        ),
        pytest.param(
            definition(layout=layout(protocols=[{"contrast": "T1w", "source": "s", "values": {"tr": 2.0}}])),
            "layout.protocols.0.values",
            id="a value that no acquisition has",
        ),
        pytest.param(
            definition(verbatim=[{"source": "nowhere", "column": "AGE"}]),
            "(whole file)",
            id="a source that is not cited",
        ),
        pytest.param(
            definition(sources={"s": "address"}, verbatim=[{"source": "s", "column": "AGE", "path": "a"}]),
            "verbatim.0",
            id="both",
        ),
        pytest.param(definition(splits={"val": ["1"], "train": ["1"]}), "(whole file)", id="two splits of one"),
        pytest.param(definition(splits={"test": ["1"]}), "(whole file)", id="a split that does not exist"),
        pytest.param(definition(role="external", split="train"), "(whole file)", id="an external centre that trains"),
        pytest.param([1, 2], "(whole file)", id="a list"),
    ],
)
def test_a_bad_definition_is_refused_with_file_key_and_mend(tmp_path: Path, document: object, key: str) -> None:
    path = written(tmp_path, document)
    with pytest.raises(CenterError) as caught:
        load_center(path)
    assert str(path) in caught.value.what
    assert f"key '{key}'" in caught.value.what
    assert "README.md" in caught.value.remedy


@pytest.mark.parametrize("content", [b"a: [1", b"title: \xff\xfe"], ids=["broken YAML", "no UTF-8"])
def test_a_file_that_is_no_yaml_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mylab.yaml"
    path.write_bytes(content)
    with pytest.raises(CenterError, match=r"mylab\.yaml: cannot be read"):
        load_center(path)


def test_a_file_that_is_absent_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(CenterError, match=r"absent\.yaml cannot be read"):
        load_center(tmp_path / "absent.yaml")


def test_a_sound_definition_loads(tmp_path: Path) -> None:
    center = load_center(written(tmp_path, definition(contrasts=["T1w", "ceT1w"], country="SI")))
    assert center.center_id == "mylab"
    assert center.role == "internal"
    assert not center.is_simulated


def test_a_registered_centre_comes_back_as_it_was(tmp_path: Path) -> None:
    home, root = Home(tmp_path / "home"), tmp_path / "root"
    root.mkdir()
    center = load_center(written(tmp_path, definition(license="CC0")))
    made = register(home, center, root, follow_links=True)
    assert registered(home) == {"mylab": made}
    assert made.root == root
    assert made.follow_links


def test_a_shipped_centre_is_registered_by_name_so_that_its_definition_can_improve(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    register(home, shipped()["ixi"], tmp_path)
    assert yaml.safe_load((home.centers / "ixi.yaml").read_text())["definition"] == "shipped"
    assert registered(home)["ixi"].center == shipped()["ixi"]


def test_registering_again_replaces_the_root(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        register(home, shipped()["ixi"], tmp_path / name)
    assert registered(home)["ixi"].root == tmp_path / "second"
    assert [path.name for path in home.centers.iterdir()] == ["ixi.yaml"]


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CenterError, match="is not a folder") as caught:
        register(Home(tmp_path / "home"), shipped()["ixi"], tmp_path / "absent")
    assert "--root" in caught.value.remedy


def test_a_registration_without_root_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.centers.mkdir(parents=True)
    written(home.centers, {"definition": "shipped"}, "ixi")
    with pytest.raises(CenterError, match="key 'root' is missing"):
        registered(home)


def test_a_registration_of_an_unknown_shipped_centre_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.centers.mkdir(parents=True)
    written(home.centers, {"root": str(tmp_path), "definition": "shipped"}, "nowhere")
    with pytest.raises(CenterError, match="no shipped definition 'nowhere'"):
        registered(home)


def test_a_home_without_centres_has_none(tmp_path: Path) -> None:
    assert registered(Home(tmp_path / "home")) == {}


def test_every_shipped_definition_survives_a_round_trip(tmp_path: Path) -> None:
    for center in shipped().values():
        document = center.model_dump(mode="json", exclude_defaults=True)
        assert Center.model_validate(yaml.safe_load(yaml.safe_dump(document, allow_unicode=True))) == center
