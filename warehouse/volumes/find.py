"""Finding a volume by its image in the published catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from warehouse.errors import VolumeError
from warehouse.lake.home import Home
from warehouse.volumes.readers import Reader
from warehouse.volumes.volume import Volume, open_store


def open_volume(
    image_id: str,
    recipe: str = "standard",
    form: Literal["session", "native"] = "session",
    *,
    home: Home | Path | None = None,
    snapshot: str | None = None,
    reader: Reader = "auto",
) -> Volume:
    """Open the harmonised volume of an image, as the catalogue in force has it.

    Parameters
    ----------
    image_id : str
        As in `core.image`.
    recipe : str
        Name or identity of the recipe.
    form : {"session", "native"}
        On the session's grid, or on the scan's own.
    home : Home or Path, optional
        Default: the home that ``TUMSYN_HOME`` names.
    snapshot : str, optional
        A past catalogue; default: the one in force.
    reader : {"auto", "tensorstore", "zarr"}

    Returns
    -------
    Volume
        Voxels and affine, read lazily.

    Raises
    ------
    VolumeError
        When there is no such volume, or more than one.
    """
    home = home if isinstance(home, Home) else Home(Path(home)) if home else Home.default()
    found = _volumes(home, image_id, snapshot)
    fit = [path for name, recipe_id, its_form, path in found if recipe in (name, recipe_id) and its_form == form]
    if len(fit) == 1:
        return open_store(home.root / fit[0], reader)
    wanted = f"image {image_id} as {form} by recipe {recipe!r}"
    listed = "; ".join(f"{name} ({recipe_id}) {its_form}" for name, recipe_id, its_form, _ in found)
    if fit:
        raise VolumeError(f"there are {len(fit)} volumes of {wanted}", f"name the recipe by its identity: {listed}")
    remedy = f"there are: {listed}" if found else "run `tumsyn harmonize`; core.volume_rejection says if it was refused"
    raise VolumeError(f"there is no volume of {wanted}", remedy)


def _volumes(home: Home, image_id: str, snapshot: str | None) -> list[tuple[str, str, str, str]]:
    import duckdb  # here, with what needs it: a worker that reads patches does without

    from warehouse.catalog import sqlfiles
    from warehouse.catalog.query import Catalogue

    catalogue = Catalogue(home, snapshot)
    try:
        with catalogue.connect() as connection:
            return connection.execute(sqlfiles.read("catalog/volumes_of_image"), {"image_id": image_id}).fetchall()
    except duckdb.CatalogException as error:
        what = f"catalogue {catalogue.snapshot_id} knows no volumes: it is from before they were harmonised"
        raise VolumeError(what, "run `tumsyn harmonize`, which also publishes") from error
