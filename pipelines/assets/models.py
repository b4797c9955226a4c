"""From prompts and pairs to a report: two trainings, what they are worth, and a page that says so.

The tables of events are assets too: what was said of models while a run went on is published once, by its evaluation.
"""
# No postponed annotations here: Dagster reads the type of `context` as an object.

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.assets import model_metadata
from pipelines.assets.describe import PREVIEW_ROWS, asset_key, asset_spec, failure, final_failures, preview
from pipelines.runtime import evaluation as judging
from pipelines.runtime.resources import HomeResource, Progress
from pipelines.runtime.training_process import Training
from warehouse.catalog import sqlfiles
from warehouse.catalog.publish import Published
from warehouse.catalog.query import Catalogue
from warehouse.errors import TumsynError
from warehouse.lake.home import Home
from warehouse.provenance import release
from warehouse.tables import TABLES
from warehouse.tables.models import MODELS

GROUP = "model"
TEXT_ENCODER, RETRIEVAL, SYNTHESIS, EVALUATION, REPORT = (
    dg.AssetKey(name) for name in ("text_encoder", "text_encoder_retrieval", "synthesis_model", "evaluation", "report")
)
PROMPT, PAIR, VOLUME = (asset_key(TABLES[name]) for name in ("out.prompt", "out.training_pair", "core.volume"))
SAID_BY = {
    "core.training_run": (TEXT_ENCODER, SYNTHESIS),
    "core.training_metric": (TEXT_ENCODER, SYNTHESIS),
    "core.model_version": (TEXT_ENCODER, SYNTHESIS),
    "core.model_event": (RETRIEVAL, EVALUATION),
    "core.evaluation_score": (EVALUATION,),
    "core.retrieval_score": (RETRIEVAL,),
    "core.gate_verdict": (RETRIEVAL, EVALUATION),
}
OWNERS = ["team:model"]
CODE = release()
# A training whose process was killed goes on where it was.
AGAIN = dg.RetryPolicy(max_retries=1, delay=1)


class TrainingSettings(dg.Config):
    """What is trained: a shipped configuration's name or a file's path, and cpu or cuda; a GPU where there is one."""

    config: str = "standard"
    device: str | None = None


class EvaluationSettings(dg.Config):
    """By what it is judged: a shipped protocol's name or a file's path, and cpu or cuda."""

    protocol: str = "standard"
    device: str | None = None


class DeviceSettings(dg.Config):
    """Where it is computed: cpu or cuda; a GPU where there is one."""

    device: str | None = None


@dg.asset(
    deps=[PROMPT, VOLUME],
    pool="gpu",
    retry_policy=AGAIN,
    kinds={"pytorch"},
    group_name=GROUP,
    owners=OWNERS,
    code_version=CODE,
)
def text_encoder(
    context: dg.AssetExecutionContext,
    config: TrainingSettings,
    home: HomeResource,
    training: dg.ResourceParam[Training],
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Network that puts prompts and images into one space, each beside its like."""
    return _trained(context, home.open(), training, ["text-encoder", *_words(config)])


@dg.asset(
    deps=[TEXT_ENCODER, VOLUME], pool="gpu", kinds={"pytorch"}, group_name=GROUP, owners=OWNERS, code_version=CODE
)
def text_encoder_retrieval(
    context: dg.AssetExecutionContext,
    config: DeviceSettings,
    home: HomeResource,
    progress: dg.ResourceParam[Progress],
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """How often the text encoder finds an image's prompt, and its contrast, among others."""
    model_id = model_of(context, TEXT_ENCODER)
    with final_failures():
        show = progress.of("retrieval", context.log)
        judged = judging.judge_text_encoder(home.open(), model_id, show, device=config.device)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(judged.evaluation_id), metadata=model_metadata.of_judged(judged)
    )


