"""Assets are named as their tables, lineage follows the SQL, and partitions follow the home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipelines.assets.catalogue import DERIVED, reads
from pipelines.assets.metadata import preview
from pipelines.assets.models import CHAMPION, EVALUATION, REPORT, RETRIEVAL, SYNTHESIS, TEXT_ENCODER
from pipelines.assets.tables import asset_key, column_schema
from pipelines.definitions import ASSETS, CHECKS, build_defs, defs
from pipelines.runtime.resources import sync_partitions
from tests.conftest import ROOT
from warehouse.centers.registry import RegisteredCenter
from warehouse.lake.home import Home
from warehouse.tables import HARMONIZED, PARTITIONED, TABLES, Table
from warehouse.tables.models import MODELS, RETRAINING

SHOWN = [*PARTITIONED, *HARMONIZED, *MODELS, *RETRAINING, *DERIVED, TABLES["meta.snapshot"]]
NO_TABLES = {TEXT_ENCODER, RETRIEVAL, SYNTHESIS, EVALUATION, REPORT, CHAMPION}
SPECS = {spec.key: spec for assets in ASSETS for spec in assets.specs}


def test_definitions_load_and_every_job_resolves() -> None:
    repository = defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}
    assert {"refresh_catalog", "train_all", "evaluate_champion", "nightly"} <= jobs
    assert {"ingest", "harmonize", "harmonize_batches", "publish"} <= jobs


def test_every_table_that_is_made_is_an_asset_and_so_are_models_and_what_is_found_of_them() -> None:
    assert SPECS.keys() == {asset_key(table) for table in SHOWN} | NO_TABLES


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.key.to_user_string())
def test_every_asset_has_description_group_owner_kind_version_and_a_link_to_its_code(spec: dg.AssetSpec) -> None:
    assert spec.description
    assert spec.group_name in ("raw", "core", "out", "meta", "model", "retraining")
    assert spec.owners
    assert spec.kinds
    assert spec.code_version
    [reference, *_] = spec.metadata["dagster/code_references"].code_references
    place = "warehouse/catalog/sql" if spec.key in map(asset_key, DERIVED) else "pipelines"
    assert Path(reference.file_path).is_relative_to(ROOT / place)
    assert Path(reference.file_path).is_file()


def test_every_job_sensor_schedule_check_and_setting_is_described() -> None:
    repository = defs.get_repository_def()
    implicit = "__ASSET_JOB"
    shown: list[tuple[str, str | None]] = [
        *((job.name, job.description) for job in repository.get_all_jobs() if job.name != implicit),
        *((sensor.name, sensor.description) for sensor in repository.sensor_defs),
        *((schedule.name, schedule.description) for schedule in repository.schedule_defs),
        *((str(spec.key), spec.description) for check in CHECKS for spec in check.check_specs),
    ]
    assert len(shown) > 40
    assert [name for name, description in shown if len(description or "") < 20] == []


@pytest.mark.parametrize("job", ["refresh_catalog", "nightly", "train_all", "evaluate_champion", "ingest", "harmonize"])
def test_every_setting_of_a_job_has_a_default_and_is_described(job: str) -> None:
    """The launchpad is usable without reading code."""
    nodes = defs.resolve_job_def(job).graph.node_defs
    fields = {
        (node.name, name): field
        for node in nodes
        if isinstance(node, dg.OpDefinition)
        for name, field in getattr(node.config_schema.config_type, "fields", {}).items()
    }
    assert fields
    assert [key for key, field in fields.items() if not field.description or field.is_required] == []


@pytest.mark.slow
def test_the_code_location_loads_quickly_and_without_torch() -> None:
    code = "import sys, time, pipelines.definitions; print(time.process_time(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, has_torch = done.stdout.split()
    assert has_torch == "False"
    assert float(seconds) < 5  # of a processor: the wall clock of a busy machine says nothing


@pytest.mark.parametrize("table", SHOWN, ids=lambda table: table.name)
def test_an_asset_says_what_its_table_specification_says(table: Table) -> None:
    spec = SPECS[asset_key(table)]
    group = "model" if table in MODELS else "retraining" if table in RETRAINING else table.layer
    assert spec.group_name == group
    assert spec.description == table.grain
    assert spec.owners
    assert spec.kinds
    assert spec.code_version
    columns = spec.metadata["dagster/column_schema"].columns
    assert [(column.name, column.type) for column in columns] == [(c.name, c.kind.sql) for c in table.columns]
    assert all(column.description for column in columns)


def test_lineage_is_what_the_sql_reads() -> None:
    assert asset_key(TABLES["core.image"]) in reads(TABLES["out.image_catalog"])
    assert asset_key(TABLES["out.split"]) in reads(TABLES["out.image_catalog"])
    assert asset_key(TABLES["out.image_catalog"]) not in reads(TABLES["out.image_catalog"])
    assert all(reads(table) for table in DERIVED)


def test_all_but_what_is_checked_as_it_is_appended_has_a_blocking_check() -> None:
    graph = defs.resolve_asset_graph()
    checked = {key.asset_key for key in graph.asset_check_keys if graph.get_check_spec(key).blocking}
    assert checked == ({asset_key(table) for table in (*PARTITIONED, *HARMONIZED, *DERIVED)} | NO_TABLES) - {CHAMPION}


def test_rules_are_shown_with_their_columns() -> None:
    columns = {column.name: column for column in column_schema(TABLES["core.acquisition"]).columns}
    assert columns["echo_time_s"].constraints.other == ["echo_time_s > 0 AND echo_time_s < 1"]
    assert columns["image_id"].constraints.nullable is False


def test_a_preview_is_markdown_of_a_few_short_cells() -> None:
    rows = TABLES["raw.participant_row"].rows(
        [{"center_id": "a|b", "path": "x" * 99, "row": 1, "fields": '{"secret": 1}'} for _ in range(9)]
    )
    lines = preview(rows).splitlines()
    assert lines[0] == "| center_id | path | row | participant_id | session_label |"
    assert len(lines) == 2 + 5
    assert lines[2].startswith("| a\\|b | " + "x" * 47 + "… | 1 |")


def test_partitions_are_the_registered_centres(home: Home, tiny: RegisteredCenter) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("center", ["gone"])
        sync_partitions(instance, home)
        assert instance.get_dynamic_partitions("center") == ["tiny"]


def test_a_part_of_the_definitions_can_be_replaced() -> None:
    other = build_defs(resources={"home": "elsewhere"})
    assert other.resources is not None
    assert other.resources["home"] == "elsewhere"
    assert "progress" in other.resources
