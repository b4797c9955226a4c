"""Evaluate a text encoder: images of the catalogue by split, and simulated scans by protocols that nobody trained on.

The paper lets an image choose among ten random complete prompts, nearly all of which are of another contrast or
centre: it can be solved without reading a single number. So it is asked among up to a thousand prompts too, and between
prompts that differ in one number. In a centre a contrast has one protocol, so that what is known of numbers shows in
simulated scans alone, whose protocols are drawn independently of person and centre.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.data.boxes import Box, BoxedImages
from model.data.catalogue import CatalogueImages, Item
from model.data.head_bank import TEST_PEOPLE, VALIDATION_PEOPLE
from model.data.held_out_scans import HeldOutScans
from model.evaluation import retrieval_rows
from model.evaluation.gates import gated_split, verdict_on
from model.evaluation.matching import constant_answer, contrast_found
from model.evaluation.observer import IdealObserver, drawn_signals
from model.evaluation.pairs import refuse_leakage
from model.evaluation.recovery import Recovered, recovered
from model.evaluation.retrieval_examples import Example, Picture, choose_examples
from model.evaluation.retrieval_protocol import RetrievalProtocol
from model.evaluation.scorers import Encoder, Observer, Seen
from model.evaluation.single_field import parts
from model.evaluation.statistics import Estimate
from model.networks.checkpoint import read_model
from model.networks.pair_encoder import Matcher
from model.physics.tissue import N_TISSUES
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.prompts.vocabulary import CONTRASTS

CONTRAST_GATE, ECHO_GATE = "image_finds_its_contrast", "tells_echo_times_apart"
UNSEEN = "unseen_protocols"
N_PICTURES = 64  # simulated scans whose volumes are kept until the examples are chosen
IDENTITY = ("task", "split", "population", "form", "field", "change_low", "n_candidates", "metric")
Row = dict[str, Any]
Report = Callable[[int, int, str], None]


class Scan(Protocol):
    """A simulated scan and its truth, as `SimulatedScan` has them."""

    volume: NDArray[np.float32]
    record: PromptRecord
    signals: NDArray[np.float64]
    person: str
    is_stripped: bool


class Scans(Protocol):
    """Simulated scans of people whom training never draws, and of training people for the probes."""

    def tested(self, n_people: int, n_each: int) -> Iterable[Scan]:
        """Yield scans of test people."""

    def trained(self, n_people: int, n_each: int) -> Iterable[Scan]:
        """Yield scans of training people."""

    def prior(self, n: int) -> list[PromptRecord]:
        """Return the records of n protocols drawn alike."""


@dataclass(frozen=True)
class Group:
    """Whose images are measured together; real and simulated people, whole and stripped heads never are.

    Parameters
    ----------
    split : str
    population : {"real", "simulated"}
    form : {"whole", "stripped"}
    """

    split: str
    population: str
    form: str

    @classmethod
    def of(cls, item: Item) -> Group:
        """Return the group of an image of the catalogue."""
        return cls(item.split, "simulated" if item.is_simulated else "real", form_of(item.is_stripped))


@dataclass(frozen=True)
class Retrieval:
    """The outcome of an evaluation of a text encoder.

    Parameters
    ----------
    model_id, data_id, protocol_hash : str
    scores : list of dict
        Rows of `core.retrieval_score`.
    gates : list of dict
        Rows of `core.gate_verdict`.
    recovered : list of Recovered
        Numbers as they are and as they were recovered, for a picture.
    examples : list of Example
        Images beside candidate prompts, for a picture.
    """

    model_id: str
    data_id: str
    protocol_hash: str
    scores: list[Row]
    gates: list[Row]
    recovered: list[Recovered] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


def retrieval_scores(
    home: Home,
    path: Path,
    protocol: RetrievalProtocol,
    *,
    device: str = "cpu",
    report: Report | None = None,
    scans: Callable[[Box], Scans] | None = None,
    snapshot: str | None = None,
) -> Retrieval:
    """Measure a text encoder on people that it never saw.

    Parameters
    ----------
    home : Home
    path : Path
        Checkpoint of kind text_encoder.
    protocol : RetrievalProtocol
    device : {"cpu", "cuda"}
    report : callable, optional
        Told done, total and what is done.
    scans : callable, optional
        Returns simulated scans in the box of the encoder; default: those of the home's simulated heads.
    snapshot : str, optional
        Catalogue to read; default: the one in force.

    Raises
    ------
    ModelError
        When the model is unusable, or its recipe has made no volumes.
    """
    config, tensors = read_model(path)
    matcher = Matcher(config, tensors, device)
    images = CatalogueImages.open(home, config["recipe_id"], protocol.splits, cache_bytes=0, snapshot=snapshot)
    refuse_leakage(images.items, config.get("trained_on", {}), str(config["model_id"]))
    box = Box(tuple(config["box"]["shape"]), config["box"]["voxel_mm"])
    people = VALIDATION_PEOPLE if protocol.people == "validation" else TEST_PEOPLE
    source = scans(box) if scans else HeldOutScans(home.heads, box, protocol.seed, people)
    drawn = drawn_images(images.items, protocol)
    told = _Told(report, len(drawn) + (protocol.n_people + protocol.n_probe_people) * protocol.scans_per_person)
    encoder, observer = Encoder(matcher), Observer(IdealObserver(), source.prior(protocol.n_prior))
    items = [images.items[place] for place in drawn]
    catalogue = seen_items(items, matcher.embed_volumes(told.each(_volumes(BoxedImages(images, box), drawn))))
    pictures: list[NDArray[np.float32]] = []
    tested = _seen_scans(matcher, told.each(source.tested(protocol.n_people, protocol.scans_per_person)), pictures)
    fitted = _seen_scans(matcher, told.each(source.trained(protocol.n_probe_people, protocol.scans_per_person)), [])
    found = list(recovered(fitted, tested, observer)) if len(fitted) and len(tested) else []
    examples = choose_examples(
        encoder, catalogue, [item.is_simulated for item in items], lambda at: _picture(images, drawn[at])
    )
    if not examples:
        first = tested.at(range(len(pictures)))
        examples = choose_examples(encoder, first, [True] * len(first), lambda at: _boxed(pictures[at], box))
    place = {"model_id": config["model_id"], "data_id": images.data_id, "protocol_hash": protocol.hash}
    rows = [
        *catalogue_rows(encoder, observer, items, catalogue, protocol),
        *scan_rows(encoder, observer, tested, found, protocol),
    ]
    gates = [contrast_verdict(encoder, items, catalogue)]
    if protocol.gate_echo_time:
        gates.append(echo_verdict(encoder, tested))
    return Retrieval(
        **place,
        scores=[_identified({**place, **row}, IDENTITY) for row in rows],
        gates=[_identified({**place, "snapshot_id": images.snapshot_id, **row}, ("gate",)) for row in gates],
        recovered=found,
        examples=examples,
    )


def catalogue_rows(
    encoder: Encoder, observer: Observer, items: Sequence[Item], seen: Seen, protocol: RetrievalProtocol
) -> Iterator[Row]:
    """Yield the figures of the catalogue's images, by split, population and form; without identity."""
    groups = [Group.of(item) for item in items]
    for group in sorted(set(groups), key=lambda one: (protocol.splits.index(one.split), one.population, one.form)):
        inside = seen.at([place for place, one in enumerate(groups) if one == group])
        yield from _measured(encoder, observer, inside, group, protocol)


