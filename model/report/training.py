"""Training and origin of a model as a page shows them: loss curves, retrieval of its text encoder, provenance."""

from __future__ import annotations

from typing import Any

from model.report.data import Figures

N_CURVES = 2


def curves(figures: Figures) -> list[dict[str, Any]]:
    """Return the loss and one more curve of the training, as points of a drawing of 420 × 170 units."""
    points: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in figures.curve:
        points.setdefault(row["metric"], {}).setdefault(row["split"], []).append((row["step"], row["value"]))
    shown = [name for name, splits in points.items() if max(map(len, splits.values())) > 1]
    drawn = []
    for name in sorted(shown, key=lambda name: (name != "loss", name))[:N_CURVES]:
        steps, values = zip(*(point for each in points[name].values() for point in each), strict=True)
        last, low, high = max(steps) or 1, min(values), max(values)
        room = (high - low) or 1.0
        lines = [
            (split, " ".join(f"{60 + 350 * s / last:.1f},{12 + 130 * (high - v) / room:.1f}" for s, v in sorted(each)))
            for split, each in sorted(points[name].items())
        ]
        drawn.append({"name": name, "lines": lines, "low": f"{low:.3g}", "high": f"{high:.3g}", "last_step": last})
    return drawn


def provenance(figures: Figures) -> dict[str, object]:
    """Return where the figures come from, by name; None is not on record."""
    about = figures.about
    trained = (
        None
        if about["n_steps"] is None
        else f"{about['n_steps']:,} steps, {about['seconds']:,.0f} s on {about['device']}"
    )
    return {
        "Model": figures.model_id,
        "Text encoder": about["text_encoder_id"],
        "Numbers in the model": None if about["n_parameters"] is None else f"{about['n_parameters']:,}",
        "Trained": trained,
        "Training run": about["run_id"],
        "Seed": about["seed"],
        "Configuration": about["config"],
        "Code of the training": about["training_code"],
        "Data of the training": about["training_data_id"],
        "Data of the evaluation": about["data_id"],
        "Protocol": f"{figures.protocol.name} ({about['protocol_hash']})",
        "Evaluation": figures.evaluation_id,
        "Catalogue": f"{about['snapshot_id']}, published by {about['catalogue_release']}",
        "Centres": ", ".join(about["centers"] or []),
    }
