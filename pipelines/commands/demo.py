"""`tumsyn demo`: miniatures of every layout, and the real samples where they are, from folders to a catalogue."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.ingest import ingest_centers
from pipelines.commands.output import note
from warehouse.errors import TumsynError
from warehouse.home import Home

if TYPE_CHECKING:
    from warehouse.registry import Center

QUICK = ("ixi", "lemon", "oasis3")
OPEN_MS = {"open_ms_real": "open_ms_longitudinal", "open_ms_real_mni": "open_ms_cross_sectional_mni"}  # centre: folder
ROOT = Path(__file__).resolve().parent.parent.parent


class Profile(StrEnum):
    """How much of the demonstration runs."""

    FULL = "full"
    QUICK = "quick"


def demo(
    ctx: typer.Context,
    profile: Annotated[Profile, typer.Option(help="full: everything; quick: three miniatures, for CI.")] = Profile.FULL,
) -> None:
    """Make a catalogue of simulated miniatures, and of the real samples in TUMSYN_SAMPLES where they are.

    Everything is written into the home. What was made before and has not changed is not made again.
    """
    home: Home = ctx.obj
    names = register_miniatures(home, QUICK if profile is Profile.QUICK else None)
    if profile is Profile.FULL:
        names += register_samples(home, samples_folder())
    ingest_centers(home, names)
    _tell_what_next(home)


def samples_folder() -> Path:
    """Return the folder of real samples: `TUMSYN_SAMPLES`, or ``../shared/data`` beside the checkout."""
    return Path(os.environ.get("TUMSYN_SAMPLES") or ROOT.parent / "shared" / "data").expanduser()


def register_miniatures(home: Home, names: tuple[str, ...] | None = None) -> list[str]:
    """Build a miniature of each shipped layout and register it as what it is: simulated."""
    from warehouse import miniature
    from warehouse.registry import register, shipped

    wanted = list(names or shipped())
    for name in wanted:
        center = shipped()[name]
        build = partial(miniature.build, name)
        made_of = [*Path(miniature.__file__).parent.glob("*.py"), ROOT / "warehouse" / "centers" / f"{name}.yaml"]
        root = home.root / "demo-sources" / name
        _make_once(root, _digest(made_of), build)
        register(home, _simulated(center), root)
    return wanted


def register_samples(home: Home, samples: Path) -> list[str]:
    """Register the real samples: eight datasets without image content, and three sets of images."""
    from warehouse.registry import Center, Layout, register, shipped

    if not samples.is_dir():
        note(f"no real samples in {samples}; set TUMSYN_SAMPLES to their folder to have them too")
        return []
    found: dict[str, tuple[Center, Path]] = {}
    archives = sorted((samples / "metadata").glob("*.tar.xz"))
    script = samples / "unpack.py"
    if archives and script.is_file():
        unpacked = home.root / "samples"
        _make_once(unpacked, _digest([script, *archives]), partial(_unpack, script))
        for path in archives:
            name = path.name.removesuffix(".tar.xz")
            bids = Center(
                center_id=name, title=f"OpenNeuro {name} (metadata)", license="CC0", layout=Layout(kind="bids")
            )
            found[name] = (bids, unpacked / name)
    for name, folder in OPEN_MS.items():
        center = shipped()["open_ms"].model_copy(update={"center_id": name})
        found[name] = (center, samples / "images" / folder)
    vendor = Center(center_id="vendor_t1w", title="T1w of three vendors' test sets", layout=Layout(kind="bids"))
    found["vendor_t1w"] = (vendor, samples / "images" / "vendor_t1w")
    present = {name: entry for name, entry in found.items() if entry[1].is_dir()}
    for center, root in present.values():
        register(home, center, root)
    return list(present)


def _simulated(center: Center) -> Center:
    return center.model_copy(update={"is_simulated": True, "title": f"{center.title} (simulated miniature)"})


def _make_once(folder: Path, token: str, make: Callable[[Path], object]) -> None:
    """Make a folder, unless it is there and was made of the same things.

    It is made beside its place and renamed, so that an interrupted demo never leaves half of it.
    """
    mark = folder.parent / f".{folder.name}.made-of"
    if folder.is_dir() and mark.is_file() and mark.read_text() == token:
        return
    temporary = folder.parent / f".{folder.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    note(f"making {folder}")
    make(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    mark.write_text(token)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _unpack(script: Path, folder: Path) -> None:
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TumsynError(f"{script} failed: {done.stderr.strip()[-500:]}", "mend the samples, or unset TUMSYN_SAMPLES")


def _tell_what_next(home: Home) -> None:
    command, place = _short(Path(sys.executable).with_name("tumsyn")), _short(home.root)
    typer.echo(
        f"""
The catalogue is in {place}/warehouse, its sources and the lake beside it. Three things to try next:

  {command} --home {place} sql "SELECT center_id, contrast_label, count(*) AS n_images FROM out.image_catalog \\
      WHERE eligibility = 'eligible' GROUP BY ALL ORDER BY ALL"
  {command} --home {place} sql "SELECT path, reason, detail, mend FROM core.rejection"
  {command} --home {place} ui"""
    )


def _short(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    import shlex

    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
