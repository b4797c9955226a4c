"""Databases in folders with any name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.runtime.addresses import addressable
from warehouse.errors import TumsynError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["a?b", "50%"])
def test_only_a_path_that_a_database_cannot_be_given_is_linked(tmp_path: Path, cache: Path, name: str) -> None:
    assert addressable(tmp_path) == tmp_path
    odd = tmp_path / name
    odd.mkdir()
    link = addressable(odd)
    assert link.parent == cache / "tumsyn"
    assert link.resolve() == odd
    assert addressable(odd) == link


def test_a_link_that_leads_elsewhere_is_set_right(tmp_path: Path) -> None:
    odd = tmp_path / "a?b"
    odd.mkdir()
    link = addressable(odd)
    link.unlink()
    link.symlink_to(tmp_path)
    assert addressable(odd).resolve() == odd


def test_where_no_link_can_be_made_the_mend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "50%"))
    with pytest.raises(TumsynError, match="XDG_CACHE_HOME"):
        addressable(tmp_path / "a?b")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(TumsynError, match="no link"):
        addressable(tmp_path / "a?b")
