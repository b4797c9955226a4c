"""Define `tumsyn centers`, which registers, checks and lists the datasets of a home."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.commands.output import Format, FormatOption, OutputOption, note, show
from pipelines.runtime.progress import clean
from warehouse.errors import CenterError, LayoutError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from warehouse.centers.registry import Center, RegisteredCenter
    from warehouse.ingest import Examined

app = typer.Typer(help="Datasets of this home: list, register, check and remove them.", no_args_is_help=True)

CenterArgument = Annotated[str, typer.Argument(metavar="CENTER", help="Identifier, e.g. adni.")]


@app.command("list")
def list_centers(ctx: typer.Context, form: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the registered centres, and the shipped definitions that are not registered."""
    import pyarrow as pa

    from warehouse.centers.registry import registered, shipped

    mine = registered(ctx.obj)
    centers = {**shipped(), **{name: entry.center for name, entry in mine.items()}}
    rows = [
        {
            "center_id": name,
            "title": center.title,
            "role": center.role,
            "is_simulated": center.is_simulated,
            "layout": center.layout.kind,
            "contrasts": " ".join(center.contrasts),
            "layout_unverified": center.layout_unverified,
            "root": str(mine[name].root) if name in mine else None,
        }
        for name, center in sorted(centers.items(), key=lambda item: (item[0] not in mine, item[0]))
    ]
    kinds = {name: pa.bool_() if name == "is_simulated" else pa.string() for name in rows[0]}
    show(pa.Table.from_pylist(rows, pa.schema(list(kinds.items()))), form, output)
    if not mine:
        note("no centre is registered; `tumsyn centers add CENTER --root DIR` registers one")


