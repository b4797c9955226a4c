"""Define the command `tumsyn`."""

from __future__ import annotations

import errno
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import (
    catalog,
    centers,
    cross_validate,
    demo,
    evaluate,
    harmonize,
    ingest,
    models,
    phantom,
    prompt,
    retrain,
    synthesize,
    train,
    ui,
    volumes,
)
from pipelines.runtime import stopping
from pipelines.runtime.progress import clean
from warehouse.errors import TumsynError
from warehouse.lake.home import Home
from warehouse.lake.migration import migrate

# Faults of disks and permissions, which any command can meet anywhere.
REMEDIES_BY_ERRNO = {
    errno.EACCES: "give this user permission, or name another place",
    errno.EPERM: "give this user permission, or name another place",
    errno.EROFS: "make the disk writable, or name another place",
    errno.ENOSPC: "free space on that disk, then run the same command again: it goes on with what was finished",
    errno.EDQUOT: "free some of this user's quota, then run the same command again",
    errno.EMFILE: "raise the limit of open files: ulimit -n",
}


class Tumsyn(typer.core.TyperGroup):
    """Command that shows an error as text on standard error: what is wrong, and what to do."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # Typer's context is its parent's
        """Run a command; only `--debug` shows a traceback."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if isinstance(error, (typer.Exit, typer.Abort, BrokenPipeError)) or hasattr(error, "exit_code"):
                raise  # Typer shows these itself: usage errors with status 2
            stopping.check()
            if ctx.params.get("debug"):
                traceback.print_exc()
            typer.echo(clean(f"tumsyn: {_shown(error)}"), err=True)
            raise typer.Exit(1) from error


def _shown(error: Exception) -> TumsynError:
    """Return an error in the words of a user: what is wrong, and what to do."""
    if isinstance(error, TumsynError):
        return error
    if isinstance(error, OSError) and error.errno in REMEDIES_BY_ERRNO:
        place = f"{error.filename}: " if error.filename else ""
        return TumsynError(f"{place}{error.strerror}", REMEDIES_BY_ERRNO[error.errno])
    what = f"{type(error).__name__}: {error}"
    return TumsynError(what, "an unexpected error; `tumsyn --debug …` shows its place")


app = typer.Typer(
    cls=Tumsyn,
    name="tumsyn",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tumsyn {version('tumsyn')}")
        raise typer.Exit


@app.callback()
def top(
    ctx: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder that holds all state; default: $TUMSYN_HOME, or data/ where that is unset."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Catalogue brain MRI of many centres, answer SQL queries, and train models that synthesise contrasts."""
    ctx.obj = Home(home.resolve()) if home else Home.default()
    if ctx.obj.root.exists() and not ctx.obj.root.is_dir():
        raise TumsynError(f"the home {ctx.obj.root} is a file", "name a folder with --home or TUMSYN_HOME")
    migrate(ctx.obj)


# in the order of `tumsyn --help`
app.add_typer(centers.app, name="centers")
app.command()(ingest.ingest)
app.command()(harmonize.harmonize)
app.command()(volumes.export)
app.add_typer(volumes.app, name="volumes")
app.command()(catalog.sql)
app.add_typer(catalog.app, name="catalog")
app.add_typer(train.app, name="train")
app.command()(retrain.retrain)
app.command()(prompt.prompt)
app.command()(synthesize.synthesize)
app.command()(evaluate.evaluate)
app.command()(evaluate.report)
app.command()(cross_validate.cross_validate)
app.add_typer(models.app, name="models")
app.command()(phantom.phantom)
app.command()(demo.demo)
app.command()(ui.ui)


def main() -> None:
    """Run the command; a signal ends it with exit status 128 + signal."""
    with stopping.stoppable():
        app()


if __name__ == "__main__":
    main()
