"""Checkpoints: weights, configuration and model card, in a folder that is named by the hash of its content."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.errors import ModelError
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.lake.migration import current_keys

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 2  # 1: networks of intensities from 0 to 1, by percentiles of the head
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "model_card.md"
ID_DIGITS = 16


def save_model(
    home: Home, kind: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: Mapping[str, Any]
) -> tuple[str, Path]:
    """Write a checkpoint atomically; the same content is written once.

    Parameters
    ----------
    home : Home
    kind : {"text_encoder", "synthesis"}
    tensors : mapping of str to Tensor
        Weights by name, on any device.
    config : mapping
        JSON values: architecture, data_id, snapshot_id, recipe_id, grid_mm, training_code, seed, run_id …
    card : mapping
        Headings to text, lists, or mappings of figures; written as Markdown and not part of the identity.

    Returns
    -------
    model_id : str
        First 16 hexadecimal digits of the hash of weights and configuration.
    path : Path
        ``<home>/models/<model_id>``.

    Raises
    ------
    ModelError
        When a weight is not finite, or JSON cannot represent the configuration.
    """
    model_id, files = content_of(kind, tensors, config)
    path = home.models / model_id
    if path.exists() and not _is_whole(path):
        shutil.rmtree(path)
    if not path.exists():
        write_folder(path, {**files, CARD: render_card(model_id, kind, card).encode()})
    return model_id, path


def content_of(kind: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> tuple[str, dict[str, bytes]]:
    """Return the identity of a checkpoint, and its files but the card; parameters are those of `save_model`.

    Raises
    ------
    ModelError
        When a weight is not finite, or JSON cannot represent the configuration.
    """
    from safetensors.torch import save

    _refuse_not_finite(tensors)
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    facts = {**config, "kind": kind, "format_version": FORMAT_VERSION, "weights_sha256": _sha256(weights)}
    model_id = _identity(facts)
    named = {"model_id": model_id, **facts}
    text = json.dumps(named, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return model_id, {WEIGHTS: weights, CONFIG: text.encode()}


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a checkpoint and verify its hashes.

    Returns
    -------
    config : dict
        As it was saved, with `model_id`, `kind`, `format_version` and `weights_sha256`.
    tensors : dict of str to Tensor
        Weights by name, on the CPU.

    Raises
    ------
    ModelError
        When it is absent, damaged, or has another format version.
    """
    from safetensors.torch import load

    config = read_config(path)
    weights = _read_bytes(path / WEIGHTS)
    if _sha256(weights) != config["weights_sha256"]:
        raise _damaged(path / WEIGHTS, "its hash differs from the one in config.json")
    return config, load(weights)


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration of a checkpoint without its weights; see `read_model`."""
    file = Path(path) / CONFIG
    try:
        config = json.loads(_read_bytes(file))
    except ValueError as error:
        raise _damaged(file, f"it is not valid JSON: {error}") from error
    if not isinstance(config, dict) or "format_version" not in config:
        raise _damaged(file, "it has no format_version")
    if config["format_version"] != FORMAT_VERSION:
        what = f"{path} has format version {config['format_version']!r}, but this version reads {FORMAT_VERSION}"
        raise ModelError(what, "use the version of this project that wrote it, or train the model again")
    if config.get("model_id") != _identity(config):
        raise _damaged(file, "its hash differs from its model_id")
    return dict(current_keys(config))


def render_card(model_id: str, kind: str, card: Mapping[str, Any]) -> str:
    """Return a model card in Markdown: one heading per key; mappings become tables."""
    parts = [f"# {kind.replace('_', ' ').capitalize()} {model_id}\n"]
    for heading, content in card.items():
        parts.append(f"## {heading}\n\n{_markdown(content)}\n")
    return "\n".join(parts)


def _markdown(content: Any) -> str:
    if isinstance(content, Mapping):
        rows = [f"| {name} | {_figure(value)} |" for name, value in content.items()]
        return "\n".join(["| | |", "|---|---|", *rows])
    if isinstance(content, (list, tuple)):
        return "\n".join(f"* {item}" for item in content)
    return str(content)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _identity(facts: Mapping[str, Any]) -> str:
    identified = {key: facts[key] for key in facts if key != "model_id"}
    try:
        text = json.dumps(identified, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        what = f"JSON cannot represent the configuration of a model: {error}"
        raise ModelError(what, "give numbers, texts, lists and mappings") from error
    return _sha256(text.encode())[:ID_DIGITS]


def _is_whole(path: Path) -> bool:
    try:
        read_model(path)
    except ModelError:
        return False
    return True


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a checkpoint, all or none of them; an equal one that stands there already is kept.

    Raises
    ------
    OSError
        When something else stands there.
    """
    temporary = atomic.temporary_beside(path)
    temporary.mkdir()
    for name, content in files.items():
        (temporary / name).write_bytes(content)
        atomic.fsync(temporary / name)
    try:
        temporary.rename(path)
    except OSError:
        shutil.rmtree(temporary)
        if not _is_whole(path):  # it is whole if another process has written the same checkpoint
            raise
    atomic.fsync(path.parent)


def _refuse_not_finite(tensors: Mapping[str, Tensor]) -> None:
    broken = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        what = f"weights are not finite: {', '.join(broken[:3])}"
        raise ModelError(what, "lower the learning rate and train the model again")


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        what = f"there is no model in {file.parent}: {file.name} is absent"
        raise ModelError(what, "name another one, or train one with `tumsyn train`") from error
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error}", "check the disk and the file's permissions") from error


def _damaged(file: Path, why: str) -> ModelError:
    return ModelError(f"{file} is damaged: {why}", "restore it from a copy, or train the model again")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
