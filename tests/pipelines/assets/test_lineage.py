"""The lineage of columns is what the SQL computes them from, and says nothing where the SQL leaves doubt."""

from __future__ import annotations

import dagster as dg
import pytest

from pipelines.assets.catalogue import DERIVED
from pipelines.assets.lineage import Column, column_lineage, query_origins
from warehouse.tables import TABLES, Table

CONTRAST = {Column("core.image", "contrast")}
ROLE = {Column("core.center", "role")}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT contrast FROM core.image", {"contrast": CONTRAST}),
        ("SELECT i.contrast AS c FROM core.image AS i", {"c": CONTRAST}),
        ("SELECT upper(contrast) AS c FROM core.image WHERE eligibility = 'eligible'", {"c": CONTRAST}),
        (
            "SELECT i.contrast || c.role AS both FROM core.image AS i INNER JOIN core.center AS c USING (center_id)",
            {"both": CONTRAST | ROLE},
        ),
        ("WITH a AS (SELECT contrast AS c FROM core.image) SELECT c AS d FROM a", {"d": CONTRAST}),
        ("WITH a AS (SELECT {'x': contrast} AS s FROM core.image) SELECT s.x AS d FROM a", {"d": CONTRAST}),
        ("SELECT d FROM (SELECT contrast AS d FROM core.image) AS q", {"d": CONTRAST}),
        ("SELECT contrast AS a FROM core.image UNION ALL SELECT role FROM core.center", {"a": CONTRAST | ROLE}),
        ("SELECT count(*) AS n FROM core.image", {"n": set()}),
        ("SELECT center_id AS c FROM core.image, core.center", {"c": set()}),  # either
        ("SELECT v AS c FROM core.image, unnest([1, 2]) AS u(v)", {"c": set()}),
        ("SELECT (SELECT max(role) FROM core.center) AS c FROM core.image", {"c": set()}),
        ("SELECT 1 AS one FROM elsewhere", {"one": set()}),
    ],
)
def test_a_column_comes_from_what_its_expression_names(query: str, expected: dict[str, set[Column]]) -> None:
    assert query_origins(query) == expected


def test_a_star_hands_on_the_columns_of_its_table() -> None:
    found = query_origins("SELECT i.*, c.role AS r FROM core.image AS i INNER JOIN core.center AS c USING (center_id)")
    assert found["contrast"] == CONTRAST
    assert found["r"] == ROLE
    assert "role" not in found


@pytest.mark.parametrize("table", DERIVED, ids=lambda table: table.name)
def test_every_column_of_a_derived_table_but_a_plain_count_has_a_known_origin(table: Table) -> None:
    lineage = column_lineage(table).deps_by_column
    assert {column.name for column in table.columns} - lineage.keys() <= {"n_images"}
    for deps in lineage.values():
        for dep in deps:
            columns = TABLES[".".join(dep.asset_key.path)].columns
            assert dep.column_name in {column.name for column in columns}


def test_the_split_of_a_person_comes_from_the_person_and_the_role_of_the_centre() -> None:
    deps = column_lineage(TABLES["out.split"]).deps_by_column["split"]
    assert dg.TableColumnDep(dg.AssetKey(["core", "center"]), "role") in deps
    assert dg.TableColumnDep(dg.AssetKey(["core", "participant"]), "person_id") in deps
