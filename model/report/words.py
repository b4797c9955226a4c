"""How a page names things and writes figures: names of measures, people and baselines; numbers, intervals, verdicts."""

from __future__ import annotations

from model.evaluation.baselines import IDENTITY, MAP_ORACLE, MAP_TRAIN, RESCAN, START
from model.evaluation.statistics import Estimate
from model.report.data import Group

MODEL = "model"
DECIMALS = {"psnr_db": 2, "ssim": 3, "mae": 3, "nmi": 3, "psnr_db_fitted": 2, "ssim_fitted": 3, "mae_fitted": 3}
LOWER_IS_BETTER = ("mae", "mae_fitted")
COLUMNS = {  # of the table of tasks, in order: measure, and whether a gain and an offset were fitted
    "psnr_db": ("PSNR, dB", "as made"),
    "psnr_db_fitted": ("PSNR, dB", "fitted"),
    "ssim": ("SSIM", "as made"),
    "ssim_fitted": ("SSIM", "fitted"),
    "mae": ("MAE", "as made"),
    "nmi": ("NMI", "as made"),
}
VOLUME_COLUMNS = {"psnr_db": "PSNR, dB", "ssim": "SSIM", "mae": "MAE"}
MAKER_NAMES = {
    MODEL: "model",
    START: "model that it began with",
    IDENTITY: "source as it is",
    MAP_TRAIN: "pooled map",
    MAP_ORACLE: "fitted map",
    RESCAN: "ceiling: rescan",
}
POPULATION_NAMES = {"real": "Real people", "simulated": "Simulated people"}
FORM_NAMES = {"native": "What ships: from file to file", "session": "On the harmonised grid"}
FORM_NOTES = {
    "native": "The path that a user calls: from a scan file to a file on the target's own grid.",
    "session": "Both scans resampled to one grid before they are compared: what training sees, not what ships.",
}
SPLIT_NAMES = {
    "cross_validation": "people of the fold that was held out",
    "test_internal": "internal test people",
    "test_external": "external centres",
    "acceptance": "acceptance set",
    "val": "validation people",
    "train": "training people",
}
SPLIT_NOTES = {
    "cross_validation": "People whom this model never saw, of centres that it was trained on; one fold of several.",
    "test_internal": "People whom the model never saw, of centres that it was trained on.",
    "test_external": "People of centres that the model never saw.",
    "acceptance": "Simulated people on whom nothing is trained, kept for the gates of a demonstration.",
    "val": "People on whom the state of the training was chosen, not its weights.",
    "train": "People whom the model was trained on: they show fitting, not generalising.",
}
VERDICT_MARKS = {
    "passed": ("passed", "✔ passed"),
    "failed": ("failed", "✖ failed"),
    "not_enough_data": ("open", "○ not enough data"),
}


def task_name(task: str) -> str:
    """Return a task as people write it: ``T1w+T2w_to_FLAIR`` becomes T1w + T2w → FLAIR."""
    return task.replace("_to_", " → ").replace("+", " + ")


def group_name(group: Group) -> str:
    """Return population and split in words."""
    return f"{POPULATION_NAMES[group.population]}, {SPLIT_NAMES[group.split]}"


def number(value: float, decimals: int, sign: bool = False) -> str:
    """Return a number with a true minus sign, and a plus where it is asked for; what rounds to zero has neither."""
    text = f"{abs(value):,.{decimals}f}"
    if not float(text.replace(",", "")):
        return text
    return ("−" if value < 0 else "+" if sign else "") + text


def percent(value: float, decimals: int = 1) -> str:
    """Return a share as a percentage."""
    return f"{number(100 * value, decimals)} %"


def interval(found: Estimate, decimals: int, sign: bool = False, scale: float = 1.0) -> str:
    """Return ``[low, high]``; empty where there is none."""
    if found.low is None or found.high is None:
        return ""
    return f"[{number(scale * found.low, decimals, sign)}, {number(scale * found.high, decimals, sign)}]"


def verdict(found: Estimate, metric: str) -> str:
    """Return better or worse; empty where the interval holds zero or there is none."""
    if not found.excludes_zero:
        return ""
    return "worse" if (found.mean < 0) != (metric in LOWER_IS_BETTER) else "better"


def people(n_people: int) -> str:
    """Return how many people, in words."""
    return f"{n_people:,} {'person' if n_people == 1 else 'people'}"


def first_bar(found: Estimate) -> str:
    """Return whether a model clears the first bar: the map fitted on the test volume itself.

    Parameters
    ----------
    found : Estimate
        Gain in brain PSNR as made on that map, dB.
    """
    by = f"{number(found.mean, 2, sign=True)} dB {interval(found, 2, sign=True)}".strip()
    bar = "the first bar, an intensity map fitted on the test volume itself"
    if found.low is None:
        too_few = f"too few people ({found.n_people}) to tell whether the model clears {bar}"
        return f"{too_few}: {by} in brain PSNR on average."
    if found.excludes_zero and found.mean > 0:
        return f"the model clears {bar}: {by} in brain PSNR."
    if found.excludes_zero:
        return f"the model does not clear {bar}: {by} in brain PSNR."
    return f"the model and {bar}, cannot be told apart: {by} in brain PSNR."
