"""What a report finds, in a few lines for a terminal."""

from __future__ import annotations

from model.evaluation.baselines import IDENTITY, MAP_TRAIN
from model.evaluation.gates import gated_split
from model.evaluation.statistics import Estimate
from model.report.data import Figures

WHERE = {
    "test_internal": "people whom it never saw, of centres that it knows",
    "test_external": "people of centres that it never saw",
    "val": "people kept for validation",
    "acceptance": "simulated people of the acceptance set",
}


def lines(figures: Figures) -> list[str]:
    """Return one line for each split with pairs, one for retrieval, one for the gates; first what the data are."""
    found = (
        ["DEMONSTRATION ON SIMULATED DATA: these figures say nothing about patients."] if figures.is_simulated else []
    )
    found += [line for split in figures.protocol.splits if (line := _split(figures, split))]
    split = gated_split({row["split"] for row in figures.retrieval})
    for row in figures.retrieval:
        if (row["task"], row["metric"], row["split"]) == ("image_to_contrast", "recall_at_1", split):
            share, chance = f"{row['value']:.0%}", f"{row['chance']:.0%}"
            found.append(f"{share} of {row['n_queries']} images find their contrast among the words (chance {chance})")
    passed = sum(row["verdict"] == "passed" for row in figures.gates)
    n_open = sum(row["verdict"] == "not_enough_data" for row in figures.gates)
    too_few = f", {n_open} without enough people to tell" if n_open else ""
    return [*found, f"gates: {passed} of {len(figures.gates)} hold{too_few}"]


def _split(figures: Figures, split: str) -> str:
    line = figures.line(split, None, "psnr_db")
    if line.model is None:
        return ""
    against = [
        f"{_signed(line.gains.get(baseline))} dB against {name}"
        for baseline, name in ((IDENTITY, "the source as it is"), (MAP_TRAIN, "the best intensity map"))
        if baseline in line.gains
    ]
    people = f"{line.n_people} {WHERE.get(split, split)}"
    return f"brain PSNR {line.model.mean:.1f} dB ({', '.join(against)}), {line.n_pairs} pairs of {people}"


def _signed(found: Estimate | None) -> str:
    return "" if found is None else f"{found.mean:+.1f}"
