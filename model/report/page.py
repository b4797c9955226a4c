"""One file that says how good a model is: figures, baselines, verdicts and pictures, without a network."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as DecodingError
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from model.data.catalogue import CatalogueImages
from model.data.folds import catalogue_splits
from model.evaluation.baselines import MAP_ORACLE
from model.evaluation.evaluate import SynthesisModel
from model.report import behaviour, contrast, scores, training, words
from model.report.data import ALL_TASKS, FORMS, Figures, Group, read_figures, rows
from model.report.gallery import draw_example, draw_overview, in_order, make_examples
from warehouse.lake import atomic
from warehouse.lake.home import Home

if TYPE_CHECKING:
    import duckdb

    from model.evaluation.protocol import EvaluationProtocol

PARTS = Path(__file__).parent / "parts"
PAGE, OVERVIEW = "report.html", "gallery.png"
N_OVERVIEW = 4  # examples in the picture for a README
PICTURE = re.compile(r"(?<=data:image/png;base64,)[^\"]*")
PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def write_report(
    home: Home,
    connection: duckdb.DuckDBPyConnection,
    evaluation_id: str,
    synthesizer: SynthesisModel,
    folder: Path,
    protocol: EvaluationProtocol | None = None,
    *,
    shipped: bytes = b"",
) -> Path:
    """Write ``report.html``, which holds its pictures, and ``gallery.png`` where there is a picture to draw.

    Parameters
    ----------
    home : Home
        Whose volumes the pictures are drawn of.
    connection : DuckDBPyConnection
        A published catalogue of that home, read-only: the only source of figures.
    evaluation_id : str
    synthesizer : SynthesisModel
        The evaluated model, asked again for the pairs that are drawn.
    folder : Path
        Where to write; what is there is replaced.
    protocol : EvaluationProtocol, optional
        By which it was made; default: the shipped one whose hash the scores bear.
    shipped : bytes
        PNG of what the weights that ship make, as `model.report.shipped.draw` returns it; nothing where there is none.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ModelError
        When the catalogue has no such evaluation, or a volume of it is gone.
    """
    figures = read_figures(connection, evaluation_id, protocol)
    splits = sorted({split for row in figures.examples for split in catalogue_splits(row["split"])})
    images = CatalogueImages.open(home, figures.protocol.recipe, splits, snapshot=figures.about["snapshot_id"])
    examples = make_examples(images, synthesizer, in_order(figures.examples, figures.tasks), figures.protocol.recipe)
    page = render(figures, [_encoded(draw_example(example)) for example in examples], _encoded(shipped))
    if examples:
        draw_overview(examples[:N_OVERVIEW], folder / OVERVIEW)
    atomic.write_text(folder / PAGE, page)
    return folder / PAGE


def problems(
    page: Path,
    connection: duckdb.DuckDBPyConnection,
    evaluation_id: str,
    protocol: EvaluationProtocol | None = None,
    *,
    shipped: bytes = b"",
) -> list[str]:
    """Return what is wrong with a report; nothing where it is what the catalogue gives now.

    Parameters
    ----------
    page : Path
        As `write_report` wrote it.
    connection, evaluation_id, protocol, shipped
        As `write_report` takes them.

    Returns
    -------
    list of str
        One sentence each: a picture that is missing or damaged, a line of the page that the catalogue does not give,
        a mean that SQL computes otherwise.
    """
    if not page.is_file():
        return [f"{page} is not there"]
    figures = read_figures(connection, evaluation_id, protocol)
    written, n_examples = page.read_text(encoding="utf-8"), len(figures.examples)
    pictures = PICTURE.findall(written)
    found = [f"picture {place} is damaged" for place, data in enumerate(pictures, start=1) if not _is_png(data)]
    n_pictures = n_examples + bool(shipped)
    if len(pictures) != n_pictures:
        found.append(f"{len(pictures)} pictures instead of {n_pictures}: one for each task with a pair")
    overview = page.with_name(OVERVIEW)
    if n_examples and not (overview.is_file() and _is_png(_encoded(overview.read_bytes()))):
        found.append(f"{overview.name} is not there, or damaged")
    wanted_page = PICTURE.sub("", render(figures, [""] * n_examples, _encoded(shipped)))
    shown, expected = PICTURE.sub("", written).splitlines(), wanted_page.splitlines()
    for place, (line, wanted) in enumerate(zip(shown, expected, strict=False), start=1):
        if line != wanted:
            found.append(f"line {place} of the page is {line[:200]!r}, and {wanted[:200]!r} by the catalogue")
            break
    else:
        if len(shown) != len(expected):
            found.append(f"the page has {len(shown)} lines instead of {len(expected)}")
    return found + list(_differing(figures, rows(connection, "figures", {"evaluation_id": evaluation_id})))


def _encoded(picture: bytes) -> str:
    return b64encode(picture).decode("ascii")


def _is_png(data: str) -> bool:
    try:
        content = b64decode(data, validate=True)
    except DecodingError:
        return False
    return content.startswith(PNG) and content.endswith(PNG_END)


def _differing(figures: Figures, expected: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the means over people that SQL computes otherwise than the page's own figures."""
    for row in expected:
        task = None if row["task"] == ALL_TASKS else row["task"]
        is_model = row["maker"] == figures.model_id
        if task is None and not is_model:  # of all tasks, the page shows baselines of those that the model can do
            continue
        line = figures.line(Group(row["form"], row["population"], row["split"]), task, row["metric"], row["mask"])
        mean = line.mean if is_model else line.baselines.get(row["maker"])
        gains = line.gains.get(row["maker"])
        compared = [("", mean, row["mean"])] + ([] if is_model else [(" gain", gains and fmean(gains), row["gain"])])
        for name, found, wanted in compared:
            if found is None and wanted is None:
                continue
            if found is None or wanted is None or abs(found - wanted) > 1e-9 * max(1.0, abs(wanted)):
                key = "|".join(str(row[part]) for part in ("maker", *Group._fields, "task", "metric", "mask"))
                yield f"{key}{name} is {found!r} in the report, and {wanted!r} by SQL"


