"""Read YAML documents into typed models; errors name the file, the key and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from warehouse.errors import TumsynError

Model = TypeVar("Model", bound=BaseModel)


def shipped_or_own(kind: str, name_or_path: str, folder: Path, prefix: str = "", error: type = TumsynError) -> Path:
    """Return the path of a shipped document, given its name, or of the user's own, given its path.

    Parameters
    ----------
    kind : str
        Kind of document, for the message, e.g. ``recipe``.
    folder : Path
        Holds ``<prefix><name>.yaml``.
    error : type of TumsynError

    Raises
    ------
    TumsynError
        Of type `error`, when there is no such file; the message lists the shipped names.
    """
    path = folder / f"{prefix}{name_or_path}.yaml"
    if not path.exists():
        path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(file.stem.removeprefix(prefix) for file in folder.glob(f"{prefix}*.yaml")))
        raise error(f"no {kind} {name_or_path!r}", f"give one of {known}, or the path of a YAML file")
    return path


def read_yaml(path: Path, error: type = TumsynError) -> object:
    """Return the content of a YAML file.

    Raises
    ------
    TumsynError
        Of type `error`, when it cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise error(f"{path} cannot be read: {reason.strerror}", "give the path of a YAML file") from reason
    except (UnicodeDecodeError, yaml.YAMLError) as reason:
        raise error(f"{path}: cannot be read: {reason}", "correct the file; it must be UTF-8 YAML") from reason


def validated(model: type[Model], document: object, path: Path, form: str, error: type = TumsynError) -> Model:
    """Validate a document and return it as a model.

    Parameters
    ----------
    path : Path
        File of the document, for the message.
    form : str
        File that describes the keys, for the message.

    Raises
    ------
    TumsynError
        Of type `error`, when it does not validate; the message names file, key and value.
    """
    try:
        return model.model_validate(document)
    except ValidationError as reason:
        raise error(f"{path}: {first_fault(reason)}", f"correct that key; {form} shows the form") from reason


def first_fault(reason: ValidationError) -> str:
    """Return the first fault of a document in the words of a user: its key, what is wrong, and what was found."""
    first = reason.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    if first["type"] == "extra_forbidden":
        return f"key '{key}' is not known"
    if not first["loc"] and first["type"] in ("model_type", "dict_type"):
        return f"key '{key}': must consist of keys and their values"
    found = "" if isinstance(first["input"], (dict, list)) else f" (found {first['input']!r:.80})"
    return f"key '{key}': {first['msg'].removeprefix('Value error, ')}{found}"
