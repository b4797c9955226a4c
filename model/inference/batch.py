"""Many syntheses by one table: each row has an outcome, and what is finished is not made again."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.inference.from_scans import Made, asked_hash
from model.inference.outputs import out_file, read_own_sidecar, refuse_output, write
from model.inference.request import as_record
from warehouse.errors import ModelError, TumsynError

NEEDED = ("input", "prompt", "out")
OPTIONAL = ("like", "source_prompt", "brain_mask")
SEPARATOR = ";"  # of several inputs, masks or source prompts; a prompt's own semicolons are written | in source_prompt
# Of one row, such as a scan that is too large for the memory; a signal that stops the command is none of them.
FAILURES = (ValueError, OSError, RuntimeError, MemoryError, ArithmeticError, LookupError, TypeError)
Status = Literal["made", "skipped", "failed"]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Parameters
    ----------
    line : int
        Of the file, the header being 1.
    inputs : tuple of Path
    prompt : str
    out : Path
    like : Path or None
    source_prompts : tuple of str
        Of the inputs, in order; an empty one says nothing.
    brain_masks : tuple of (Path or None)
        Of the inputs, in order.
    """

    line: int
    inputs: tuple[Path, ...]
    prompt: str
    out: Path
    like: Path | None = None
    source_prompts: tuple[str, ...] = ()
    brain_masks: tuple[Path | None, ...] = ()

    @property
    def read_files(self) -> list[Path]:
        """Every file that is read for it."""
        return [*self.inputs, *(mask for mask in self.brain_masks if mask), *([self.like] if self.like else [])]


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Parameters
    ----------
    line : int
    status : {"made", "skipped", "failed"}
    out : str
    detail : str
        Why it failed or was skipped, or the warnings.
    """

    line: int
    status: Status
    out: str
    detail: str = ""


def read_table(path: Path) -> list[Row | Outcome]:
    """Read a table of syntheses; a row that cannot be understood is an outcome already.

    Parameters
    ----------
    path : Path
        CSV with a header, in UTF-8; or separated by tabs where its name ends in .tsv. Columns are `NEEDED` and
        `OPTIONAL`. Paths are relative to the folder of the table.

    Raises
    ------
    ModelError
        When it cannot be read, has no rows, or lacks a column or has an unknown one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            table = [(lines.line_num, [cell.strip() for cell in cells]) for cells in lines]
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", "give the path of a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{path} is no table: {error}", "save it as CSV in UTF-8") from error
    table = [(line, cells) for line, cells in table if any(cells)]
    if not table:
        raise ModelError(f"{path} is empty", f"give a header ({','.join(NEEDED)}) and a row for each synthesis")
    names = [name.lower() for name in table[0][1]]
    absent, unknown = set(NEEDED) - set(names), set(names) - {*NEEDED, *OPTIONAL}
    if absent or unknown or len(set(names)) < len(names):
        faults = [f"lacks {', '.join(sorted(absent))}"] if absent else []
        faults += [f"has unknown columns: {', '.join(sorted(unknown))}"] if unknown else []
        faults += ["names a column twice"] if len(set(names)) < len(names) else []
        remedy = f"columns are {', '.join(NEEDED)}, and optionally {', '.join(OPTIONAL)}"
        raise ModelError(f"{path} {' and '.join(faults)}", remedy)
    if len(table) == 1:
        raise ModelError(f"{path} has a header and no rows", "give a row for each synthesis")
    return [_row(line, names, cells, path.parent) for line, cells in table[1:]]


def run(
    rows: list[Row | Outcome],
    make: Callable[[Row], Made],
    *,
    force: bool = False,
    is_harmonised: bool = False,
    with_maps: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, item: None,
) -> Iterator[Outcome]:
    """Make what a table asks for, and yield the outcome of each row in its order; an error ends its row only.

    Parameters
    ----------
    rows : list
        As `read_table` returns them.
    make : callable
        Makes the synthetic scan of a row.
    force : bool
        Whether to make again what exists.
    is_harmonised, with_maps : bool
        As in `model.inference.from_scans.make`.
    progress : callable, optional
        Is called with done, total and the current output.
    """
    taken: dict[Path, int] = {}
    for number, row in enumerate(rows):
        if isinstance(row, Outcome):
            yield row
            continue
        progress(number, len(rows), row.out.name)
        try:
            out = out_file(row.out, row.inputs[0], as_record(row.prompt))
            before = taken.setdefault(out.absolute(), row.line)
            if before != row.line:
                raise ModelError(f"line {before} of the table writes the same file", "give each row an out of its own")
            if not force and _is_finished(row, out, is_harmonised, with_maps):
                outcome = Outcome(row.line, "skipped", str(out), "it was made before, of the same files and prompt")
            else:
                refuse_output(out, row.read_files, force=force, with_maps=with_maps)
                made = make(row)
                write(made, out)
                outcome = Outcome(row.line, "made", str(out), "; ".join(made.warnings))
        except FAILURES as error:
            outcome = Outcome(row.line, "failed", str(row.out), _told(error))
        yield outcome
    progress(len(rows), len(rows), "")


def _row(line: int, names: list[str], cells: list[str], folder: Path) -> Row | Outcome:
    found = dict(zip(names, cells, strict=False))
    out = found.get("out", "")
    if len(cells) > len(names):
        return Outcome(line, "failed", out, f"the row has {len(cells)} cells for {len(names)} columns: quote commas")
    if empty := [name for name in NEEDED if not found.get(name)]:
        return Outcome(line, "failed", out, f"the row has no {' and no '.join(empty)}")
    inputs = [folder / part.strip() for part in found["input"].split(SEPARATOR) if part.strip()]
    if not inputs:
        return Outcome(line, "failed", out, "the row has no input")
    said, masks = found.get("source_prompt", ""), found.get("brain_mask", "")
    prompts = [said] if len(inputs) == 1 else [part.strip().replace("|", ";") for part in said.split(SEPARATOR)]
    places = [folder / part.strip() if part.strip() else None for part in masks.split(SEPARATOR)] if masks else []
    like = folder / found["like"] if found.get("like") else None
    return Row(line, tuple(inputs), found["prompt"], folder / out, like, tuple(prompts) if said else (), tuple(places))


def _is_finished(row: Row, out: Path, is_harmonised: bool, with_maps: bool) -> bool:
    """Return whether a result exists that the same row made of the same files."""
    fields = read_own_sidecar(out) if out.is_file() else None
    if fields is None or not all(path.is_file() for path in row.read_files):
        return False
    words = row.prompt, row.source_prompts, row.brain_masks, row.like
    return fields.get("RequestSha256") == asked_hash(row.inputs, *words, is_harmonised, with_maps)


def _told(error: Exception) -> str:
    if isinstance(error, TumsynError):
        return f"{error.what} -> {error.remedy}" if error.remedy else error.what
    return f"{type(error).__name__}: {error}"
