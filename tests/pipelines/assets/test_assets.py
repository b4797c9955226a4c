"""Assets report their rows, and a row that breaks a rule stops the run."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import duckdb
import pyarrow as pa
import pytest

from pipelines.assets import tables
from pipelines.assets.catalogue import catalogue
from pipelines.assets.centers import center_tables
from pipelines.assets.tables import asset_key
from pipelines.definitions import build_defs
from pipelines.runtime.resources import HomeResource, sync_partitions
from warehouse.centers.registry import RegisteredCenter
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.tables import PARTITIONED, TABLES

IMAGE = dg.AssetKey(["core", "image"])


@pytest.fixture
def instance(home: Home, tiny: RegisteredCenter) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, home)
        yield instance


def ingested(instance: dg.DagsterInstance, home: Home) -> dg.ExecuteInProcessResult:
    definitions = build_defs(resources={"home": HomeResource(root=str(home.root))})
    job = definitions.resolve_job_def("ingest")
    return job.execute_in_process(instance=instance, partition_key="tiny", raise_on_error=False)


def materialized(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dg.AssetMaterialization:
    events = [event.materialization for event in result.get_asset_materialization_events()]
    return next(event for event in events if event.asset_key == key)


@pytest.mark.slow
def test_a_centre_reports_rows_preview_and_data_version_of_each_table(instance: dg.DagsterInstance, home: Home) -> None:
    result = ingested(instance, home)
    assert result.success
    for part in parts.manifests(home)["tiny"].parts:
        event = materialized(result, asset_key(TABLES[part.table]))
        assert event.partition == "tiny"
        assert event.metadata["dagster/row_count"].value == part.n_rows
        assert event.metadata["changed"].value is True
        assert event.tags is not None
        assert event.tags["dagster/data_version"] == part.sha256
    assert "sub-01" in str(materialized(result, IMAGE).metadata["preview"].value)


@pytest.mark.slow
def test_an_unchanged_centre_keeps_its_data_version_and_is_reported_as_unchanged(
    instance: dg.DagsterInstance, home: Home
) -> None:
    first, second = (materialized(ingested(instance, home), IMAGE) for _ in range(2))
    assert first.tags is not None
    assert second.tags is not None
    assert second.metadata["changed"].value is False
    assert first.tags["dagster/data_version"] == second.tags["dagster/data_version"]


@pytest.mark.slow
def test_a_rule_that_a_committed_row_breaks_stops_the_run(
    instance: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def milliseconds(place: Home, center_id: str, name: str) -> pa.Table | None:
        rows = parts.read_table(place, center_id, name)
        if rows is None or name != "core.acquisition":
            return rows
        column = rows.schema.get_field_index("echo_time_s")
        return rows.set_column(column, rows.schema.field(column), pa.array([2.98] * len(rows), pa.float64()))

    monkeypatch.setattr(tables, "read_table", milliseconds)
    result = ingested(instance, home)
    assert not result.success
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [check.asset_key for check in failed] == [asset_key(TABLES["core.acquisition"])]
    assert failed[0].blocking
    assert failed[0].metadata["broken: echo_time_s"].value.startswith("4 rows")  # type: ignore[union-attr]


@pytest.mark.slow
def test_every_table_of_a_centre_is_checked_in_one_step(instance: dg.DagsterInstance, home: Home) -> None:
    result = ingested(instance, home)
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == len(PARTITIONED)
    assert all(evaluation.passed for evaluation in evaluations)
    assert {event.step_key for event in result.all_events if event.is_step_success} == {
        "center_tables",
        "center_tables_specification",
    }


def test_what_a_user_must_correct_is_not_tried_again(
    instance: dg.DagsterInstance, home: Home, tiny: RegisteredCenter
) -> None:
    tiny.root.rename(tiny.root.with_name("moved"))
    result = ingested(instance, home)
    assert not result.success
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    failure = result.failure_data_for_node("center_tables")
    assert failure is not None
    assert failure.user_failure_data is not None
    said = str(failure.user_failure_data.description)
    assert said.startswith("ingest of centre tiny: ")  # what was done
    assert "is not a folder" in said  # what is wrong
    assert "mount it" in said  # what to do
    assert failure.user_failure_data.metadata["remedy"].value


@pytest.mark.slow
def test_what_passes_by_itself_is_tried_again(
    instance: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.assets import centers

    tries: list[str] = []

    def once_broken(*args: object, **kwargs: object) -> object:
        tries.append("try")
        if len(tries) == 1:
            raise OSError("the network share went away")
        return real(*args, **kwargs)  # type: ignore[arg-type]

    real = centers.ingest_center
    monkeypatch.setattr(centers, "ingest_center", once_broken)
    assert ingested(instance, home).success
    assert len(tries) == 2


@pytest.mark.slow
def test_the_catalogue_reports_its_snapshot_and_rows(instance: dg.DagsterInstance, home: Home) -> None:
    ingested(instance, home)
    job = build_defs(resources={"home": HomeResource(root=str(home.root))}).resolve_job_def("publish")
    result = job.execute_in_process(instance=instance)
    snapshot = materialized(result, dg.AssetKey(["meta", "snapshot"]))
    catalog = materialized(result, dg.AssetKey(["out", "image_catalog"]))
    assert catalog.metadata["dagster/row_count"].value == 4
    assert "data:image/png;base64," in str(catalog.metadata["images"].value)
    lineage = catalog.metadata["dagster/column_lineage"].value.deps_by_column  # type: ignore[union-attr]
    assert [dep.asset_key for dep in lineage["contrast"]] == [IMAGE]
    assert catalog.metadata["snapshot_id"].value == snapshot.metadata["snapshot_id"].value
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())
    with duckdb.connect(str(snapshot.metadata["path"].value), read_only=True) as connection:
        assert connection.execute("SELECT run_id FROM meta.snapshot").fetchone() == (result.run_id,)


def test_publishing_takes_the_pool_that_admits_one() -> None:
    assert catalogue.op.pool == "publish"
    assert center_tables.op.pool is None
