"""Read the SQL files of the warehouse."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from warehouse.tables import TABLES

SQL = Path(__file__).parent / "sql"
QUERIES = Path(__file__).parent / "queries"
PROMPTS = Path(__file__).parents[1] / "prompts" / "render.sql"


@lru_cache
def read(name: str) -> str:
    """Return the text of ``warehouse/catalog/sql/<name>.sql``."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


def prompt_macros() -> str:
    """Return the macros that render a prompt from its record, which every snapshot contains."""
    return PROMPTS.read_text(encoding="utf-8")


def checks() -> dict[str, str]:
    """Return the checks over several tables by name; each selects the rows that break it."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((SQL / "checks").glob("*.sql"))}


def useful_queries() -> dict[str, str]:
    """Return the shipped queries by name; the first line of each is a comment that states its question."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(QUERIES.glob("*.sql"))}


@lru_cache
def spec_version() -> str:
    """Return a hash of the table specification and of all SQL files."""
    digest = hashlib.sha256()
    for table in TABLES.values():
        digest.update(f"{table.ddl()}\n{table.key}\n".encode())
    for path in (*sorted(SQL.rglob("*.sql")), PROMPTS):
        digest.update(f"{path.name}\n{path.read_text(encoding='utf-8')}\n".encode())
    return digest.hexdigest()[:16]
