"""Define `tumsyn synthesize`, which turns scans of a head into the contrast that a prompt asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.output import Format, note, show
from pipelines.commands.train import DeviceOption
from pipelines.runtime.progress import clean, shown_progress

if TYPE_CHECKING:
    from model.inference.batch import Outcome, Row
    from model.inference.from_scans import Made
    from warehouse.lake.home import Home


def synthesize(
    ctx: typer.Context,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IN.nii.gz", help="Scans of one head, NIfTI, in any orientation.", show_default=False),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help='Wanted scan, e.g. "Modality: T2w; TE: 90 ms; Voxel size: (1, 1, 1)".')
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="OUT.nii.gz", help="File to write, or a folder in which it gets a BIDS name."),
    ] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="REF.nii.gz", help="Scan in the same world whose grid the result gets.")
    ] = None,
    source_prompt: Annotated[
        list[str] | None,
        typer.Option(help="Prompt of each scan, as far as it is known; default: sidecar, file name, or the image."),
    ] = None,
    brain_mask: Annotated[
        list[Path] | None,
        typer.Option(metavar="MASK.nii.gz", help="Brain mask on each scan's grid; default: found in the scan."),
    ] = None,
    already_harmonised: Annotated[
        bool,
        typer.Option(
            "--already-harmonised", help="Use voxels as they are; the brain is what is not zero, or the given mask."
        ),
    ] = False,
    maps: Annotated[
        bool, typer.Option("--maps", help="Write maps of PD, T1, T2 and T2* (s) too, where the model makes them.")
    ] = False,
    batch: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv",
            help="Make one scan per row of a table; columns input, prompt, out, like, source_prompt, brain_mask.",
        ),
    ] = None,
    max_memory: Annotated[
        float | None,
        typer.Option(
            metavar="GB", help="Memory of the network, GB; larger volumes are made in tiles. Default: half the free."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Identity or folder; default: the champion, else shipped weights."),
    ] = None,
    device: DeviceOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
) -> None:
    """Turn scans of a head into the contrast that a prompt asks for.

    The result has the first scan's grid, that of --like, or the voxel size that the prompt asks for (mm) over the first
    scan's field of view. Intensities are 0 where there is no signal and 1000 at the median of the brain. Header and
    sidecar say that the result is synthetic. It is not for diagnosis.
    """
    from model.inference.from_scans import loader, make

    home: Home = ctx.obj
    load = loader(home, model, device, max_memory)
    if batch is not None:
        if images or prompt or out or like or source_prompt or brain_mask:
            raise typer.BadParameter("--batch takes scans, prompts and outputs from the table alone")

        def make_row(row: Row) -> Made:
            return make(
                list(row.inputs),
                row.prompt,
                model=load,
                home=home,
                source_prompts=row.source_prompts,
                brain_masks=row.brain_masks,
                like=row.like,
                is_harmonised=already_harmonised,
                with_maps=maps,
            )

        _make_table(batch, make_row, force=force, is_harmonised=already_harmonised, with_maps=maps)
        return
    if not images or prompt is None or out is None:
        absent = "a scan" if not images else "--prompt" if prompt is None else "--out"
        raise typer.BadParameter(f"{absent} is missing; or name a table with --batch")
    from model.inference.outputs import out_file, refuse_output, write
    from model.inference.request import as_record

    place = out_file(out, images[0], as_record(prompt))
    read = [*images, *(brain_mask or []), *([like] if like else [])]
    refuse_output(place, read, force=force, with_maps=maps)
    with shown_progress() as progress:
        made = make(
            images,
            prompt,
            model=load,
            home=home,
            source_prompts=source_prompt or [],
            brain_masks=brain_mask or [],
            like=like,
            is_harmonised=already_harmonised,
            with_maps=maps,
            progress=progress,
        )
    files = write(made, place)
    _tell(made)
    description = bytes(made.image.header["descrip"]).rstrip(b"\0").decode()
    note(clean(f"{description} -> {', '.join(map(str, files[::-1]))}"))


def _tell(made: Made) -> None:
    """Print which values were used for each scan and for the request, the model, and warnings."""
    from model.inference.request import LABELS, described

    for one in made.inputs:
        contrast = [] if one.known.record.contrast else ["contrast unknown"]
        note(clean(f"{one.name}: {'; '.join([*contrast, *described(one.known.record, one.known.origins)])}"))
    request = made.request
    unknown = [f"unknown: {', '.join(LABELS[name] for name in request.missing)}"] if request.missing else []
    note(clean(f"asked for: {'; '.join([*described(request.record, request.origins), *unknown])}"))
    if made.chosen:
        note(clean(f"model {made.model_id}: {made.chosen}"))
    for warning in made.warnings:
        note(clean(f"warning: {warning}"))


def _make_table(batch: Path, make_row: Callable[[Row], Made], **options: bool) -> None:
    """Synthesise the scan of each row of a table, and print the outcomes.

    Raises
    ------
    typer.Exit
        With status 1, when a row failed.
    """
    from model.inference.batch import read_table, run

    rows = read_table(batch)
    with shown_progress() as progress:
        outcomes = list(run(rows, make_row, progress=progress("synthesize"), **options))
    _show(outcomes)
    for one in outcomes:
        if one.status == "failed":
            note(clean(f"line {one.line} failed: {one.detail}"))
    counts = {status: sum(one.status == status for one in outcomes) for status in ("made", "skipped", "failed")}
    note(", ".join(f"{count} {status}" for status, count in counts.items()))
    if counts["failed"]:
        raise typer.Exit(1)


def _show(outcomes: list[Outcome]) -> None:
    import pyarrow as pa

    columns = ("line", "status", "out", "detail")
    show(pa.table({name: [getattr(one, name) for one in outcomes] for name in columns}), Format.TABLE)