def scan_rows(
    encoder: Encoder, observer: Observer, tested: Seen, found: Sequence[Recovered], protocol: RetrievalProtocol
) -> Iterator[Row]:
    """Yield the figures of simulated scans by unseen protocols, and those of prompts alone; without identity."""
    if not len(tested):
        return
    for is_stripped in sorted(set(tested.is_stripped.tolist())):
        group = Group(UNSEEN, "simulated", form_of(is_stripped))
        inside = tested.at(np.flatnonzero(tested.is_stripped == is_stripped))
        yield from _measured(encoder, observer, inside, group, protocol)
    place = {"split": UNSEEN, "population": "simulated"}
    yield from (place | row for row in retrieval_rows.recovery_rows(found))
    yield from (place | row for row in retrieval_rows.robustness_rows(encoder, tested))
    if protocol.n_swept:
        step = max(1, len(tested) // protocol.n_swept)
        swept = tested.records[::step][: protocol.n_swept]
        yield from ({"split": UNSEEN} | row for row in retrieval_rows.smoothness_rows(encoder, swept))


def _measured(
    encoder: Encoder, observer: Observer, seen: Seen, group: Group, protocol: RetrievalProtocol
) -> Iterator[Row]:
    place = {"split": group.split, "population": group.population, "form": group.form}
    yield from (place | row for row in retrieval_rows.matching_rows(encoder, observer, seen, protocol.n_candidates))
    yield from (place | row for row in retrieval_rows.contrast_rows(encoder, observer, seen))
    yield from (place | row for row in retrieval_rows.field_rows(encoder, observer, seen))


def contrast_verdict(encoder: Encoder, items: Sequence[Item], seen: Seen) -> Row:
    """Return whether people's images find their contrast more often than by chance, without identity.

    People are the units, since images of one person resemble each other. Simulated people do not stand in for real
    ones: where the gated split has real people, they count.

    Parameters
    ----------
    encoder : Encoder
    items : sequence of Item
        Of all splits; those of the gated one count.
    seen : Seen
        The same images.
    """
    split, inside = gated_images(items)
    shares = contrast_found(encoder, seen.at(inside))
    asked = [place for place, share in zip(inside, shares, strict=True) if np.isfinite(share)]
    people = [items[place].person_id for place in asked]
    labels = [items[place].record.contrast for place in asked]
    chance = constant_answer(people, labels, len(CONTRASTS)) if asked else 1 / len(CONTRASTS)

    def words(found: Estimate) -> str:
        return (
            f"{found.mean:.1%}{_bounds(found)} of {len(asked)} images find their contrast among {len(CONTRASTS)};"
            f" chance is {chance:.1%}, which the best constant answer gets"
        )

    return verdict_on(CONTRAST_GATE, retrieval_rows.over_people(seen.at(inside), shares), chance, split, words)


def gated_images(items: Sequence[Item]) -> tuple[str, list[int]]:
    """Return the split that is gated, and the places of its images: of real people where it has any."""
    has_real = any(item.split == "test_internal" and not item.is_simulated for item in items)
    split = gated_split({item.split for item in items} - ({"acceptance"} if has_real else set()))
    return split, [
        place for place, one in enumerate(items) if one.split == split and not (has_real and one.is_simulated)
    ]


def echo_verdict(encoder: Encoder, tested: Seen) -> Row:
    """Return whether the right echo time is preferred to a wrong one more often than by chance, without identity."""
    headline = next(parts({"encoder": encoder}, tested, "echo_time_s"), None) if len(tested) else None
    if headline is None or headline.low is not None:
        return verdict_on(ECHO_GATE, None, 0.5, UNSEEN, str)

    def words(found: Estimate) -> str:
        return f"{found.mean:.1%}{_bounds(found)} of changes of the echo time that show are told from the right one"

    asked = tested.at(headline.owners)
    return verdict_on(
        ECHO_GATE, retrieval_rows.over_people(asked, headline.shares["encoder"]), 0.5, UNSEEN.replace("_", " "), words
    )


def drawn_images(items: Sequence[Item], protocol: RetrievalProtocol) -> list[int]:
    """Return places of at most so many images of each split, by a hash of the seed and the image."""
    chosen: list[int] = []
    for split in protocol.splits:
        places = [place for place, item in enumerate(items) if item.split == split]
        ordered = sorted(places, key=lambda place: _hash(str(protocol.seed), items[place].image_id))
        chosen += ordered[: protocol.max_images]
    return sorted(chosen)


def form_of(is_stripped: bool) -> str:
    """Return the name of a form."""
    return "stripped" if is_stripped else "whole"


class _Told:
    """Reports progress over several iterables."""

    def __init__(self, report: Report | None, total: int) -> None:
        self.report, self.total, self.done = report, total, 0

    def each(self, found: Iterable[Any]) -> Iterator[Any]:
        for one in found:
            if self.report:
                self.report(self.done, self.total, "images")
            self.done += 1
            yield one


def _volumes(boxed: BoxedImages, places: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    return (boxed.volume(place) for place in places)


def seen_items(items: Sequence[Item], vectors: NDArray[np.float32]) -> Seen:
    """Return images of the catalogue as they are seen; simulated people have signals drawn from the spread."""
    signals = np.full((len(items), N_TISSUES), np.nan)
    drawn = [place for place, item in enumerate(items) if item.is_simulated]
    if drawn:
        signals[drawn] = drawn_signals([items[i].record for i in drawn], [items[i].image_id for i in drawn])
    return Seen(
        [item.record for item in items],
        [item.person_id for item in items],
        vectors,
        np.array([item.is_stripped for item in items], bool),
        signals,
    )


def _seen_scans(matcher: Matcher, scans: Iterable[Scan], pictures: list[NDArray[np.float32]]) -> Seen:
    """Return simulated scans as they are seen; the volumes of the first ones are put into `pictures`."""
    kept: list[tuple[PromptRecord, str, bool, NDArray[np.float64]]] = []

    def volumes() -> Iterator[NDArray[np.float32]]:
        for scan in scans:
            kept.append((scan.record, scan.person, scan.is_stripped, scan.signals))
            if len(pictures) < N_PICTURES:
                pictures.append(scan.volume)
            yield scan.volume

    vectors = matcher.embed_volumes(volumes())
    records, people, is_stripped, signals = (list(column) for column in zip(*kept, strict=True)) if kept else ([],) * 4
    shape = (len(kept), N_TISSUES)
    return Seen(records, people, vectors, np.array(is_stripped, bool), np.array(signals, float).reshape(shape))


def _picture(images: CatalogueImages, place: int) -> Picture:
    sample = images.volume(place)
    return Picture(sample.voxels, sample.mask, sample.affine)


def _boxed(volume: NDArray[np.float32], box: Box) -> Picture:
    return Picture(volume, np.zeros(volume.shape, bool), np.diag([box.voxel_mm] * 3 + [1.0]))


def _bounds(found: Estimate) -> str:
    return "" if found.low is None else f" [{found.low:.1%}, {found.high:.1%}]"


def _identified(row: Row, names: Sequence[str]) -> Row:
    parts = (row["model_id"], row["data_id"], row["protocol_hash"], *(str(row.get(name)) for name in names))
    return {"event_id": _hash(*parts), **row}


def _hash(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]
