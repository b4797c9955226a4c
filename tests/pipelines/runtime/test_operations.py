"""A home's settings replace the shipped ones key by key; a wrong file is refused by file, key and remedy."""

from __future__ import annotations

import pytest

from pipelines.runtime.operations import OperationsError, default_operations, load_operations, path_of
from warehouse.lake.home import Home


def write(home: Home, text: str) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    path_of(home).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "retraining:\n", "drift: {}\n"])
def test_a_home_that_says_nothing_has_the_defaults(home: Home, text: str | None) -> None:
    if text is not None:
        write(home, text)
    assert load_operations(home) == default_operations()


def test_a_key_of_the_home_replaces_that_key_alone(home: Home) -> None:
    write(home, "retraining: {most_days: 7}\n")
    found, default = load_operations(home), default_operations()
    assert found.retraining.most_days == 7
    assert found.drift == default.drift
    assert found.retraining.model_copy(update={"most_days": default.retraining.most_days}) == default.retraining


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("retraining: {least_new: 3}\n", "retraining.least_new"),
        ("retraning: {most_days: 3}\n", "retraning"),
        ("drift: {significance: 2}\n", "drift.significance"),
        ("retraining: 3\n", "retraining"),
        ("retraining: {cron: every week}\n", "every week"),
        ("retraining: {cron: 0 3 31 2 *}\n", "0 3 31 2"),
        ("retraining: {time_zone: Mars/Olympus}\n", "Mars/Olympus"),
        ("retraining: {start: lukewarm}\n", "retraining.start"),
        ("- 1\n", "no sections"),
        ("retraining: {\n", "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_remedy(home: Home, text: str, key: str) -> None:
    write(home, text)
    with pytest.raises(OperationsError) as caught:
        load_operations(home)
    assert str(path_of(home)) in caught.value.what
    assert key in caught.value.what
    assert caught.value.remedy


def test_a_folder_in_place_of_the_file_is_refused(home: Home) -> None:
    path_of(home).mkdir(parents=True)
    with pytest.raises(OperationsError, match="cannot be read"):
        load_operations(home)
