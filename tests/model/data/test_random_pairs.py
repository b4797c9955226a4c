from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from model.data import random_pairs
from model.data.random_pairs import RandomPair, RandomPairs, Ranges, make_pair, random_subject
from model.simulation.head import Head, make_head
from warehouse.errors import PhantomError
from warehouse.prompts.record import render

pytestmark = pytest.mark.slow  # its fixtures take seconds

COARSE_MM = 6.0


@pytest.fixture(scope="module")
def head() -> Head:
    return make_head(random_subject(Ranges(), 5, 0), COARSE_MM)


@pytest.fixture
def one_anatomy(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that draw people but image one head: drawing a head is tested with heads, and is slow."""
    monkeypatch.setattr(random_pairs, "make_head", lambda subject, resolution_mm: replace(head, subject=subject))


@pytest.fixture(scope="module")
def pairs(head: Head) -> list[RandomPair]:
    return [make_pair(head, Ranges(), (5, 0, number)) for number in range(12)]


def test_images_of_a_pair_lie_on_the_grid_of_the_head_on_the_brains_scale(head: Head, pairs: list[RandomPair]) -> None:
    for pair in pairs:
        for name in ("source", "target"):
            image = pair[name]  # type: ignore[literal-required]
            assert image.shape == pair["mask"].shape == (1, *head.fractions.shape[1:])
            assert image.dtype == torch.float32
            low, median, high = np.percentile(image[pair["mask"]].numpy(), (10, 50, 90))
            assert median == pytest.approx(0, abs=1e-3)
            assert high - low == pytest.approx(1, abs=1e-3)
            assert image.min() < -1
        assert pair["mask"].dtype == torch.bool
        assert np.array_equal(pair["affine"].numpy(), head.affine)


def test_thick_slices_are_put_back_where_the_head_is(head: Head) -> None:
    thick = Ranges(contrasts=("PDw",), thick_share=1.0, slice_mm=(12.0, 12.0), snr=(200, 200), receive_bias=(0, 0))
    tissue = head.fractions.sum(0).double()
    points = torch.stack(torch.meshgrid(*[torch.arange(n).double() for n in tissue.shape], indexing="ij"))
    truth = (points * tissue).sum((1, 2, 3)) / tissue.sum()
    image = make_pair(head, thick, ("thick",))["source"][0]
    outline = (image > 0.85 * image.min()).double()
    found = (points * outline).sum((1, 2, 3)) / outline.sum()
    assert (found - truth).abs().max() < 0.6  # voxels


def test_a_record_says_what_the_scanner_was_told(pairs: list[RandomPair]) -> None:
    for pair in pairs:
        for record in (pair["source_record"], pair["target_record"]):
            assert record.echo_time_s is not None
            assert record.repetition_time_s is not None
            assert record.echo_time_s < record.repetition_time_s
            assert record.flip_angle_variable == (record.flip_angle_deg is None)
            assert "None" not in render(record).replace("None, ", "", 1)  # TI alone may be missing
        assert pair["source_record"].age_years == pair["target_record"].age_years


def test_contrasts_and_parameters_differ_from_pair_to_pair(pairs: list[RandomPair]) -> None:
    assert len({pair["source_record"].contrast for pair in pairs}) >= 4
    assert len({pair["target_record"].echo_time_s for pair in pairs}) == len(pairs)


def test_only_the_contrasts_asked_for_are_made(head: Head) -> None:
    ranges = Ranges(contrasts=("T2w",), thick_share=0.0)
    pair = make_pair(head, ranges, ("only",))
    assert pair["source_record"].contrast == pair["target_record"].contrast == "T2w"
    assert pair["source_record"].voxel_size_mm == (COARSE_MM,) * 3


@pytest.mark.usefixtures("one_anatomy")
def test_the_same_seed_gives_the_same_pairs_and_another_seed_others() -> None:
    first, again = (next(iter(RandomPairs(3, COARSE_MM))) for _ in range(2))
    other = next(iter(RandomPairs(4, COARSE_MM)))
    assert torch.equal(first["source"], again["source"])
    assert torch.equal(first["target"], again["target"])
    assert first["source_record"] == again["source_record"]
    assert first["source_record"] != other["source_record"]


@pytest.mark.usefixtures("one_anatomy")
def test_workers_share_the_heads_among_them_and_make_the_same_pairs() -> None:
    stream = RandomPairs(3, COARSE_MM, pairs_per_head=1, n_heads=2)
    alone = {str(pair["source_record"]): pair["source"] for pair in stream}
    shared = list(DataLoader(stream, batch_size=None, num_workers=2))
    assert len(shared) == len(alone) == 2
    for pair in shared:
        assert torch.equal(pair["source"], alone[str(pair["source_record"])])


@pytest.mark.usefixtures("one_anatomy")
def test_a_stream_without_end_goes_on_and_a_bounded_one_ends() -> None:
    assert len(list(islice(RandomPairs(1, COARSE_MM, pairs_per_head=2), 3))) == 3
    assert len(list(RandomPairs(1, COARSE_MM, pairs_per_head=2, n_heads=1))) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"pairs_per_head": 0}, id="no pairs"),
        pytest.param({"n_heads": 0}, id="no heads"),
        pytest.param({"ranges": Ranges(contrasts=("DWI",))}, id="a contrast that is not simulated"),
    ],
)
def test_what_cannot_be_streamed_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PhantomError):
        RandomPairs(1, **wrong)  # type: ignore[arg-type]


def test_people_differ_and_stay_within_the_ranges() -> None:
    people = [random_subject(Ranges(age_years=(20, 30), lesion_share=0.5), 1, number) for number in range(40)]
    assert len({person.seed for person in people}) == len(people)
    assert all(20 <= person.age_years <= 30 for person in people)
    assert {person.sex for person in people} == {"F", "M"}
    assert 5 < sum(bool(person.lesions) for person in people) < 35
    assert people[3] == random_subject(Ranges(age_years=(20, 30), lesion_share=0.5), 1, 3)
