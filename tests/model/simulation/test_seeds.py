from __future__ import annotations

from model.simulation.seeds import stream


def test_a_stream_is_the_same_whenever_it_is_asked_for() -> None:
    assert stream(7, "body").random(5).tolist() == stream(7, "body").random(5).tolist()


def test_streams_of_other_names_seeds_and_splits_differ() -> None:
    first = {stream(*names).random() for names in ((7, "body"), (8, "body"), (7, "lesions"), (7, "bo", "dy"))}
    assert len(first) == 4
