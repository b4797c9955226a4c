"""Reading the catalogue: snapshots, and a sandbox that hostile SQL does not leave."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse.catalog import snapshots as kept
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue, describe, snapshots, tables
from warehouse.errors import CatalogueError
from warehouse.lake.home import Home
from warehouse.tables import TABLES

ROOT = Path(__file__).parents[3]


@pytest.fixture
def catalogue(published_once: Any) -> Catalogue:
    return Catalogue(published_once.home)


# ---------------------------------------------------------------- snapshots


def test_a_home_without_a_snapshot_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="nothing is published") as refused:
        Catalogue(Home(tmp_path))
    assert "tumsyn ingest" in refused.value.remedy
    with pytest.raises(CatalogueError, match="nothing is published"):
        snapshots(Home(tmp_path))


def test_an_unknown_snapshot_is_refused_and_the_known_ones_are_named(published_once: Any) -> None:
    with pytest.raises(CatalogueError, match="no snapshot 'zzz'") as refused:
        Catalogue(published_once.home, "zzz")
    assert Catalogue(published_once.home).snapshot_id in refused.value.remedy


@pytest.mark.slow
def test_past_snapshots_can_be_asked_by_identity_or_its_beginning(small: Any) -> None:
    first = small.publish()
    small.participant("alpha", "04", has_images=False)
    second = small.publish()
    count = "SELECT count(*) AS n FROM core.participant"
    assert Catalogue(small.home).query(count)["n"].to_pylist() == [7]
    assert Catalogue(small.home, first.snapshot_id).query(count)["n"].to_pylist() == [6]
    assert Catalogue(small.home, second.snapshot_id[:8]).path == second.path
    with pytest.raises(CatalogueError, match="no snapshot"):
        Catalogue(small.home, "")


@pytest.mark.slow
def test_the_list_of_snapshots_is_what_each_says_of_itself(small: Any) -> None:
    first = small.publish()
    kept.pin(small.home, first.snapshot_id, "model:1")
    second = publish(small.home, run_id="run")
    listed = snapshots(small.home).to_pylist()
    assert [row["snapshot_id"] for row in listed] == [second.snapshot_id, first.snapshot_id]
    assert [row["parent_id"] for row in listed] == [first.snapshot_id, None]
    assert [row["is_in_force"] for row in listed] == [True, False]
    assert [row["pinned_by"] for row in listed] == [[], ["model:1"]]
    assert [row["run_id"] for row in listed] == ["run", None]
    assert listed[0]["data_id"] == listed[1]["data_id"] == first.data_id


def test_tables_and_their_columns_describe_themselves(catalogue: Catalogue) -> None:
    listed = {row["table_name"]: row for row in tables(catalogue).to_pylist()}
    assert set(listed) == set(TABLES)
    assert listed["core.image"]["n_rows"] == 13
    assert listed["core.image"]["grain"] == TABLES["core.image"].grain
    columns = describe(catalogue, "core.image").to_pylist()
    assert [row["column_name"] for row in columns] == [column.name for column in TABLES["core.image"].columns]
    assert [row["description"] for row in columns] == [column.description for column in TABLES["core.image"].columns]
    with pytest.raises(CatalogueError, match=r"no table 'core\.brain'") as refused:
        describe(catalogue, "core.brain")
    assert "core.image" in refused.value.remedy


@pytest.mark.slow
def test_a_reader_keeps_its_view_while_another_process_publishes(small: Any) -> None:
    small.publish()
    small.participant("alpha", "04", has_images=False)
    small.commit()
    script = "import sys; from pathlib import Path; from warehouse.lake.home import Home; "
    script += "from warehouse.catalog.publish import publish"
    script += "; assert publish(Home(Path(sys.argv[1])), keep=1).changed"
    reader = Catalogue(small.home)
    with reader.connect() as connection:
        query = "SELECT count(*) FROM core.participant"
        before = connection.execute(query).fetchall()
        process = subprocess.Popen([sys.executable, "-c", script, str(small.home.root)], cwd=ROOT)
        asked = 0
        while process.poll() is None:
            assert connection.execute(query).fetchall() == before
            asked += 1
        assert process.returncode == 0
        assert asked > 0
        assert connection.execute(query).fetchall() == before == [(6,)]
        assert not reader.path.exists(), "retired, and still readable by who holds it"
        with Catalogue(small.home).connect() as fresh:
            assert fresh.execute(query).fetchall() == [(7,)]


def test_the_trusted_connection_is_read_only(catalogue: Catalogue) -> None:
    with catalogue.connect() as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("DELETE FROM core.image")


# ---------------------------------------------------------------- the sandbox: what it answers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        pytest.param("SELECT count(*) AS n FROM out.prompt;", [{"n": 12}], id="a select"),
        pytest.param("-- why\nWITH a AS (SELECT 1 AS n) FROM a", [{"n": 1}], id="a comment and a CTE"),
        pytest.param("SELECT * FROM core.image WHERE FALSE", [], id="no rows"),
        pytest.param(
            "SELECT [1, NULL] AS list, {'a': 'ü'} AS pair", [{"list": [1, None], "pair": {"a": "ü"}}], id="nested"
        ),
    ],
)
def test_a_question_is_answered(catalogue: Catalogue, sql: str, rows: list[dict[str, object]]) -> None:
    assert catalogue.query(sql).to_pylist() == rows


def test_an_answer_without_rows_keeps_its_columns(catalogue: Catalogue) -> None:
    names = catalogue.query("SELECT * FROM core.image WHERE FALSE").column_names
    assert names == [column.name for column in TABLES["core.image"].columns]


@pytest.mark.slow
@pytest.mark.parametrize("sql", ["DESCRIBE core.image", "SUMMARIZE core.image", "EXPLAIN SELECT 1", "SHOW ALL TABLES"])
def test_looking_around_is_allowed(catalogue: Catalogue, sql: str) -> None:
    assert catalogue.query(sql).num_rows > 0


def test_prompts_can_be_rendered_by_whoever_asks(catalogue: Catalogue) -> None:
    sql = "SELECT count_if(out.render_prompt(record) = prompt) AS n FROM out.prompt"
    assert catalogue.query(sql).to_pylist() == [{"n": 12}]


# ---------------------------------------------------------------- the sandbox: what it refuses

OUTSIDE = {
    "a CSV": "SELECT * FROM read_csv('{file}')",
    "a text": "SELECT * FROM read_text('{file}')",
    "a blob": "SELECT * FROM read_blob('{file}')",
    "a JSON": "SELECT * FROM read_json('{file}')",
    "a Parquet": "SELECT * FROM read_parquet('{file}')",
    "a path as a table": "SELECT * FROM '{file}'",
    "a listing": "SELECT * FROM glob('/etc/*')",
    "a sniffer": "SELECT * FROM sniff_csv('{file}')",
    "another database": "SELECT * FROM read_duckdb('{file}', table_name = 'x')",
    "the network": "SELECT * FROM read_csv('https://example.org/a.csv')",
    "a query in a text": "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "the environment": "SELECT getenv('HOME')",
    "the environment through a setting": "SELECT getvariable('HOME') || secret",
    "a variable of the process": "SELECT * FROM json",
    "another home's snapshot": "SELECT * FROM '{file}.duckdb'.core.image",
    "Parquet's metadata": "SELECT * FROM parquet_metadata('{file}')",
    "Parquet's schema": "SELECT * FROM parquet_schema('{file}')",
    "a text by the path of a descriptor": "SELECT * FROM read_text('/proc/self/environ')",
    "standard input": "SELECT * FROM read_csv('/dev/stdin')",
    "a Python object": "SELECT * FROM request",
    "a file in a subquery": "SELECT (SELECT content FROM read_text('{file}')) FROM core.center",
    "a file in a lateral join": "SELECT * FROM core.center, LATERAL (SELECT * FROM read_blob('{file}'))",
    "an Arrow scan": "SELECT * FROM arrow_scan(0, 0, 0)",
    "a pandas scan": "SELECT * FROM pandas_scan(0)",
}
STATEMENTS = {
    "copy out": "COPY core.image TO '{target}'",
    "copy out by export": "EXPORT DATABASE '{target}'",
    "attach": "ATTACH '{target}' AS other",
    "attach read-only": "ATTACH '/etc/passwd' AS other (READ_ONLY)",
    "detach": "DETACH catalogue",
    "use": "USE core",
    "import": "IMPORT DATABASE '{target}'",
    "copy in": "COPY core.image FROM '/etc/passwd'",
    "copy a query": "COPY (SELECT 1) TO '{target}' (FORMAT parquet)",
    "a secret": "CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "a macro": "CREATE MACRO read_all() AS TABLE SELECT * FROM read_text('/etc/passwd')",
    "a view": "CREATE VIEW stolen AS SELECT 1",
    "a variable": "SET VARIABLE x = 1",
    "access from outside again": "SET enable_external_access = true",
    "the configuration unlocked": "SET lock_configuration = false",
    "a pragma that runs": "PRAGMA database_list",
    "execute": "EXECUTE a",
    "merge": "MERGE INTO core.center USING core.center s ON false WHEN NOT MATCHED THEN INSERT BY NAME",
    "install": "INSTALL httpfs",
    "load": "LOAD httpfs",
    "set": "SET memory_limit = '1TB'",
    "reset": "RESET memory_limit",
    "pragma": "PRAGMA enable_profiling",
    "call": "CALL enable_logging()",
    "create": "CREATE TABLE stolen AS SELECT 1",
    "create a temporary one": "CREATE TEMP TABLE stolen AS SELECT 1",
    "insert": "INSERT INTO core.center SELECT * FROM core.center",
    "delete": "DELETE FROM core.image",
    "update in a CTE": "WITH a AS (SELECT 1) UPDATE core.center SET title = 'x'",
    "drop": "DROP TABLE core.image",
    "alter": "ALTER TABLE core.image ADD COLUMN x INTEGER",
    "explain that writes": "EXPLAIN ANALYZE DELETE FROM core.image",
    "explain that copies": "EXPLAIN ANALYZE COPY core.image TO '{target}'",
    "explain that attaches": "EXPLAIN ANALYZE ATTACH '{target}'",
    "two statements": "SELECT 1; SELECT 2",
    "a file after a select": "SELECT 1; COPY core.image TO '{target}'",
    "a hidden second one": "SELECT 1; -- \n DROP TABLE core.image",
    "none": "  ; -- nothing",
    "empty": "",
    "a transaction": "BEGIN",
    "prepare": "PREPARE a AS SELECT 1",
    "vacuum": "VACUUM",
    "a checkpoint": "CHECKPOINT",
    "a pivot that creates types": "PIVOT core.image ON contrast",
}


@pytest.mark.parametrize("sql", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_nothing_outside_the_snapshot_can_be_read(catalogue: Catalogue, sql: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("secret\n")
    with pytest.raises(CatalogueError) as refused:
        catalogue.query(sql.format(file=file))
    assert "secret\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("sql", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_whatever_is_not_one_question_is_refused(catalogue: Catalogue, sql: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError):
        catalogue.query(sql.format(target=tmp_path / "stolen"))
    assert list(tmp_path.iterdir()) == []


def test_no_file_can_be_written_through_a_log(catalogue: Catalogue, tmp_path: Path) -> None:
    sql = f"SELECT * FROM enable_logging('QueryLog', storage = 'file', storage_path = '{tmp_path}/log')"
    with contextlib.suppress(CatalogueError):  # whether it is refused depends on the database's version
        catalogue.query(sql)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        pytest.param("SELEC 1", 'syntax error at or near "SELEC"', id="a typing error"),
        pytest.param("SELECT * FROM core.imag", "imag", id="an unknown table"),
        pytest.param("SELECT echo_time FROM core.acquisition", "echo_time_s", id="an unknown column"),
    ],
)
def test_a_wrong_question_is_explained_in_the_databases_own_words(catalogue: Catalogue, sql: str, said: str) -> None:
    with pytest.raises(CatalogueError, match=said):
        catalogue.query(sql)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c", id="a cross join"),
        pytest.param("SELECT length(rpad('x', 400000000, 'y'))", id="a function that heeds no interrupt"),
        pytest.param(
            "WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a) SELECT count(*) FROM a", id="a recursion"
        ),
    ],
)
def test_a_question_that_takes_hours_ends_after_its_time(catalogue: Catalogue, sql: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(CatalogueError, match="longer than"):
        catalogue.query(sql, timeout_s=1)
    assert time.perf_counter() - begun < 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("SELECT list(i) FROM range(1000000000) t(i)", id="an aggregate"),
        pytest.param("SELECT length(repeat('x', 2000000000))", id="a text that the database does not count"),
        pytest.param("SELECT * FROM range(1000000000)", id="an answer"),
        pytest.param("SELECT DISTINCT md5(i::VARCHAR) FROM range(100000000) t(i)", id="a hash table"),
    ],
)
def test_a_question_that_needs_huge_memory_is_refused(catalogue: Catalogue, sql: str) -> None:
    with pytest.raises(CatalogueError, match="memory"):
        catalogue.query(sql, memory_limit="200MB", timeout_s=60)


@pytest.mark.parametrize("limit", ["lots", "10", "-1GB", "1 PB"])
def test_a_memory_limit_that_is_no_size_is_refused(catalogue: Catalogue, limit: str) -> None:
    with pytest.raises(CatalogueError, match="is not a size"):
        catalogue.query("SELECT 1", memory_limit=limit)


def test_importing_the_catalogue_is_light() -> None:
    script = (
        "import sys; import warehouse.catalog.query; print({'duckdb', 'pandas', 'torch', 'dagster'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
