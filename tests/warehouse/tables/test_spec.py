"""Rules of columns."""

from __future__ import annotations

import duckdb
import pytest

from warehouse.tables.spec import inside


@pytest.mark.parametrize(
    ("path", "is_inside"),
    [
        ("volumes/a/session.zarr", True),
        ("models/0123", True),
        ("a..b/..c/d..", True),
        (".hidden", True),
        ("/etc/passwd", False),
        ("..", False),
        ("../a", False),
        ("a/../../b", False),
        ("a/..", False),
        ("//a", False),
    ],
)
def test_a_path_inside_is_relative_and_never_goes_up(path: str, is_inside: bool) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {inside('path')} FROM (SELECT ? AS path)", [path]).fetchall() == [
            (is_inside,)
        ]
