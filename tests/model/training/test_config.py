"""Configurations that ship are valid, and what is wrong in one's own is named with its key."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from model.networks.synthesis.compact import CompactConfig
from model.training.config import CONFIGS, SHIPPED, SynthesisTraining, load_config, run_id
from warehouse.errors import ModelError
from warehouse.tables.models import KINDS

FACTS = {"data_id": "d", "recipe_id": "r", "training_code": "0.1.0", "text_encoder": "t"}


def synthesis(**changes: object) -> SynthesisTraining:
    return SynthesisTraining.model_validate({**load_config("synthesis", "demo").model_dump(), **changes})


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_configuration_is_valid_and_has_its_own_name(file: Path) -> None:
    kind = next(kind for kind in KINDS if file.stem.startswith(kind))
    name = file.stem.removeprefix(f"{kind}_")
    assert load_config(kind, name).name == name


def test_every_kind_of_model_has_a_configuration() -> None:
    assert CONFIGS.keys() == set(KINDS)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_every_key_is_documented(config: type) -> None:
    documented = "".join(one.__doc__ or "" for one in config.__mro__)
    told = (line.split(" : ")[0] for line in documented.splitlines() if " : " in line)
    names = (name.strip() for line in told for name in line.split(","))
    assert set(config.model_fields) <= set(names)


def test_a_configuration_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nn_steps: 3\nbatch_size: 1\nlearning_rate: 0.1\ncompact: {widths: [4, 8], blocks: [1, 1]}\n"
    )
    assert load_config("synthesis", str(file)).compact == CompactConfig(widths=(4, 8), blocks=(1, 1))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("n_steps: -1", "'n_steps'"),
        ("n_layers: 1", "'n_steps'"),
        ("n_steps: 1\ncolour: red", "'colour'"),
        ("n_steps: 1\ncompact: {widths: [a]}", "'compact.widths.0'"),
        ("n_steps: 1\ncompact: {colour: red}", "'compact.colour'"),
        ("n_steps: 1\ncompact: {widths: [4, 8], blocks: [1]}", "2 widths and 1 numbers of blocks"),
        ("n_steps: 1\npatch_voxels: 30", "30 is no multiple of 8"),
        ("n_steps: 1\narchitecture: huge", "'architecture'"),
        ("{", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\nbatch_size: 1\nlearning_rate: 0.1\n{line}\n")
    with pytest.raises(ModelError, match=said) as refusal:
        load_config("synthesis", str(file))
    assert refusal.value.remedy


def test_an_unknown_configuration_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no configuration 'huge'") as refusal:
        load_config("synthesis", "huge")
    known = sorted(file.stem.removeprefix("synthesis_") for file in SHIPPED.glob("synthesis_*.yaml"))
    assert ", ".join(known) in refusal.value.remedy


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="no kind"):
        load_config("segmentation", "demo")


def test_a_run_is_another_one_when_anything_that_matters_differs() -> None:
    first = run_id("synthesis", synthesis(), FACTS)
    assert first == run_id("synthesis", synthesis(name="renamed"), FACTS)
    assert len(first) == 16
    others = {run_id("synthesis", synthesis(seed=1), FACTS), run_id("text_encoder", synthesis(), FACTS)}
    others |= {run_id("synthesis", synthesis(), {**FACTS, name: "other"}) for name in FACTS}
    assert first not in others
    assert len(others) == 2 + len(FACTS)


def test_the_loop_gets_what_the_configuration_says() -> None:
    settings = synthesis(seed=5, clip=2.0, kernel_rate=0.03).fit_settings("cpu", "bf16")
    assert (settings.seed, settings.clip, settings.precision, settings.device) == (5, 2.0, "bf16", "cpu")
    assert settings.kernel_rate == 0.03


def test_patches_are_changed_as_the_configuration_says_and_those_that_measure_are_not() -> None:
    wanted = {
        "several_share": 0.6,
        "field_dropout": 0.2,
        "source_dropout": 0.3,
        "gamma": 0.4,
        "stretch": 0.2,
        "noise": 0.5,
        "bias": 0.1,
        "drawn_settings": 0.7,
    }
    config = synthesis(**wanted)
    assert asdict(config.changes) == wanted
    assert not any(asdict(config.unchanged).values())


@pytest.mark.parametrize(("name", "size", "value"), [("compact", "n_knots", 5), ("reference", "channels", 16)])
def test_architecture_that_is_chosen_is_described_for_the_embeddings_at_hand(name: str, size: str, value: int) -> None:
    sizes = synthesis(architecture=name, compact={"n_knots": 5}, reference={"channels": 16}).sizes(77)
    assert (sizes["name"], sizes["embedding_width"], sizes[size]) == (name, 77, value)
