"""From a user's scans and a prompt to the synthetic scan: what is known, what was used, and the result as NIfTI."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import Source
from model.data.trained_ranges import outside_trained
from model.inference.known import HEADER, IMAGE, Known, known_of
from model.inference.named_settings import of_contrast
from model.inference.placing import field_of_view, place
from model.inference.recognise import recognised
from model.inference.request import Request, as_record, understand
from model.inference.scans import SAME, Prepared, acquired_size, read, read_grid, read_mask, with_steps
from model.inference.synthesize import Synthesizer, load_synthesizer, sources_of
from model.inference.together import prepare_together
from model.networks.weights import choose
from warehouse.errors import ModelError, PromptError
from warehouse.imaging.geometry import Grid, turn_back
from warehouse.imaging.scan import Scan
from warehouse.lake.atomic import sha256
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord, contrast_label
from warehouse.prompts.vocabulary import CONTRAST_LABELS

MEDIAN = 1000.0  # intensity of the brain's median in a file: signal keeps three digits where it is cast to integers
DESCRIPTION_BYTES = 79  # of the NIfTI field descrip, without its terminator
CONTRADICTING = 0.05  # relative difference from which the voxel sizes of a prompt and of a reference contradict

Picture = str | Path | nib.Nifti1Image
Loader = Callable[[float], Synthesizer]  # from the smallest voxel side of scans and result, mm
Report = Callable[[int, int, str], None]
Voxels = NDArray[np.float32]


@dataclass(frozen=True)
class Input:
    """One scan that was used.

    Parameters
    ----------
    name : str
        Its file as it was given.
    known : Known
    sha256 : str or None
        Of the file; None for an image in memory.
    """

    name: str
    known: Known
    sha256: str | None = None


@dataclass(frozen=True)
class Made:
    """A synthetic scan, and how it came about.

    Parameters
    ----------
    image : Nifti1Image
        float32; see `synthesize`.
    request : Request
        The prompt as it was understood.
    inputs : tuple of Input
    model_id, weights_sha256 : str
    warnings : tuple of str
        What the user should know before using the result.
    maps : dict of str to Nifti1Image
        Maps of tissue by BIDS suffix, where they were asked for.
    asked_sha256 : str or None
        As `asked_hash` returns it.
    chosen : str
        Why this model was used, in words.
    """

    image: nib.Nifti1Image
    request: Request
    inputs: tuple[Input, ...]
    model_id: str
    weights_sha256: str
    warnings: tuple[str, ...] = ()
    maps: Mapping[str, nib.Nifti1Image] = field(default_factory=dict)
    asked_sha256: str | None = None
    chosen: str = ""


def synthesize(
    image: Picture | Sequence[Picture],
    prompt: str | PromptRecord,
    *,
    source_prompt: str | PromptRecord | Sequence[str | PromptRecord | None] | None = None,
    brain_mask: Picture | Sequence[Picture | None] | None = None,
    like: Picture | None = None,
    already_harmonised: bool = False,
    model: str | Path | Synthesizer | None = None,
    home: Home | str | Path | None = None,
    device: str | None = None,
    max_memory_gb: float | None = None,
) -> nib.Nifti1Image:
    """Synthesise the scan that a prompt describes from other scans of the same head.

    Parameters
    ----------
    image : str, Path or Nifti1Image, or a sequence of them
        One volume of a head, of any orientation, shape and voxel size; or several of one session, of which the further
        ones are aligned with the first unless they share its grid.
    prompt : str or PromptRecord
        Description of the wanted scan. With a voxel size (mm, along the axes of the first input), the result has this
        voxel size and the field of view of the first input; otherwise it has the first input's grid.
    source_prompt : str or PromptRecord, or a sequence of them, optional
        What each scan is. What is not said is taken from sidecars, file name and header, and the contrast from the
        image.
    brain_mask : str, Path or Nifti1Image, or a sequence of them, optional
        On the grid of each scan, positive in the brain; default: found in the scan.
    like : str, Path or Nifti1Image, optional
        Scan in the world of the first input whose grid the result gets.
    already_harmonised : bool
        Use the voxels of the inputs as they are: no bias is corrected, and the brain is every voxel that is not zero
        unless a mask is given.
    model : str, Path or Synthesizer, optional
        Identity, ``champion``, path, or a loaded model; default: the home's champion for the voxel size of scan and
        result, else the shipped weights.
    home : Home, str or Path, optional
        Default: the home that ``TUMSYN_HOME`` names.
    device : {"cpu", "cuda"}, optional
    max_memory_gb : float, optional
        Memory of the network, GB; larger volumes are computed in tiles. Default: half of what is free.

    Returns
    -------
    Nifti1Image
        float32, with the axes and orientation of the first input or of `like`. Intensities are proportional to the
        signal: 0 where there is none, 1000 at the median of the brain. `descrip` of the header states that it is
        synthetic.

    Raises
    ------
    ModelError
        When there is no model, or a scan cannot be used.
    PromptError
        When a prompt cannot be understood or contradicts itself.

    Examples
    --------
    >>> synthesize("sub-01_T1w.nii.gz", "Modality: T2w").to_filename("t2w.nii.gz")  # doctest: +SKIP
    """
    home = _home(home)
    loaded = with_memory(model, max_memory_gb) if isinstance(model, Synthesizer) else None
    return make(
        _listed(image),
        prompt,
        model=loaded or loader(home, model, device, max_memory_gb),
        home=home,
        source_prompts=_listed(source_prompt),
        brain_masks=_listed(brain_mask),
        like=like,
        is_harmonised=already_harmonised,
    ).image


def loader(
    home: Home, model: str | Path | Synthesizer | None, device: str | None, max_memory_gb: float | None
) -> Loader:
    """Return a function that loads the model for a voxel size, each model once; parameters as in `synthesize`."""
    loaded: dict[Path, Synthesizer] = {}

    def load(voxel_mm: float) -> Synthesizer:
        if isinstance(model, Synthesizer):
            return with_memory(model, max_memory_gb)
        choice = choose(home, model, "synthesis", voxel_mm=voxel_mm)
        if choice.path not in loaded:
            loaded[choice.path] = with_memory(load_synthesizer(home, choice.path, device), max_memory_gb)
        if loaded[choice.path].chosen != choice.reason:
            loaded[choice.path] = replace(loaded[choice.path], chosen=choice.reason)
        return loaded[choice.path]

    return load


def with_memory(model: Synthesizer, max_memory_gb: float | None) -> Synthesizer:
    """Return a model that takes at most so much memory, GB.

    Raises
    ------
    ModelError
        When the memory is no positive number.
    """
    if max_memory_gb is None:
        return model
    if not (np.isfinite(max_memory_gb) and max_memory_gb > 0):
        raise ModelError(f"{max_memory_gb} GB is no amount of memory", "give a number above 0, in GB")
    return replace(model, memory_bytes=max_memory_gb * 1e9)


def make(
    images: Sequence[Picture],
    prompt: str | PromptRecord,
    *,
    model: Synthesizer | Loader,
    home: Home | None = None,
    source_prompts: Sequence[str | PromptRecord | None] = (),
    brain_masks: Sequence[Picture | None] = (),
    like: Picture | None = None,
    is_harmonised: bool = False,
    with_maps: bool = False,
    progress: Callable[[str], Report] = lambda name: lambda done, total, item: None,
) -> Made:
    """Synthesise a scan, and return with it what was used; parameters and errors are those of `synthesize`.

    Parameters
    ----------
    images : sequence
        At least one.
    source_prompts, brain_masks : sequence
        Of the images, in their order; absent ones are None.
    with_maps : bool
        Whether to return maps of tissue as well.
    progress : callable, optional
        Returns the report of a step by its name; the report is called with done, total and the current item.
    """
    record = as_record(prompt)
    names = [str(image) if isinstance(image, (str, Path)) else f"image {n}" for n, image in enumerate(images, start=1)]
    said = _for_each(source_prompts, names, "source prompts")
    known = [
        known_of(Path(image) if isinstance(image, (str, Path)) else None, None if own is None else _said(own, name))
        for image, own, name in zip(images, said, names, strict=True)
    ]
    scans = [read(image) for image in images]
    if not scans:
        raise ModelError("no scan is given", "give at least one NIfTI file")
    masks = [
        None if mask is None else read_mask(mask, scan.grid)
        for mask, scan in zip(_for_each(brain_masks, names, "brain masks"), scans, strict=True)
    ]
    wanted, code = _wanted(scans[0], record, like)
    if not isinstance(model, Synthesizer):
        model = model(min(float(grid.voxel_size_mm.min()) for grid in (*(scan.grid for scan in scans), wanted)))
    model.refuse_number(len(scans))
    prepared, notes = prepare_together(
        scans, names, model.grid_mm, model.preparation, masks, is_harmonised=is_harmonised, progress=progress("prepare")
    )
    if not field_of_view(prepared[0].grid, wanted).any():
        what = f"no voxel of {like} lies in the field of view of {names[0]}"
        raise ModelError(what, "give a reference in the same world as the scan: both headers must place one head alike")
    known = [_completed(one, scan, own, home, model) for one, scan, own in zip(known, scans, prepared, strict=True)]
    request = understand(prompt, known, _sizes(wanted))
    warnings = [f"{name}: {doubt}" for name, scan in zip(names, scans, strict=True) for _, doubt in scan.header.doubts]
    warnings += [note for one in known for note in one.notes] + notes + list(request.notes)
    warnings += outside_trained(request.record, model.trained_ranges)
    for name, one in zip(names, known, strict=True):
        warnings += [f"{name}: {text}" for text in outside_trained(one.record, model.trained_ranges)]
    report = progress("synthesize")
    model = replace(model, progress=lambda done, total: report(done, total, "whole volume" if total == 1 else "tiles"))
    records = [one.record for one in known]
    warnings += _of_settings(model, sources_of(prepared, records), names, request.record)
    signal = np.float32(MEDIAN) * model.signal_of(prepared, records, request.record, wanted.turned())

    def as_image(voxels: Voxels, what: str) -> nib.Nifti1Image:
        return _as_nifti(turn_back(voxels, wanted.affine), wanted, code, f"{what} by TUMSyn model {model.model_id}")

    maps = model.maps(sources_of(prepared, records), request.record) if with_maps else {}
    placed = {suffix: place(voxels, prepared[0].grid, wanted.turned()) for suffix, voxels in maps.items()}
    label = contrast_label(request.record.contrast, request.record.post_contrast) or "image"
    return Made(
        as_image(signal, f"synthetic {label}"),
        request,
        tuple(
            Input(name, one, sha256(Path(image)) if isinstance(image, (str, Path)) else None)
            for name, one, image in zip(names, known, images, strict=True)
        ),
        model.model_id,
        model.weights_sha256,
        tuple(dict.fromkeys(warnings)),
        {suffix: as_image(voxels, f"synthetic {suffix}") for suffix, voxels in placed.items()},
        asked_hash(images, prompt, source_prompts, brain_masks, like, is_harmonised, with_maps),
        model.chosen,
    )


def _of_settings(
    model: Synthesizer, sources: Sequence[Source], names: Sequence[str], wanted: PromptRecord
) -> Iterator[str]:
    """Yield what a user must know of the settings that a prompt names."""
    label = contrast_label(wanted.contrast, wanted.post_contrast)
    if model.ignores(wanted):
        what = "settings are ignored: they do not tell the sequence"
        yield f"{what}, and no {label} that the model was trained on stated such values"
    if model.weighs(wanted):
        yield f"settings follow the signal equations: no {label} that the model was trained on stated such values"
        own = of_contrast(sources, wanted)
        if own is not None:
            name = next(name for name, source in zip(names, sources, strict=True) if source is own)
            yield f"{name} is {label} itself: its own signal is weighed, and no network is used"


def asked_hash(
    images: Sequence[Picture],
    prompt: str | PromptRecord,
    source_prompts: Sequence[str | PromptRecord | None],
    brain_masks: Sequence[Picture | None],
    like: Picture | None,
    is_harmonised: bool,
    with_maps: bool,
) -> str | None:
    """Return a hash of what a result is made of besides the model: files by their content, and words.

    It is None where an image is in memory or a prompt is a record.
    """
    files = [*images, None, *brain_masks, None, like]
    words = [prompt, *(said or "" for said in source_prompts)]
    if not all(one is None or isinstance(one, (str, Path)) for one in files) or not all(
        isinstance(word, str) for word in words
    ):
        return None
    hashes = [sha256(Path(one)) if isinstance(one, (str, Path)) else None for one in files]
    text = json.dumps([hashes, words, is_harmonised, with_maps])
    return hashlib.sha256(text.encode()).hexdigest()


def _said(prompt: str | PromptRecord, name: str) -> PromptRecord | None:
    """Return what the user says of an input; an empty text says nothing."""
    if isinstance(prompt, str) and not prompt.strip():
        return None
    return as_record(prompt, f"the source prompt of {name}")


def _completed(known: Known, scan: Scan, prepared: Prepared, home: Home | None, model: Synthesizer) -> Known:
    """Return what is known of an input with its voxel size, and with the contrast that it looks like."""
    if known.record.voxel_size_mm is None:
        known = known.complete(HEADER, voxel_size_mm=acquired_size(scan, prepared.own_mask))
    if known.record.contrast is None:
        trained = [label for label in model.trained_ranges.get("contrasts", ()) if label in CONTRAST_LABELS]
        label, how = recognised(prepared, home, trained or CONTRAST_LABELS)
        if label is not None:
            known = known.complete(IMAGE, contrast=label.removeprefix("ce"), post_contrast=label.startswith("ce"))
        told = f"its contrast is {label}, {how}" if label else f"its contrast is unknown: {how}"
        known = replace(known, notes=(*known.notes, f"{told}; say it with --source-prompt where that is wrong"))
    return known


def _wanted(scan: Scan, record: PromptRecord, like: Picture | None) -> tuple[Grid, int]:
    """Return the grid of the result, and the code of its forms."""
    size_mm = record.voxel_size_mm
    if like is None:
        code = scan.header.sform_code or scan.header.qform_code
        if size_mm is None or np.allclose(size_mm, scan.grid.voxel_size_mm, rtol=SAME):
            return scan.grid, code
        return with_steps(scan.grid, size_mm), code
    grid, code = read_grid(like)
    if size_mm is not None and not np.allclose(size_mm, grid.voxel_size_mm, rtol=CONTRADICTING):
        asked, there = (" × ".join(f"{side:.3g}" for side in sizes) for sizes in (size_mm, grid.voxel_size_mm))
        what = f"the prompt asks for voxels of {asked} mm, and {like} has voxels of {there} mm"
        raise PromptError(what, "leave the voxel size out of the prompt, or --like out of the command")
    return grid, code


def _as_nifti(voxels: Voxels, grid: Grid, code: int, description: str) -> nib.Nifti1Image:
    """Return an image with a new header, as headers may contain names; only the code of its forms is kept."""
    image = nib.Nifti1Image(voxels, grid.affine)
    image.set_sform(grid.affine, code)
    image.set_qform(grid.affine, code)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = description.encode()[:DESCRIPTION_BYTES]
    return image


def _for_each(given: Sequence, names: Sequence[str], what: str) -> list:  # type: ignore[type-arg]
    """Return one entry for each scan; those that are not given are None."""
    if len(given) > len(names):
        raise ModelError(f"{len(given)} {what} are given for {len(names)} scans", "give one for each scan, in order")
    return [*given, *[None] * (len(names) - len(given))]


def _listed(given: object) -> list:  # type: ignore[type-arg]
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _home(home: Home | str | Path | None) -> Home:
    if home is None:
        return Home.default()
    return home if isinstance(home, Home) else Home(Path(home).resolve())


def _sizes(grid: Grid) -> tuple[float, float, float]:
    i, j, k = (float(size) for size in grid.voxel_size_mm)
    return i, j, k
