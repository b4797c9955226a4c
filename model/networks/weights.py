"""Choice of the checkpoint: the named one, else the home's champion, else the shipped weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.networks.checkpoint import CONFIG, read_config
from warehouse.catalog import model_registry
from warehouse.errors import ModelError
from warehouse.lake.home import Home

SHIPPED = Path(__file__).parents[1] / "weights"  # one folder per kind, if this version ships weights
SHORTEST = 4  # shortest prefix of an identity, digits
COARSEST = 1.5  # coarsest grid for a scan, as a multiple of its smallest voxel side, or of 1 mm if that is larger


@dataclass(frozen=True)
class Choice:
    """A checkpoint, and why it is used.

    Parameters
    ----------
    path : Path
    reason : str
        In words, for people.
    """

    path: Path
    reason: str


def resolve(
    home: Home,
    model: str | Path | None,
    kind: str,
    *,
    voxel_mm: float | None = None,
    recipe: str | None = None,
) -> Path:
    """Return the folder of the checkpoint to use; parameters and errors are those of `choose`."""
    return choose(home, model, kind, voxel_mm=voxel_mm, recipe=recipe).path


def choose(
    home: Home,
    model: str | Path | None,
    kind: str,
    *,
    voxel_mm: float | None = None,
    recipe: str | None = None,
) -> Choice:
    """Return the checkpoint to use, and why.

    Parameters
    ----------
    home : Home
    model : str or Path, optional
        Identity of a model of this home or of the one that ships, or a unique prefix of it; ``champion``, ``shipped``,
        or the path of a folder. Default: the home's champion, else the shipped weights.
    kind : {"text_encoder", "synthesis"}
    voxel_mm : float, optional
        Smallest voxel side of scan and result, mm; the grid of a default model must be fine enough for it.
    recipe : str, optional
        Identity of the recipe that a default model must have been trained with.

    Raises
    ------
    ModelError
        When there is no such model, or it is of another kind.
    """
    if model is None:
        choice = _default(home, kind, voxel_mm, recipe)
    else:
        choice = Choice(_named(home, str(model), kind), f"named as {str(model)!r}")
    found = read_config(choice.path)["kind"]
    if found != kind:
        raise ModelError(f"{choice.path} is a model of kind {found}, not {kind}", f"name one of: {_known(home, kind)}")
    return choice


def shipped(kind: str) -> Path | None:
    """Return the folder of the weights of a kind that ship with this version; None where there are none."""
    return SHIPPED / kind if (SHIPPED / kind / CONFIG).is_file() else None


def _named(home: Home, name: str, kind: str) -> Path:
    if name == "champion":
        return _champion(home, kind) or _refuse(home, f"this home has no champion of kind {kind}", kind)
    if name == "shipped":
        return shipped(kind) or _refuse(home, f"no weights of kind {kind} ship with this version", kind)
    if (Path(name) / CONFIG).is_file():
        return Path(name)
    fit = [path for path in _folders(home) if _is_called(path.name, name)]
    if not fit and (ours := shipped(kind)) and _is_called(str(read_config(ours)["model_id"]), name):
        return ours
    if len(fit) == 1:
        return fit[0]
    what = f"{name!r} matches {len(fit)} models" if fit else f"there is no model {name!r} in {home.models}"
    return _refuse(home, what, kind)


def _is_called(model_id: str, name: str) -> bool:
    return model_id == name or (len(name) >= SHORTEST and model_id.startswith(name))


def _default(home: Home, kind: str, voxel_mm: float | None, recipe: str | None) -> Choice:
    """Return the champion with the coarsest grid that is fine enough, else the shipped weights."""
    champions = [one for one in model_registry.champions(home, kind) if recipe in (None, one.recipe_id)]
    fit = [one for one in champions if _is_fine_enough(one.grid_mm, voxel_mm)]
    if fit and voxel_mm is not None:
        fit.sort(key=lambda one: -(one.grid_mm or 0.0))
    if fit:
        grid_mm = fit[0].grid_mm
        of_grid = f" for the grid of {grid_mm:g} mm" if grid_mm is not None else ""
        return Choice(home.models / fit[0].model_id, f"champion of this home{of_grid}{_needed(voxel_mm)}")
    grids = ", ".join(f"{one.model_id} on {one.grid_mm:g} mm" for one in champions if one.grid_mm)
    if ours := shipped(kind):
        why = f"no champion of this home is fine enough{_needed(voxel_mm)}: it has {grids}"
        return Choice(ours, f"shipped weights; {why if champions and grids else 'this home has no champion for this'}")
    if champions and voxel_mm is not None:
        raise ModelError(
            f"no champion of kind {kind} is fine enough for voxels of {voxel_mm:g} mm; this home has {grids}",
            "train a model on a finer grid, or name one of these with --model",
        )
    what = f"this home has no champion of kind {kind} for this, and none ships with this version"
    return Choice(_refuse(home, what, kind), "")


def _needed(voxel_mm: float | None) -> str:
    return "" if voxel_mm is None else f" for voxels of {voxel_mm:.2g} mm"


def _is_fine_enough(grid_mm: float | None, voxel_mm: float | None) -> bool:
    return grid_mm is None or voxel_mm is None or grid_mm <= COARSEST * max(1.0, voxel_mm)


def _champion(home: Home, kind: str) -> Path | None:
    model_id = model_registry.champion(home, kind)
    return None if model_id is None else home.models / model_id


def _refuse(home: Home, what: str, kind: str) -> Path:
    known = _known(home, kind)
    train = f"train one: `tumsyn train {kind.replace('_', '-')} --config demo`"
    raise ModelError(what, f"name one of: {known}; or {train}" if known else train)


def _known(home: Home, kind: str) -> str:
    names = []
    for path in _folders(home):
        try:
            names += [path.name] if read_config(path)["kind"] == kind else []
        except ModelError:
            continue  # damaged checkpoints are not proposed
    return ", ".join(names)


def _folders(home: Home) -> list[Path]:
    return sorted(path.parent for path in home.models.glob(f"[!.]*/{CONFIG}"))