@app.command()
def add(
    ctx: typer.Context,
    center: CenterArgument,
    root: Annotated[Path | None, typer.Option(help="Folder of the dataset, which is only read.")] = None,
    layout: Annotated[
        Literal["bids"] | None, typer.Option(help="bids: the folder is a BIDS dataset, and any identifier is accepted.")
    ] = None,
    definition: Annotated[Path | None, typer.Option(help="YAML that describes the dataset.")] = None,
    title: Annotated[str | None, typer.Option(help="Name of the dataset.")] = None,
    role: Annotated[
        Literal["internal", "external"] | None, typer.Option(help="internal: for training; external: for tests only.")
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow symbolic links that leave the folder.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a registered centre.")] = False,
    dicom: Annotated[
        Path | None, typer.Option(help="Folder of DICOM files, which are converted into a BIDS dataset first.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the converted dataset; default: converted/CENTER in the home.")
    ] = None,
) -> None:
    """Register a dataset: a shipped one by its name, any BIDS dataset, DICOM files, or one by your own definition.

    Nothing is read yet: `tumsyn centers check CENTER` shows what an ingest would find, `tumsyn ingest CENTER` reads it.
    """
    from warehouse.centers.registry import register, registered

    home: Home = ctx.obj
    if (root is None) == (dicom is None):
        raise typer.BadParameter("give --root for a dataset, or --dicom for a folder of DICOM files")
    described = _definition(center, "bids" if dicom else layout, definition, title, role)
    if not replace and (present := registered(home).get(center)):
        raise CenterError(f"centre {center} is registered already, at {present.root}", "give --replace to replace it")
    folder = _converted(home, center, dicom, out) if dicom else root
    assert folder is not None  # one of the two is given
    entry = register(home, described, folder, follow_links)
    note(f"registered {center} at {entry.root}; next: tumsyn centers check {center}, then tumsyn ingest {center}")


def _converted(home: Home, center: str, source: Path, out: Path | None) -> Path:
    """Convert DICOM files into a BIDS dataset, and return its folder."""
    from warehouse.ingest.dicom import convert

    made = convert(source, out or home.root / "converted" / center, center, home.salt())
    for line in made.messages[:10]:
        note(f"dcm2niix: {clean(line)}")
    note(f"{made.root}: {len(made.named)} images with a BIDS name, {len(made.unnamed)} series without")
    if made.unnamed:
        note("  those are in sourcedata/unnamed: neither description nor TR, TE and TI determine their contrast")
    return made.root


@app.command()
def remove(ctx: typer.Context, center: CenterArgument) -> None:
    """Remove a centre from this home; its folder is not touched, and published snapshots keep its rows."""
    from warehouse.lake.parts import drop_center

    home: Home = ctx.obj
    chosen(home, [center])
    (home.centers / f"{center}.yaml").unlink()
    drop_center(home, center)
    note(f"removed {center}; the next `tumsyn ingest` publishes a catalogue without it")


@app.command()
def check(
    ctx: typer.Context,
    center: CenterArgument,
    root: Annotated[
        Path | None, typer.Option(help="Folder on which a shipped definition is tried without registering it.")
    ] = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Show what an ingest would find: images, companions, rejections, and contradictions between files.

    Sidecars, tables and headers are read as an ingest reads them; nothing is written.
    """
    import pyarrow as pa

    from warehouse.centers.registry import RegisteredCenter
    from warehouse.ingest import check_center

    entry = RegisteredCenter(_shipped(center), root.expanduser().resolve()) if root else chosen(ctx.obj, [center])[0]
    examined = check_center(ctx.obj, entry)
    rows = _groups(examined)
    names = [("disposition", pa.string()), ("kind", pa.string()), ("n_files", pa.int64()), ("example", pa.string())]
    show(pa.Table.from_pylist(rows, pa.schema(names)), form, output)
    for table in entry.center.layout.participants:
        if not any(next(entry.root.glob(pattern), None) for pattern in table.files):
            note(f"no table of participants matches {' or '.join(table.files)}: ages and sexes will be missing")
    _show_groups("refused", examined.rows["core.rejection"], "reason", "remedy")
    _show_groups("finding", examined.rows["core.finding"], "kind", "remedy")
    if not examined.n_candidates:
        raise LayoutError(
            f"no file under {entry.root} is an image by the layout of {center}",
            "compare the paths above with its patterns",
        )


def _groups(examined: Examined) -> list[dict[str, object]]:
    """Return a row for each kind of image, companion and rejection, with the number of its files."""
    found, groups = examined.found, defaultdict(list)
    for image in found.images:
        groups["image", image.suffix or "unknown"].append(image.entry.path)
    for path, (_, kind) in found.companions.items():
        groups["companion", kind].append(path)
    for path, (_, refusal) in found.refusals.items():
        groups["rejection", refusal.reason].append(path)
    order = ("image", "companion", "rejection")
    return [
        {"disposition": where, "kind": kind, "n_files": len(paths), "example": clean(min(paths))}
        for (where, kind), paths in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), -len(item[1])))
    ]


def _show_groups(what: str, rows: list[dict[str, object]], key: str, remedy: str) -> None:
    """Show the number of rejections or findings of each kind, with one of them in full."""
    groups: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        groups[f"{row[key]} {row['field']}" if row.get("field") else str(row[key])].append(row)
    for kind, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        first = members[0]
        count = f"{len(members):,} × " if len(members) > 1 else ""
        action = f"\n  -> {first[remedy]}" if first[remedy] else ""
        note(f"{what}: {count}{clean(kind)}: {clean(_place_of(first))}: {clean(str(first['detail']))}{action}")


def _place_of(row: dict[str, object]) -> str:
    """Return the place of a rejection or finding: file, row and participant, as far as it has them."""
    parts = (row.get("path"), row.get("row") and f"row {row['row']}", row.get("participant_id"))
    return ", ".join(str(part) for part in parts if part) or "the whole dataset"


def chosen(home: Home, names: list[str]) -> list[RegisteredCenter]:
    """Return the named centres of a home, or all of them.

    Raises
    ------
    CenterError
        When one is not registered, or there is none at all.
    """
    from warehouse.centers.registry import registered

    centers = registered(home)
    if not centers:
        raise CenterError(f"no centre is registered in {home.root}", "tumsyn centers add CENTER --root DIR")
    if unknown := [name for name in names if name not in centers]:
        raise CenterError(f"not registered in {home.root}: {', '.join(unknown)} (there are {', '.join(centers)})",
                          f"tumsyn centers add {unknown[0]} --root DIR")  # fmt: skip
    return [centers[name] for name in dict.fromkeys(names or centers)]


def _shipped(center: str) -> Center:
    from warehouse.centers.registry import shipped

    if center not in shipped():
        raise CenterError(f"no definition of {center!r} ships; there are {', '.join(shipped())}",
                          f"for a BIDS dataset: tumsyn centers add {center} --layout bids --root DIR")  # fmt: skip
    return shipped()[center]


def _definition(
    center: str, layout: Literal["bids"] | None, definition: Path | None, title: str | None, role: str | None
) -> Center:
    from pydantic import ValidationError

    from warehouse.centers.registry import Center, Layout, load_center, shipped
    from warehouse.documents import first_fault

    if layout and definition:
        raise typer.BadParameter("give either --layout or --definition")
    given = {key: value for key, value in {"title": title, "role": role}.items() if value is not None}
    if definition:
        base = load_center(definition).model_dump()
    elif layout and center not in shipped():
        base = {"title": center, "layout": {"kind": "bids"}}
    else:
        base = _shipped(center).model_dump()
        if layout:  # the same dataset, converted: the tests of its own layout do not apply
            base |= {"layout": Layout(kind="bids").model_dump(), "verbatim": [], "layout_unverified": None}
    try:
        return Center.model_validate(base | given | {"center_id": center})
    except ValidationError as error:
        raise CenterError(f"centre {center!r}: {first_fault(error)}", "correct that value") from error
