"""Draw the pictures of docs/physics.md: `python docs/make_physics_pictures.py` from the root of the repository.

Everything is simulated, without noise: sweeps of TE, TR and TI and two field strengths of one head, and the curves of
the equations beside the simulators of the evaluation. Neurological convention: the left of the head is on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.evaluation import bloch, epg
from model.physics.contrast import EQUATIONS, signals_of
from model.physics.protocol import SequenceProtocol, SequenceSettings
from model.physics.tissue import TISSUES, Properties
from model.simulation.head import Head, make_head
from model.simulation.people import Subject
from model.simulation.rendering import render

mpl.use("Agg")
from matplotlib import pyplot as plt

PICTURES = Path(__file__).parent / "pictures"
Slice = NDArray[np.float32]
Z_MM = (6.0, 15.0)  # lateral ventricles, basal ganglia and thalamus

T1W = SequenceProtocol("T1w", "mprage", 3.0, 2.3, 0.003, 0.9, 9.0)
T2W = SequenceProtocol("T2w", "fast_spin_echo", 3.0, 5.0, 0.1, None, 150.0)
FLAIR = SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 9.0, 0.12, 2.5, 150.0)
T2STARW = SequenceProtocol("T2starw", "t2star", 3.0, 0.65, 0.02, None, 20.0)
SWI = SequenceProtocol("SWI", "swi", 3.0, 0.028, 0.02, None, 15.0)
ANGIO = SequenceProtocol("angio", "time_of_flight", 3.0, 0.022, 0.0037, None, 18.0)
SPIN_ECHO = SequenceProtocol("T1w", "spin_echo", 3.0, 0.5, 0.012, None, 90.0)


def main() -> None:
    """Draw all pictures."""
    PICTURES.mkdir(exist_ok=True)
    head = make_head(Subject(seed=7, age_years=45.0, sex="F", lesions=("ms",)), 1.0)
    te_ms = (10, 30, 60, 90, 120, 180)
    sweep(
        head, [replace(T2W, echo_time_s=te / 1000) for te in te_ms], [f"TE {te} ms" for te in te_ms], "physics_te.png"
    )
    tr_ms = (150, 300, 600, 1200, 2500, 5000)
    echoes = [replace(SPIN_ECHO, repetition_time_s=tr / 1000) for tr in tr_ms]
    sweep(head, echoes, [f"TR {tr} ms" for tr in tr_ms], "physics_tr.png")
    ti_ms = (200, 500, 900, 1500, 2500, 3500)
    recoveries = [replace(FLAIR, inversion_time_s=ti / 1000) for ti in ti_ms]
    sweep(head, recoveries, [f"TI {ti} ms" for ti in ti_ms], "physics_ti.png")
    fields(head)
    curves(head)


def sweep(head: Head, protocols: Sequence[SequenceProtocol], titles: Sequence[str], name: str) -> None:
    """Draw one slice under many protocols, which are one matrix product."""
    k = most_lesions(head)
    signals = signals_of(protocols, head.tissue(3.0), signed=True).float()
    slices = torch.einsum("pt,tij->pij", signals, head.fractions[..., k]).abs().numpy()
    figure, axes = plt.subplots(2, 3, figsize=(8.4, 7.6), facecolor="black")
    for axis, image, title in zip(axes.flat, slices, titles, strict=True):
        show(axis, image, head, k, title)
    save(figure, name)


def fields(head: Head) -> None:
    """Draw six contrasts at 1.5 and at 3 T; SWI as a minimum over 8 mm, angiography as a maximum over the head."""
    contrasts = {
        "T1w": T1W,
        "T2w": T2W,
        "FLAIR": FLAIR,
        "T2*w": T2STARW,
        "SWI, min. 8 mm": SWI,
        "angiography, max.": ANGIO,
    }
    uniform = torch.ones(head.fractions.shape[1:])
    k = most_lesions(head)
    figure, axes = plt.subplots(2, 6, figsize=(13.2, 5.4), facecolor="black")
    for column, (title, protocol) in enumerate(contrasts.items()):
        for row, field_t in enumerate((1.5, 3.0)):
            volume = render(head, replace(protocol, field_strength_t=field_t), uniform).image.abs()
            volume = volume * torch.from_numpy(head.intracranial) if protocol is ANGIO else volume
            image = {"SWI": volume[..., k - 4 : k + 4].amin(2), "angio": volume.amax(2)}.get(protocol.contrast)
            image = (volume[..., k] if image is None else image).numpy()
            show(axes[row, column], image, head, k, f"{title}\n{field_t:g} T")
    save(figure, "physics_fields.png")


def show(axis: mpl.axes.Axes, image: Slice, head: Head, k: int, title: str) -> None:
    """Show an axial slice (i → right, j → anterior) cut to the head, its left on the left."""
    tissue = head.fractions[..., k].sum(0).numpy() > 0.05
    rows, columns = (np.flatnonzero(tissue.any(axis=other))[[0, -1]] + (-14, 14) for other in (1, 0))
    top = 1.1 * float(np.percentile(image[head.intracranial[..., k]], 99.5))
    cut = image[max(rows[0], 0) : rows[1], max(columns[0] + 8, 0) : columns[1] - 8]
    axis.imshow(cut.T, origin="lower", cmap="gray", vmin=0, vmax=top, interpolation="bilinear")
    axis.set_title(title, color="white", fontsize=11)
    axis.set_axis_off()
    for place, side in ((0.04, "L"), (0.96, "R")):
        axis.text(place, 0.5, side, color="yellow", ha="center", va="center", transform=axis.transAxes, fontsize=10)


def most_lesions(head: Head) -> int:
    """Return the slice of the ventricles and nuclei that shows most of the plaques."""
    low, high = (round((z_mm - head.affine[2, 3]) / head.affine[2, 2]) for z_mm in Z_MM)
    return low + int(head.fractions[TISSUES.index("plaque"), ..., low:high].sum((0, 1)).argmax())


def curves(head: Head) -> None:
    """Draw signal against each parameter: closed forms as lines, the simulators of the tests as dots."""
    figure, axes = plt.subplots(2, 2, figsize=(10.5, 7.6))
    table = head.tissue(3.0)
    for name, label in (("white_matter", "white matter"), ("cortex", "cortex"), ("csf", "CSF"), ("fat", "fat")):
        row = TISSUES.index(name)
        one = Properties(
            *(getattr(table, part)[row : row + 1] for part in ("t1_s", "t2_s", "t2star_s", "pd", "chi_ppm"))
        )
        te_curve(axes[0, 0], one, label)
        tr_curve(axes[0, 1], one, label)
        ti_curve(axes[1, 0], one, label)
        angle_curve(axes[1, 1], one, label)
    for axis in axes.flat:
        axis.set_ylabel("signal (of CSF at equilibrium)")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURES / "physics_curves.png", dpi=100)
    plt.close(figure)


def te_curve(axis: mpl.axes.Axes, one: Properties, label: str) -> None:
    """Fast spin echo of 150° against the phase graph."""
    te_s = torch.linspace(0.02, 0.2, 80)
    axis.plot(1000 * te_s, signal("fast_spin_echo", one, tr_s=5.0, te_s=te_s, fa_deg=150.0), label=label)
    dots = [epg.train_cycle(t1(one), t2(one), 5.0, 0.01, n, np.deg2rad(150))[-1] for n in range(2, 21, 2)]
    axis.plot(np.arange(20, 201, 20), pd(one) * np.array(dots), "k.", ms=4)
    axis.set(title="fast spin echo, TR 5 s, refocusing 150°", xlabel="TE (ms)", yscale="log", ylim=(0.005, 1.1))


def tr_curve(axis: mpl.axes.Axes, one: Properties, label: str) -> None:
    """Spin echo against the phase graph."""
    tr_s = torch.linspace(0.1, 5, 80)
    axis.plot(tr_s, signal("spin_echo", one, tr_s=tr_s, te_s=0.012, fa_deg=90.0), label=label)
    places = np.linspace(0.2, 5, 9)
    dots = [epg.spin_echo_cycle(t1(one), t2(one), tr, 0.012, np.pi / 2, np.pi) for tr in places]
    axis.plot(places, pd(one) * np.array(dots), "k.", ms=4)
    axis.set(title="spin echo, TE 12 ms, 90°", xlabel="TR (s)")


def ti_curve(axis: mpl.axes.Axes, one: Properties, label: str) -> None:
    """Inversion recovery against the phase graph, magnitude."""
    ti_s = torch.linspace(0.05, 4, 160)
    axis.plot(
        ti_s, np.abs(signal("inversion_recovery", one, tr_s=9.0, te_s=0.12, ti_s=ti_s, fa_deg=180.0)), label=label
    )
    places = np.linspace(0.25, 4, 12)
    dots = [epg.train_cycle(t1(one), t2(one), 9.0, 0.01, 12, np.pi, ti)[-1] for ti in places]
    axis.plot(places, pd(one) * np.array(dots), "k.", ms=4)
    axis.set(title="inversion recovery, TR 9 s, TE 120 ms, magnitude", xlabel="TI (s)")


def angle_curve(axis: mpl.axes.Axes, one: Properties, label: str) -> None:
    """MPRAGE against Bloch steps, magnitude."""
    angle = torch.linspace(1, 20, 80)
    axis.plot(angle, np.abs(signal("mprage", one, tr_s=2.3, te_s=0.003, ti_s=0.9, fa_deg=angle)), label=label)
    places, star = np.arange(2, 21, 3), float(one.t2star_s)
    dots = [bloch.mprage(t1(one), star, 2.3, 0.003, 0.9, np.deg2rad(a), 0.0075, 176) for a in places]
    axis.plot(places, pd(one) * np.abs(dots), "k.", ms=4)
    axis.set(title="MPRAGE, TR 2.3 s, TI 0.9 s, magnitude", xlabel="flip angle (°)")


def signal(sequence: str, one: Properties, **settings: float | torch.Tensor) -> NDArray[np.float64]:
    """Return the equation's signal of one tissue, without flow."""
    result: NDArray[np.float64] = EQUATIONS[sequence](SequenceSettings.of(**settings).columns(), one)[:, 0].numpy()
    return result


def t1(one: Properties) -> float:
    """Return T1 of a single tissue, s."""
    return float(one.t1_s)


def t2(one: Properties) -> float:
    """Return T2 of a single tissue, s."""
    return float(one.t2_s)


def pd(one: Properties) -> float:
    """Return the proton density of a single tissue."""
    return float(one.pd)


def save(figure: mpl.figure.Figure, name: str) -> None:
    """Write a picture of slices on black, small enough for a page."""
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.92, wspace=0.04, hspace=0.16)
    figure.savefig(PICTURES / name, dpi=90, facecolor="black")
    plt.close(figure)
    with Image.open(PICTURES / name) as picture:
        small = picture.convert("RGB").quantize(200, dither=Image.Dither.NONE)
    small.save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main()
