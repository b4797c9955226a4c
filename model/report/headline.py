"""What a report finds, in a few lines for a terminal."""

from __future__ import annotations

from statistics import fmean

from model.evaluation.baselines import IDENTITY, MAP_ORACLE, MAP_TRAIN
from model.evaluation.gates import gated_split
from model.report.data import Figures, Group
from model.report.words import people

WHERE = {
    "cross_validation": "of the fold that its training held out",
    "test_internal": "whom it never saw, of centres that it knows",
    "test_external": "of centres that it never saw",
    "val": "kept for validation",
    "acceptance": "of the acceptance set",
    "train": "whom it was trained on",
}
AGAINST = {IDENTITY: "the source as it is", MAP_TRAIN: "the pooled map", MAP_ORACLE: "the fitted map"}


def lines(figures: Figures) -> list[str]:
    """Return one line for each population and split, one for retrieval, one for the gates; first what the data are.

    The form is native, which is what ships; the harmonised grid where nothing was scored from file to file.
    """
    found = (
        ["DEMONSTRATION ON SIMULATED DATA: these figures say nothing about patients."] if figures.is_simulated else []
    )
    found += [_group(figures, group) for group in figures.tested(figures.form)]
    split = gated_split({row["split"] for row in figures.retrieval})
    for row in figures.retrieval:
        if (row["task"], row["metric"], row["split"]) == ("image_to_contrast", "recall_at_1", split):
            share, chance = f"{row['value']:.0%}", f"{row['chance']:.0%}"
            whose = f" of {row['form']} heads ({row['population']} people)" if row["form"] else ""
            said = f"images{whose} find their contrast among the words (chance {chance})"
            found.append(f"{share} of {row['n_queries']} {said}")
    passed = sum(row["verdict"] == "passed" for row in figures.gates)
    n_open = sum(row["verdict"] == "not_enough_data" for row in figures.gates)
    too_few = f", {n_open} without enough people to tell" if n_open else ""
    return [*found, f"gates: {passed} of {len(figures.gates)} hold{too_few}"]


def _group(figures: Figures, group: Group) -> str:
    line = figures.line(group, None, "psnr_db")
    assert line.mean is not None  # the group was tested
    gains = [f"{fmean(line.gains[name]):+.1f} dB on {said}" for name, said in AGAINST.items() if name in line.gains]
    against = f" ({', '.join(gains)})" if gains else ""
    where = "from file to file" if group.form == "native" else "on the harmonised grid"
    who = people(line.n_people).replace(" p", f" {group.population} p")
    pairs = f"{line.n_pairs} {'pair' if line.n_pairs == 1 else 'pairs'}"
    return f"brain PSNR {where} {line.mean:.1f} dB{against}, {pairs} of {who} {WHERE[group.split]}"
