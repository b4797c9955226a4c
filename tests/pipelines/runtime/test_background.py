"""Work goes on after a tick has given up waiting, once, and its result or its error is taken by a later one."""

from __future__ import annotations

import threading

import pytest

from pipelines.runtime.background import Background, StillWorkingError

LONG_S = 30.0


def test_work_that_ends_in_time_is_returned_and_forgotten() -> None:
    background = Background()
    assert background.result("k", "about", lambda: 3, LONG_S) == 3
    assert not background.goes_on("k")


def test_work_that_takes_longer_goes_on_once_until_its_result_is_taken() -> None:
    background, answers, begun = Background(), threading.Event(), []

    def work() -> str:
        begun.append(1)
        assert answers.wait(LONG_S)
        return "done"

    for _ in range(3):
        with pytest.raises(StillWorkingError):
            background.result("k", "about", work, 0.01)
    assert background.goes_on("k")
    answers.set()
    assert background._tasks["k"].has_ended.wait(LONG_S)
    assert background.result("k", "about", work, 0.0) == "done"
    assert begun == [1]


def test_an_error_of_the_work_is_raised_and_the_work_may_begin_again() -> None:
    def fail() -> None:
        raise OSError("Stale file handle")

    background = Background()
    with pytest.raises(OSError, match="Stale"):
        background.result("k", "about", fail, LONG_S)
    assert background.result("k", "about", lambda: 1, LONG_S) == 1


def test_work_about_something_else_takes_the_place_of_what_goes_on() -> None:
    background, answers = Background(), threading.Event()
    with pytest.raises(StillWorkingError):
        background.result("k", "old", lambda: answers.wait(LONG_S), 0.01)
    assert background.result("k", "new", lambda: "new", LONG_S) == "new"
    answers.set()