@dg.asset(
    deps=[RETRIEVAL, PROMPT, PAIR, VOLUME],
    pool="gpu",
    retry_policy=AGAIN,
    kinds={"pytorch"},
    group_name=GROUP,
    owners=OWNERS,
    code_version=CODE,
)
def synthesis_model(
    context: dg.AssetExecutionContext,
    config: TrainingSettings,
    home: HomeResource,
    training: dg.ResourceParam[Training],
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Network that turns one contrast of a visit into another that a prompt asks for."""
    words = ["synthesis", *_words(config), "--text-encoder", model_of(context, RETRIEVAL)]
    return _trained(context, home.open(), training, words)


@dg.multi_asset(
    name="evaluation",
    specs=[
        dg.AssetSpec(
            EVALUATION,
            deps=[SYNTHESIS, PAIR, VOLUME],
            description="Likeness of what the model makes to the real images of its test pairs, beside the baselines.",
            kinds={"pytorch"},
            group_name=GROUP,
            owners=OWNERS,
            code_version=CODE,
        ),
        *(  # beside the models, so that no line of the lineage leads back
            asset_spec(table, SAID_BY[table.name], {"parquet", "duckdb"}, sqlfiles.spec_version(), GROUP)
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
    """Measure the model, record what was found, and publish what this run has said, once."""
    place, model_id = home.open(), model_of(context, SYNTHESIS)
    with final_failures():
        show = progress.of("evaluation", context.log)
        judged = judging.evaluate_model(place, model_id, config.protocol, show, device=config.device)
        published = judging.publish_once(place, context.run.run_id)
    yield dg.MaterializeResult(
        asset_key=EVALUATION,
        data_version=dg.DataVersion(judged.evaluation_id),
        metadata=model_metadata.of_judged(judged) | {"protocol": config.protocol, "snapshot_id": published.snapshot_id},
    )
    yield from _tables(place, published)


@dg.asset(
    deps=[EVALUATION, *(asset_key(table) for table in MODELS)],
    kinds={"html"},
    group_name=GROUP,
    owners=OWNERS,
    code_version=CODE,
)
def report(context: dg.AssetExecutionContext, config: DeviceSettings, home: HomeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Page with the tasks' figures, the baselines, the gates and a gallery; it needs nothing beside it."""
    said = latest(context, EVALUATION)
    with final_failures():
        path = judging.write_report(home.open(), str(said["model_id"]), str(said["protocol"]), device=config.device)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(judging.digest(path)),
        metadata={name: said[name] for name in ("model_id", "evaluation_id", "protocol")}
        | model_metadata.of_report(path),
    )


def latest(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, key: dg.AssetKey) -> dict[str, Any]:
    """Return what an asset told when it was made last.

    Raises
    ------
    dagster.Failure
        When it was never made.
    """
    event = context.instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        name = key.to_user_string()
        raise failure(TumsynError(f"{name} was never made here", f"materialise {name}, or run train_and_report"))
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def model_of(context: dg.AssetExecutionContext, key: dg.AssetKey) -> str:
    """Return the model that an asset was made of, or is."""
    return str(latest(context, key)["model_id"])


def _words(config: TrainingSettings) -> list[str]:
    path = Path(config.config)
    name = str(path.resolve()) if path.is_file() else config.config
    return ["--config", name, *(["--device", config.device] if config.device else [])]


def _trained(
    context: dg.AssetExecutionContext, home: Home, training: Training, words: list[str]
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    result = training.run(context, home, words)
    told = dict(result.metadata or {})
    return result._replace(metadata=told | model_metadata.of_training(home, told))


def _tables(home: Home, published: Published) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    with Catalogue(home, published.snapshot_id).connect() as connection:
        for table in MODELS:
            head = connection.table(table.name).order("occurred_at DESC").limit(PREVIEW_ROWS).to_arrow_table()
            yield dg.MaterializeResult(
                asset_key=asset_key(table),
                data_version=dg.DataVersion(published.snapshot_id),
                metadata={
                    "dagster/row_count": published.n_rows[table.name],
                    "snapshot_id": published.snapshot_id,
                    "preview": dg.MetadataValue.md(preview(head.drop_columns(["event_id"]))),
                },
            )
