"""Define the assets of the models: two networks, their evaluations, that of the champion, the report, and their checks.

The tables of recorded events are assets too: `evaluation` publishes what a run recorded about models, once.
"""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, TypedDict

import dagster as dg

from pipelines.assets.catalogue import published_tables
from pipelines.assets.freshness import AGES, overdue_after
from pipelines.assets.metadata import evaluation_metadata, inline_image, training_curve, training_metadata
from pipelines.assets.settings import (
    ChampionSettings,
    DeviceSettings,
    EvaluationSettings,
    SynthesisSettings,
    TrainingSettings,
)
from pipelines.assets.tables import asset_key, asset_spec
from pipelines.runtime.champions import evaluable_champions
from pipelines.runtime.evaluation import evaluate_synthesis, evaluate_text_encoder
from pipelines.runtime.operations import load_operations
from pipelines.runtime.reports import report_problems, write_report
from pipelines.runtime.resources import HomeResource, Progress, failure, no_retries
from pipelines.runtime.training_process import Training
from warehouse.catalog import sqlfiles, verdicts
from warehouse.catalog.publish import publish
from warehouse.errors import ModelError, TumsynError
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.provenance import release
from warehouse.tables import TABLES
from warehouse.tables.models import MODELS

TEXT_ENCODER, RETRIEVAL, SYNTHESIS, EVALUATION, REPORT, CHAMPION = (
    dg.AssetKey(name)
    for name in (
        *("text_encoder", "text_encoder_retrieval", "synthesis_model", "evaluation", "report"),
        "champion_evaluation",
    )
)
PROMPT, PAIR, VOLUME, EVENT = (
    asset_key(TABLES[name]) for name in ("out.prompt", "out.training_pair", "core.volume", "core.model_event")
)
RECORDED_BY = {
    "core.training_run": (TEXT_ENCODER, SYNTHESIS),
    "core.training_metric": (TEXT_ENCODER, SYNTHESIS),
    "core.model_version": (TEXT_ENCODER, SYNTHESIS),
    "core.model_event": (RETRIEVAL, EVALUATION),
    "core.evaluation_score": (EVALUATION,),
    "core.retrieval_score": (RETRIEVAL,),
    "core.fidelity_score": (EVALUATION,),
    "core.gate_verdict": (RETRIEVAL, EVALUATION),
}


class Common(TypedDict):
    """Attributes that all assets of the models share."""

    group_name: str
    owners: list[str]
    code_version: str


GROUP = "model"
COMMON = Common(group_name=GROUP, owners=["team:model"], code_version=release())
TRAINING_RETRY = dg.RetryPolicy(max_retries=1, delay=1)  # a training whose process was killed resumes
GALLERY_WIDTH_PX, PLOT_WIDTH_PX = 900, 1200
LAST_SHARE = 0.2  # of the steps: the loss at the end is their mean


