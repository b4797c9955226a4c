"""Packed weights: half the size, the same network, and a card that says whose data they are made of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from model.networks.checkpoint import read_model, save_model
from model.networks.packing import pack
from model.networks.parts import read_parts
from tests.model.tiny_models import save_synthesis
from tests.warehouse.conftest import Lab
from warehouse.catalog.model_registry import record
from warehouse.errors import CatalogueError, ModelError

TERMS = {"license": "CC BY 4.0", "citation": "Somebody, A dataset, 2021"}


def people(*person_ids: str) -> dict[str, list[str]]:
    return {"people": [hashlib.sha256(one.encode()).hexdigest() for one in person_ids], "scans": []}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "home")


@pytest.fixture
def known(lab: Lab) -> Lab:
    """A published centre of two people whose terms are known, and one of one person whose terms are not."""
    lab.center("open", **TERMS)
    lab.center("closed")
    for center, person in (("open", "01"), ("open", "02"), ("closed", "01")):
        lab.participant(center, person)
        lab.image(center, person, "T1w")
    lab.publish()
    return lab


def packed(lab: Lab, folder: Path, *person_ids: str, others: str | None = None) -> Path:
    path = lab.home.models / save_synthesis(lab.home, trained_on=people(*person_ids))
    return pack(lab.home, path, folder, others=others)[1]


@pytest.mark.slow
def test_a_copy_has_half_the_size_and_rounded_weights(known: Lab, tmp_path: Path) -> None:
    path = known.home.models / save_synthesis(known.home, trained_on=people("open/01"))
    model_id, copy = pack(known.home, path, tmp_path / "copy")
    sizes = [(one / "model.safetensors").stat().st_size for one in (path, copy)]
    assert sizes[1] < 0.62 * sizes[0]  # the header stays
    before, after = read_model(path), read_model(copy)
    assert after[0]["packed_of"] == path.name != model_id == after[0]["model_id"]
    for name, tensor in before[1].items():
        torch.testing.assert_close(after[1][name].float(), tensor.float(), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_a_copy_is_computed_in_float32(known: Lab, tmp_path: Path) -> None:
    _, network, encoder = read_parts(packed(known, tmp_path / "copy", "open/01"))
    types = {one.dtype for one in (*network.parameters(), *encoder.network.parameters())}
    assert types == {torch.float32}


@pytest.mark.slow
def test_the_card_names_data_terms_and_people(known: Lab, tmp_path: Path) -> None:
    card = (packed(known, tmp_path / "copy", "open/01", "open/02") / "model_card.md").read_text(encoding="utf-8")
    assert "Open: 2 people; CC BY 4.0; Somebody, A dataset, 2021" in card
    assert "No evaluation of it is published." in card


@pytest.mark.slow
def test_the_card_says_what_its_maker_remarks(known: Lab, tmp_path: Path) -> None:
    path = known.home.models / save_synthesis(known.home, trained_on=people("open/01"))
    _, copy = pack(known.home, path, tmp_path / "copy", remarks=["By cross-validation 17.3 dB.", "Fluid is dark."])
    card = (copy / "model_card.md").read_text(encoding="utf-8")
    assert "## Remarks\n\n* By cross-validation 17.3 dB.\n* Fluid is dark.\n" in card
    assert "## Remarks" not in (packed(known, tmp_path / "plain", "open/02") / "model_card.md").read_text("utf-8")


@pytest.mark.slow
def test_data_without_terms_are_refused(known: Lab, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="terms the data of closed"):
        packed(known, tmp_path / "copy", "open/01", "closed/01")
    assert not (tmp_path / "copy").exists()


@pytest.mark.slow
def test_unknown_people_are_refused_until_somebody_says_whose_data_they_are(known: Lab, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not know 1 of the 2 people"):
        packed(known, tmp_path / "copy", "open/01", "nowhere/01")
    path = packed(known, tmp_path / "copy", "open/01", "nowhere/01", others="simulated heads")
    assert "simulated heads (1 people)" in (path / "model_card.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_card_has_the_scores_beside_those_of_baselines(known: Lab, tmp_path: Path) -> None:
    path = known.home.models / save_synthesis(known.home, trained_on=people("open/01"))
    target = known.rows["open"]["core.image"][0]["image_id"]
    record_scores(known, path.name, str(target), {path.name: (20.0, 0.7), "baseline:identity": (10.0, 0.1)})
    known.publish()
    _, copy = pack(known.home, path, tmp_path / "copy")
    card = (copy / "model_card.md").read_text(encoding="utf-8")
    assert "| T1w_to_T2w | val | native | " in card
    assert "| 1 | 20.0 / 0.70 | 10.0 / 0.10 |" in card


@pytest.mark.slow
def test_people_of_a_fold_have_a_line_of_their_own(known: Lab, tmp_path: Path) -> None:
    path = known.home.models / save_synthesis(known.home, trained_on=people("open/01"))
    target = str(known.rows["open"]["core.image"][0]["image_id"])
    for split, value in (("val", 20.0), ("cross_validation", 30.0)):
        record_scores(known, path.name, target, {path.name: (value, 0.5)}, split)
    known.publish()
    card = (pack(known.home, path, tmp_path / "copy")[1] / "model_card.md").read_text(encoding="utf-8")
    for split, value in (("val", 20.0), ("cross_validation", 30.0)):
        [line] = [line for line in card.splitlines() if line.startswith(f"| T1w_to_T2w | {split} |")]
        assert f"{value:.1f} / 0.50" in line


def record_scores(
    lab: Lab, model_id: str, target: str, values: dict[str, tuple[float, float]], split: str = "val"
) -> None:
    base = {
        "evaluation_id": "e" * 16,
        "data_id": "d" * 16,
        "protocol_hash": "a" * 16,
        "form": "native",
        "task": "T1w_to_T2w",
        "split": split,
        "source_image_ids": [target],
        "target_image_id": target,
        "mask": "brain",
    }
    rows = [
        base | {"model_id": model, "metric": metric, "value": value}
        for model, pair in values.items()
        for metric, value in zip(("psnr_db", "ssim"), pair, strict=True)
    ]
    record(lab.home, "core.evaluation_score", rows)


@pytest.mark.slow
def test_an_existing_folder_is_not_overwritten(known: Lab, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(ModelError, match="exists"):
        packed(known, tmp_path / "copy", "open/01")


def test_without_a_catalogue_nothing_is_packed(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError):
        packed(lab, tmp_path / "copy", "open/01")


@pytest.mark.slow
def test_weights_beyond_float16_are_refused(known: Lab, tmp_path: Path) -> None:
    config, tensors = read_model(known.home.models / save_synthesis(known.home, trained_on=people("open/01")))
    config.pop("model_id")
    name = next(iter(tensors))
    _, path = save_model(known.home, "synthesis", tensors | {name: torch.full_like(tensors[name], 1e6)}, config, {})
    with pytest.raises(ModelError, match="not finite"):
        pack(known.home, path, tmp_path / "copy")