def render(figures: Figures, pictures: Sequence[str], shipped: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    figures : Figures
    pictures : sequence of str
        PNG of each example as base64, in the order of `gallery.in_order`.
    shipped : str
        PNG of the weights that ship as base64; nothing where there is none.
    """
    fidelity = contrast.errors(figures)
    return ENVIRONMENT.get_template("report.html.j2").render(
        figures=figures,
        about=figures.about | {"centers": figures.about["centers"] or []},
        protocol=figures.protocol,
        style=Markup((PARTS / "report.css").read_text(encoding="utf-8")),
        tables={form: [scores.table(figures, group) for group in figures.tested(form)] for form in FORMS},
        first_bar=_first_bar(figures),
        parts=(parts := scores.parts(figures, figures.form)),
        parts_span=scores.span_of([part.gain for part in parts], [gain for part in parts for gain in part.gained]),
        fidelity=fidelity,
        fidelity_plots=contrast.plots(figures),
        fidelity_verdict=contrast.verdict(fidelity),
        questions=behaviour.questions(figures),
        examples=in_order(figures.examples, figures.tasks),
        pictures=pictures,
        shipped=shipped,
        curves=training.curves(figures),
        provenance=training.provenance(figures),
    )


def _first_bar(figures: Figures) -> str:
    """Return whether the first bar is cleared on the first people of the page: real ones where there are any."""
    for group in figures.tested(figures.form):
        gain = figures.line(group, None, "psnr_db").gain
        if gain is not None:
            return f"{words.group_name(group)}: {words.first_bar(gain)}"
    return ""


ENVIRONMENT = Environment(
    loader=FileSystemLoader(PARTS),
    autoescape=True,
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters["as_task"] = words.task_name
ENVIRONMENT.globals.update(
    number=words.number,
    interval=words.interval,
    verdict=words.verdict,
    percent=words.percent,
    people=words.people,
    task_name=words.task_name,
    group_name=words.group_name,
    all_tasks=ALL_TASKS,
    decimals=words.DECIMALS,
    columns=words.COLUMNS,
    volume_columns=words.VOLUME_COLUMNS,
    model=words.MODEL,
    maker_names=words.MAKER_NAMES,
    population_names=words.POPULATION_NAMES,
    form_names=words.FORM_NAMES,
    form_notes=words.FORM_NOTES,
    split_names=words.SPLIT_NAMES,
    split_notes=words.SPLIT_NOTES,
    fitted_map=MAP_ORACLE,
    verdict_marks=words.VERDICT_MARKS,
    curve_names=[(contrast.CLASSES[maker], name) for maker, name in contrast.NAMES.items()],
    textbook=contrast.TEXTBOOK,
    identity=contrast.IDENTITY,
    plot_size=(contrast.WIDTH, contrast.HEIGHT),
    plot_left=contrast.LEFT,
    dots_width=scores.WIDTH,
    overview_span=lambda tables: scores.span_of(
        [table.together.gain for table in tables if table.together.gain],
        [gain for table in tables for gain in table.together.gains.get(MAP_ORACLE, ())],
    ),
)
