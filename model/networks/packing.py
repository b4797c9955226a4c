"""Weights to pass on: half the size, with a card that says whose data they are made of and how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.networks.checkpoint import CARD, content_of, read_model, render_card, write_folder
from warehouse.catalog import sqlfiles
from warehouse.catalog.query import Catalogue
from warehouse.errors import ModelError
from warehouse.lake.home import Home

BASELINES = {
    "baseline:start": "model that it began with",
    "baseline:identity": "the source as it is",
    "baseline:intensity_map_train": "map of training people",
    "baseline:intensity_map_oracle": "map fitted on the test volume",
    "baseline:rescan": "another scan of the person",
}


def pack(
    home: Home, path: Path, folder: Path, *, others: str | None = None, remarks: Sequence[str] = ()
) -> tuple[str, Path]:
    """Write a copy of a checkpoint that others may use, with the numbers in float16.

    The copy is another model, since its weights are rounded; its configuration names the one that it is of.

    Parameters
    ----------
    home : Home
        Whose published catalogue knows the people and the scores.
    path : Path
        Folder of the checkpoint.
    folder : Path
        Where the copy goes; it must be absent.
    others : str, optional
        Whose data, under which terms, people are of whom the catalogue does not know, as those of a text encoder that
        was trained in another home.
    remarks : sequence of str
        What else the card shall say, as a cross-validation that the home's scores do not show.

    Returns
    -------
    model_id : str
        Of the copy.
    path : Path
        Its folder.

    Raises
    ------
    ModelError
        When the checkpoint is damaged, a weight is beyond float16, nobody knows the people that the model has learned
        from or the terms of their data, or the folder exists.
    CatalogueError
        When nothing is published.
    """
    config, tensors = read_model(path)
    original = str(config.pop("model_id"))
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    people = (config.get("trained_on") or {}).get("people") or []
    with Catalogue(home).connect() as connection:
        found = _rows(connection, "sources", {"people": people})
        quality = _rows(connection, "quality", {"model_id": original})
    sources = _sources(found, len(people), others)
    told = {
        "Copy": f"Weights of model {original}, rounded to float16.",
        "Data": sources,
        "Measured quality": _table(quality, original),
        **({"Remarks": list(remarks)} if remarks else {}),
    }
    kind = str(config["kind"])
    model_id, files = content_of(kind, halved, config | {"packed_of": original})
    card = render_card(model_id, kind, told) + "\n" + (path / CARD).read_text(encoding="utf-8").partition("\n\n")[2]
    if folder.exists():
        raise ModelError(f"{folder} exists", "remove it, or name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_folder(folder, {**files, CARD: card.encode()})
    return model_id, folder


def _sources(rows: Sequence[Mapping[str, Any]], n_people: int, others: str | None) -> list[str]:
    """Return a line for each centre with the terms of its data."""
    without = [row["center_id"] for row in rows if not (row["is_simulated"] or (row["license"] and row["citation"]))]
    if without:
        what = f"nobody has said under which terms the data of {', '.join(without)} may be used"
        raise ModelError(what, "write license and citation into the centre's definition, ingest and publish it")
    n_unknown = n_people - sum(row["n_people"] for row in rows)
    if n_unknown and not others:
        what = f"the catalogue does not know {n_unknown} of the {n_people} people that the model has learned from"
        raise ModelError(what, "pack it in the home in which it was trained, or say with --others whose data they are")
    return [_source(row) for row in rows] + ([f"{others} ({n_unknown} people)"] if n_unknown else [])


def _source(row: Mapping[str, Any]) -> str:
    n_people = row["n_people"]
    who = f"{row['title']}: {n_people} {'person' if n_people == 1 else 'people'}"
    return f"{who}, simulated." if row["is_simulated"] else f"{who}; {row['license']}; {row['citation']}"


def _table(rows: Sequence[Mapping[str, Any]], model_id: str) -> str:
    """Return dB and SSIM of the model and of what the same pairs give without it, as a table in Markdown."""
    if not rows:
        return "No evaluation of it is published."
    shown = {model_id: "model", **BASELINES}
    cells: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        key = (str(row["task"]), str(row["split"]), str(row["form"] or "session"), str(row["protocol_hash"]))
        cells.setdefault(key, {})[row["model_id"]] = row
    present = [one for one in shown if any(one in cell for cell in cells.values())]
    lines = [
        "PSNR in dB / SSIM in the brain, means over people, as made; before float16 was rounded to.\n",
        f"| task | split | form | protocol | people | {' | '.join(shown[one] for one in present)} |",
        f"|---|---|---|---|---:|{'---:|' * len(present)}",
    ]
    for which, cell in cells.items():
        figures = [f"{cell[one]['psnr_db']:.1f} / {cell[one]['ssim']:.2f}" if one in cell else "" for one in present]
        n_people = max(row["n_people"] for row in cell.values())
        lines.append(f"| {' | '.join(which)} | {n_people} | {' | '.join(figures)} |")
    return "\n".join(lines)


def _rows(connection: Any, query: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    sql = sqlfiles.read(f"models/{query}")
    found: list[dict[str, Any]] = connection.sql(sql, params=dict(parameters)).to_arrow_table().to_pylist()
    return found