@dg.asset(deps=[PROMPT, VOLUME], pool="gpu", retry_policy=TRAINING_RETRY, kinds={"pytorch"}, **COMMON)
def text_encoder(
    context: dg.AssetExecutionContext,
    config: TrainingSettings,
    home: HomeResource,
    training: dg.ResourceParam[Training],
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Network that embeds prompts and images into one space, each image close to its own prompt."""
    return _trained(context, home.open(), training, ["text-encoder", *_options(config)])


@dg.asset(deps=[TEXT_ENCODER, VOLUME], pool="gpu", kinds={"pytorch"}, **COMMON)
def text_encoder_retrieval(
    context: dg.AssetExecutionContext,
    config: EvaluationSettings,
    home: HomeResource,
    progress: dg.ResourceParam[Progress],
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """How well the text encoder matches images and prompts, and tells parameters apart, beside an ideal observer."""
    model_id = model_of(context, TEXT_ENCODER)
    with no_retries(f"evaluation of text encoder {model_id}"):
        report = progress("retrieval", context.log)
        evaluated = evaluate_text_encoder(home.open(), model_id, config.protocol, report, device=config.device)
    metadata = evaluation_metadata(evaluated)
    if evaluated.page is not None:
        metadata["page"] = dg.MetadataValue.path(evaluated.page)
        for picture in sorted(evaluated.page.parent.glob("*.png")):
            metadata[picture.stem] = dg.MetadataValue.md(inline_image(picture, PLOT_WIDTH_PX))
    return dg.MaterializeResult(data_version=dg.DataVersion(evaluated.evaluation_id), metadata=metadata)


@dg.asset(
    deps=[RETRIEVAL, PROMPT, PAIR, VOLUME],
    pool="gpu",
    retry_policy=TRAINING_RETRY,
    kinds={"pytorch"},
    freshness_policy=overdue_after(AGES.model_days),
    **COMMON,
)
def synthesis_model(
    context: dg.AssetExecutionContext,
    config: SynthesisSettings,
    home: HomeResource,
    training: dg.ResourceParam[Training],
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Network that turns one contrast of a visit into another that a prompt asks for."""
    encoder = config.text_encoder
    if encoder is None and config.init is None:  # a model to begin with has a text encoder
        encoder = model_of(context, RETRIEVAL)
    begun = {"--init": config.init, "--text-encoder": encoder}
    options = [word for name, value in begun.items() if value for word in (name, value)]
    return _trained(context, home.open(), training, ["synthesis", *_options(config), *options])


@dg.multi_asset(
    name="evaluation",
    specs=[
        dg.AssetSpec(
            EVALUATION,
            deps=[SYNTHESIS, PAIR, VOLUME],
            description="Similarity of synthetic images to the real ones of the test pairs, beside the baselines.",
            kinds={"pytorch"},
            **COMMON,
        ),
        *(  # in the group of the models, to avoid a cycle in the asset graph
            asset_spec(table, RECORDED_BY[table.name], {"parquet", "duckdb"}, sqlfiles.spec_version(), GROUP)
            for table in MODELS
        ),
    ],
    pool="gpu",
)
def evaluation(
    context: dg.AssetExecutionContext,
    config: EvaluationSettings,
    home: HomeResource,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Evaluate the model, record the scores, and publish what this run recorded."""
    place, model_id = home.open(), model_of(context, SYNTHESIS)
    with no_retries(f"evaluation of model {model_id}"):
        report = progress("evaluation", context.log)
        evaluated = evaluate_synthesis(place, model_id, config.protocol, report, device=config.device)
        published = publish(place, run_id=context.run.run_id)
    metadata = evaluation_metadata(evaluated) | {"protocol": config.protocol, "snapshot_id": published.snapshot_id}
    yield dg.MaterializeResult(
        asset_key=EVALUATION, data_version=dg.DataVersion(evaluated.evaluation_id), metadata=metadata
    )
    yield from published_tables(place, published, MODELS)


@dg.asset(deps=[EVALUATION, *(asset_key(table) for table in MODELS)], kinds={"html"}, **COMMON)
def report(context: dg.AssetExecutionContext, config: DeviceSettings, home: HomeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Self-contained page with the scores of each task, the baselines, the gates and a gallery."""
    evaluated = latest(context, EVALUATION)
    with no_retries(f"report about model {evaluated['model_id']}"):
        path = write_report(
            home.open(),
            str(evaluated["model_id"]),
            str(evaluated["protocol"]),
            evaluation_id=str(evaluated["evaluation_id"]),
            snapshot=str(evaluated["snapshot_id"]),
            device=config.device,
        )
    kept = ("model_id", "evaluation_id", "protocol", "snapshot_id")
    metadata: dict[str, Any] = {name: evaluated[name] for name in kept}
    metadata |= {"path": dg.MetadataValue.path(path), "size_bytes": path.stat().st_size}
    if (gallery := path.with_name("gallery.png")).is_file():
        metadata["gallery"] = dg.MetadataValue.md(inline_image(gallery, GALLERY_WIDTH_PX))
    return dg.MaterializeResult(data_version=dg.DataVersion(atomic.sha256(path)[:16]), metadata=metadata)


@dg.asset(
    deps=[PAIR, VOLUME, EVENT],
    pool="gpu",
    kinds={"pytorch"},
    freshness_policy=overdue_after(AGES.champion_days),
    output_required=False,  # where no champion is of the protocol's recipe
    **COMMON,
)
def champion_evaluation(
    context: dg.AssetExecutionContext,
    config: ChampionSettings,
    home: HomeResource,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Scores of the champion of each grid on the catalogue in force: whether it is still good on new data."""
    place = home.open()
    with no_retries("evaluation of the champion"):
        protocol = config.protocol or load_operations(place).retraining.protocol
        champions, skipped = evaluable_champions(place, protocol)
        for model_id, why in skipped.items():
            context.log.warning("champion %s is not evaluated: %s", model_id, why)
        if not champions and skipped:
            return
        if not champions:
            raise ModelError("no synthesis model is champion here", "run train_all, or: tumsyn models promote MODEL")
        report = progress("evaluation", context.log)
        evaluated = [evaluate_synthesis(place, name, protocol, report, device=config.device) for name in champions]
        published = publish(place, run_id=context.run.run_id)
    metadata = evaluation_metadata(evaluated[0])  # assigned last
    for other in evaluated[1:]:
        metadata |= {f"{other.model_id}: {name}": value for name, value in evaluation_metadata(other).items()}
    metadata |= {f"{model_id}: not evaluated": why for model_id, why in skipped.items()}
    metadata |= {"protocol": protocol, "snapshot_id": published.snapshot_id}
    version = "-".join(one.evaluation_id for one in evaluated)
    yield dg.MaterializeResult(data_version=dg.DataVersion(version), metadata=metadata)


@dg.asset_check(asset=CHAMPION, description="The champion in use passes every gate of the protocol.")
def champion_gates(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Check the gates of the champion that was assigned last; nothing follows that a failure could stop."""
    return check_gates(home.open(), latest(context, CHAMPION))


@dg.asset_check(asset=TEXT_ENCODER, blocking=True, description="The loss is finite at every step, and it fell.")
def loss_fell(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Check the curve of the training loss."""
    run_id = str(latest(context, TEXT_ENCODER)["run_id"])
    return check_curve(_values(home.open(), run_id, "train", "loss"), "loss of a batch")


@dg.asset_check(asset=RETRIEVAL, blocking=True, description="Contrasts are found more often than by chance.")
def retrieval_gates(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Check the gates of the text encoder."""
    return check_gates(home.open(), latest(context, RETRIEVAL))


@dg.asset_check(
    asset=SYNTHESIS,
    blocking=True,
    description="The error in the brains of people outside the training set is finite, and lower than before training.",
)
def error_fell(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Check the curve of the validation error."""
    place, run_id = home.open(), str(latest(context, SYNTHESIS)["run_id"])
    if values := _values(place, run_id, "val", "l1"):
        return check_curve(values, "mean absolute error of the validation pairs")
    return check_curve(_values(place, run_id, "train", "loss"), "no image to validate on; loss of a batch")


@dg.asset_check(asset=EVALUATION, blocking=True, description="The model passes every gate of the protocol.")
def evaluation_gates(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Check the gates of the synthesis model."""
    return check_gates(home.open(), latest(context, EVALUATION))


@dg.asset_check(
    asset=REPORT, blocking=True, description="The page is complete, and its figures are those of the catalogue."
)
def report_is_complete(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Compare the written page with the catalogue."""
    written = latest(context, REPORT)
    names = ("evaluation_id", "protocol", "snapshot_id")
    problems = report_problems(home.open(), Path(str(written["path"])), *(str(written[name]) for name in names))
    description = "; ".join(problems) or "every picture is there, and every figure is the catalogue's"
    return dg.AssetCheckResult(passed=not problems, description=description)


def check_curve(values: Sequence[float], what: str) -> dg.AssetCheckResult:
    """Return whether a curve is finite and ends below its first value."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        not_finite = "" if all(map(math.isfinite, values)) else ", some not finite"
        return dg.AssetCheckResult(passed=False, description=f"{what}: {len(values)} values{not_finite}")
    first, last = values[0], fmean(values[-max(1, int(LAST_SHARE * len(values))) :])
    description = f"{what}: {first:.4g} at first, {last:.4g} at the end"
    metadata = {"first": first, "last": last}
    return dg.AssetCheckResult(passed=last < first, description=description, metadata=metadata)


def check_gates(home: Home, evaluated: dict[str, Any]) -> dg.AssetCheckResult:
    """Return whether an evaluation passed all gates.

    A gate without enough data, or a champion that is better, is a warning, which stops nothing.
    """
    known = verdicts.recorded(home, str(evaluated["model_id"]))
    judged = verdicts.of_evaluation(known, str(evaluated["data_id"]), str(evaluated["protocol_hash"]))
    # A candidate that is worse than the champion is a result, and no fault of the run: its report is written.
    failed = [row for row in judged if row["verdict"] == "failed" and row["gate"] not in verdicts.COMPARISONS]
    undecided = [row for row in judged if not row["passed"] and row not in failed]
    details = [f"{row['gate']}: {row['detail']}" for row in failed or undecided or judged]
    return dg.AssetCheckResult(
        passed=bool(judged) and not failed and not undecided,
        severity=dg.AssetCheckSeverity.WARN if judged and not failed else dg.AssetCheckSeverity.ERROR,
        description="; ".join(details) or "there is no verdict",
        metadata={row["gate"]: row["value"] for row in judged if row["value"] is not None},
    )


def latest(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, key: dg.AssetKey) -> dict[str, Any]:
    """Return the metadata of an asset's last materialisation.

    Raises
    ------
    dagster.Failure
        When it was never materialised.
    """
    event = context.instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        name = key.to_user_string()
        error = TumsynError(f"{name} was never materialised here", f"materialise {name}, or run train_all")
        raise failure(error)
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def model_of(context: dg.AssetExecutionContext, key: dg.AssetKey) -> str:
    """Return the identity of the model that an asset is, or was made from."""
    return str(latest(context, key)["model_id"])


def _options(config: TrainingSettings) -> list[str]:
    path = Path(config.config)
    name = str(path.resolve()) if path.is_file() else config.config
    return ["--config", name, *(["--device", config.device] if config.device else [])]


def _trained(
    context: dg.AssetExecutionContext, home: Home, training: Training, words: list[str]
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    result = training.run(context, home, words)
    metadata = dict(result.metadata or {})
    run_id: Any = metadata["run_id"]
    return result._replace(metadata=metadata | training_metadata(home, str(getattr(run_id, "value", run_id))))


def _values(home: Home, run_id: str, split: str, metric: str) -> list[float]:
    return [float(row["value"]) for row in training_curve(home, run_id, split=split, metric=metric)]
