"""Define `tumsyn synthesize`, which turns a scan into the contrast that a prompt asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.output import note
from pipelines.commands.train import DeviceOption
from warehouse.errors import ModelError

ENDINGS = (".nii", ".nii.gz")


def synthesize(
    ctx: typer.Context,
    image: Annotated[
        Path, typer.Argument(metavar="IN.nii.gz", help="One volume of a head, NIfTI, in any orientation.")
    ],
    prompt: Annotated[str, typer.Option(help='Wanted scan, e.g. "Modality: T2w; TE: 90 ms; Voxel size: (1, 1, 1)".')],
    out: Annotated[Path, typer.Option(metavar="OUT.nii.gz", help="File to write; an existing one is not overwritten.")],
    source_prompt: Annotated[str | None, typer.Option(help="Prompt of the scan itself, as far as it is known.")] = None,
    brain_mask: Annotated[
        Path | None,
        typer.Option(metavar="MASK.nii.gz", help="Brain mask on the scan's grid; default: found in the scan."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Identity or folder; default: the champion, else shipped weights."),
    ] = None,
    device: DeviceOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
) -> None:
    """Turn a scan into the contrast that a prompt asks for.

    The result has the scan's grid, or the voxel size that the prompt asks for (mm) over the same field of view.
    Intensities are 0 where there is no signal and 1000 at the median of the brain. The header says that the result is
    synthetic. It is not for diagnosis.
    """
    _refuse_output(image, out, force)
    from model import synthesize as make
    from warehouse.imaging.nifti import read_header

    made = make(
        image, prompt, source_prompt=source_prompt, brain_mask=brain_mask, model=model, home=ctx.obj, device=device
    )
    for _, doubt in read_header(str(image)).doubts:
        note(f"{image}: {doubt}")
    _write(made.to_bytes(), out)
    description = bytes(made.header["descrip"]).rstrip(b"\0").decode()
    note(f"{description} -> {out}")


def _refuse_output(image: Path, out: Path, force: bool) -> None:
    """Refuse an output before anything is computed."""
    if not out.name.endswith(ENDINGS):
        raise ModelError(f"{out} is not the name of a NIfTI file", "give a name that ends in .nii or .nii.gz")
    if out.exists() and image.exists() and out.samefile(image):
        raise ModelError(f"{out} is the scan itself", "give another --out; a scan is never overwritten")
    if out.exists() and not force:
        raise ModelError(f"{out} exists", "give another --out, or --force to overwrite it")
    if not out.parent.is_dir():
        raise ModelError(f"{out.parent} is not a folder", "make it, or give another --out")


def _write(content: bytes, out: Path) -> None:
    from warehouse.lake import atomic
    from warehouse.volumes.export import compress

    temporary = atomic.temporary_beside(out)
    temporary.write_bytes(compress(content) if out.name.endswith(".gz") else content)
    atomic.move(temporary, out)
