"""Harmonises the scans of one visit: the reference first, then the others aligned with it.

Each scan is written as soon as it is done.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.harmonize import mask as brain
from warehouse.harmonize.alignment import Alignment, movement, register, register_to_mni, stretched, suspicious
from warehouse.harmonize.intensity import IntensityScale, correct_bias, find_brain_scale, find_scale
from warehouse.harmonize.recipe import Recipe, steps_hash
from warehouse.harmonize.rows import (
    EligibleScan,
    HarmonizedRows,
    Row,
    aligned,
    composed,
    read_turned,
    rejection,
    store_attributes,
)
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.files import NotFetchedError, RefusedError
from warehouse.imaging.geometry import Image, session_grid, turn_back
from warehouse.imaging.itk import inverse
from warehouse.imaging.nifti import read_header
from warehouse.imaging.resampling import resample, resample_mask
from warehouse.imaging.scan import Scan, read_scan
from warehouse.lake.atomic import sha256
from warehouse.quality.measures import measure
from warehouse.quality.resolution import effective_resolution
from warehouse.quality.tissues import has_background, segment
from warehouse.volumes.store import Payload, write
from warehouse.volumes.volume import Volume, open_store

Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]

# The reference is chosen by contrast (grey and white matter differ most reliably in T1w), then by resolution, then by
# identifier so that the choice is the same each time.
CONTRAST_RANK = ("T1w", "ceT1w", "T2w", "FLAIR", "PDw", "T2starw", "SWI", "angio")


@dataclass
class Prepared:
    """A scan with its brain mask, bias-corrected and scaled, before it is resampled.

    `image` has its axes turned to RAS; `doubt` says why its own mask was not used; `began` is in CPU seconds.
    """

    eligible: EligibleScan
    scan: Scan
    sha256: str
    image: Image
    began: float
    mask: Mask | None = None
    doubt: str | None = None
    corrected: Image | None = None
    scale: IntensityScale | None = None
    brain_scale: BrainScale | None = None


@dataclass(frozen=True)
class Reference:
    """The session's reference, as the other scans need it."""

    scan: EligibleScan
    sha256: str
    image: Image
    mask: Mask
    to_mni: Matrix
    to_mni_affine: Matrix


def harmonize_session(volumes: Path, session_id: str, scans: Sequence[EligibleScan], recipe: Recipe) -> HarmonizedRows:
    """Harmonise one visit and return its rows.

    Parameters
    ----------
    volumes : Path
        Folder of the stores of a home.
    session_id : str
    scans : sequence of EligibleScan
        Eligible scans whose content is there.
    recipe : Recipe
    """
    session = _Session(volumes / recipe.recipe_id, session_id, recipe)
    ordered = session.readable(scans)
    if reference := session.find_reference(ordered):
        for scan in ordered:
            if scan.image_id not in {reference.scan.image_id, *session.rejected}:
                try:
                    session.align(scan, reference)
                except HarmonizeError as error:
                    session.reject(scan, error)
    return session.rows


class _Session:
    """The steps for one visit; `folder` holds the stores of the recipe."""

    def __init__(self, folder: Path, session_id: str, recipe: Recipe) -> None:
        self.folder, self.session_id, self.recipe = folder, session_id, recipe
        self.grid = session_grid(recipe.grid_mm)
        self.rows = HarmonizedRows()
        self.rejected: set[str] = set()

    def readable(self, scans: Sequence[EligibleScan]) -> list[EligibleScan]:
        """Return scans sorted by `reference_rank`; those without a usable header are rejected."""
        ranked = []
        for scan in scans:
            try:
                size_mm = np.asarray(read_header(str(scan.path)).voxel_size_mm)
            except (RefusedError, NotFetchedError) as error:
                self.reject(scan, refused(scan.path, error))
                continue
            ranked.append((reference_rank(scan.image_id, scan.contrast, size_mm), scan))
        return [scan for _, scan in sorted(ranked, key=lambda item: item[0])]

    def find_reference(self, scans: Sequence[EligibleScan]) -> Reference | None:
        """Finish the first scan with a plausible brain that can be aligned with MNI152, and return it."""
        doubtful: list[tuple[EligibleScan, HarmonizeError]] = []
        for scan in scans:
            try:
                reference = self.reopen(scan) or self.place(scan)
            except HarmonizeError as error:
                doubtful.append((scan, error))
                continue
            for failed, why in doubtful:
                if why.stage == "load":  # scans that failed at a later stage may still be aligned
                    self.reject(failed, why)
            return reference
        for failed, why in doubtful:
            self.reject(failed, why)
        return None

    def place(self, scan: EligibleScan) -> Reference:
        """Prepare a scan as reference, place it in MNI space and write it."""
        prepared = self.prepare(scan)
        if prepared.doubt:
            what = f"{scan.path.name}: {prepared.doubt}"
            raise HarmonizeError("mask", "implausible_brain", what, "look at the scan; no other scan has a mask for it")
        corrected, scale = self.corrected(prepared)
        assert prepared.mask is not None
        fixed = _as_stored(corrected, scale)
        rigid, affine = register_to_mni(
            fixed, prepared.mask, resolution_mm=self.recipe.mni_mm, converged_mm=self.recipe.converged_mm
        )
        reference = Reference(scan, prepared.sha256, fixed, prepared.mask, rigid.matrix, affine.matrix)
        transforms = [aligned("reference_to_mni_rigid", rigid), aligned("reference_to_mni_affine", affine)]
        self.finish(prepared, reference, np.eye(4), transforms, stretched(affine.matrix))
        return reference

    def align(self, scan: EligibleScan, reference: Reference) -> None:
        """Align a scan with the reference and write it, unless its stores exist."""
        if self.reuse(scan, reference.sha256):
            return
        prepared = self.prepare(scan, reference)
        registered = None
        if prepared.mask is None:  # the field of N4 needs a mask, so the reference's comes first
            registered = self.register(prepared.image, reference)
            prepared.mask = _carried(reference, reference.mask, prepared.image, registered.matrix)
        corrected, scale = self.corrected(prepared)
        registered = registered or self.register(_as_stored(corrected, scale), reference)
        centre = _centre_mm(reference)
        if _was_aligned_before(prepared, reference, registered.matrix, centre):
            registered = Alignment(np.eye(4), registered.similarity_before, registered.similarity_before)
        doubts = [doubt for doubt in (prepared.doubt, suspicious(registered.matrix, centre)) if doubt]
        doubts += _disagreement(prepared, reference, registered.matrix)
        self.finish(prepared, reference, registered.matrix, [aligned("to_reference", registered)], doubts)

    def register(self, image: Image, reference: Reference) -> Alignment:
        return register(
            reference.image,
            reference.mask,
            image,
            resolution_mm=self.recipe.register_mm,
            converged_mm=self.recipe.converged_mm,
        )

    def prepare(self, eligible: EligibleScan, reference: Reference | None = None) -> Prepared:
        """Load a scan and find its brain; the mask is None where no plausible brain is found."""
        began = time.process_time()
        try:
            scan = read_scan(eligible.path)
        except (RefusedError, NotFetchedError) as error:
            raise refused(eligible.path, error) from error
        prepared = Prepared(eligible, scan, sha256(eligible.path), scan.image, began)
        if reference and self.recipe.mask_per == "session":
            return prepared
        try:
            mask = brain.find_brain(prepared.image, self.recipe.mask_network)
            prepared.doubt = brain.implausible(mask, prepared.image)
        except HarmonizeError as error:
            prepared.doubt = error.what
        else:
            prepared.mask = None if prepared.doubt else mask
        return prepared

    def corrected(self, prepared: Prepared) -> tuple[Image, IntensityScale]:
        """Correct the bias and find the intensity scale."""
        assert prepared.mask is not None
        image = correct_bias(prepared.image, prepared.mask) if self.recipe.n4 else prepared.image
        prepared.corrected, prepared.scale = image, find_scale(image, self.recipe.percentiles)
        prepared.brain_scale = find_brain_scale(image, prepared.mask)
        return image, prepared.scale

    def finish(
        self, prepared: Prepared, reference: Reference, to_reference: Matrix, transforms: list[Row], doubts: list[str]
    ) -> None:
        """Resample once, measure and write both forms."""
        eligible, scan = prepared.eligible, prepared.scan
        assert prepared.corrected is not None
        assert prepared.scale is not None
        assert prepared.brain_scale is not None
        assert prepared.mask is not None
        to_session = reference.to_mni @ to_reference
        session = prepared.scale.normalise(resample(prepared.corrected, to_session, self.grid).voxels)
        session_mask = resample_mask(prepared.mask, prepared.image, to_session, self.grid)
        native = prepared.scale.normalise(prepared.corrected.voxels)
        if not self.recipe.whole_head:
            session, native = np.where(session_mask, session, 0), np.where(prepared.mask, native, 0)
        if _touches_border(session_mask):
            doubts = [*doubts, "the brain reaches the border of the session's grid"]
        is_reference = eligible.image_id == reference.scan.image_id
        is_own = prepared.doubt is None and (self.recipe.mask_per == "scan" or is_reference)
        attributes = store_attributes(
            eligible,
            scan,
            prepared.sha256,
            self.recipe,
            (prepared.scale, prepared.brain_scale),
            self.session_id,
            reference.sha256,
        )
        attributes |= {
            "is_reference": is_reference,
            "is_stripped": brain.came_stripped(prepared.mask, prepared.image),
            "mask": {
                "source": "own" if is_own else "carried",
                "volume_ml": round(float(prepared.mask.sum()) * prepared.image.voxel_ml, 1),
            },
            "transforms": [*transforms, composed(to_session, _centre_mm(reference))],
            "verdict": "flag" if doubts else "pass",
            "verdict_reason": "; ".join(doubts) or None,
        } | self.quality(prepared, reference.to_mni_affine @ to_reference)
        attributes["seconds"] = round(time.process_time() - prepared.began, 2)
        folder = self.place_of(eligible, prepared.sha256, reference.sha256)
        own, own_mask = (turn_back(array, scan.grid.affine) for array in (native.astype(np.float16), prepared.mask))
        # The session form is written last: where it exists, both do.
        for form, voxels, mask, affine in (
            ("native", own, own_mask, scan.grid.affine),
            ("session", session.astype(np.float16), session_mask, self.grid.affine),
        ):
            payload = Payload(voxels, affine, mask.astype(np.uint8), attributes | {"form": form}, scan.raw_header)
            write(folder / f"{form}.zarr", payload, name=f"{eligible.image_id} {form}")
        self.rows.n_done += 1
        self.rows.add_stores(folder, self.folder.parent.parent)

    def quality(self, prepared: Prepared, to_mni: Matrix) -> Row:
        """Measure the scan as it was acquired; a draft does without tissues."""
        assert prepared.mask is not None
        assert prepared.corrected is not None
        tissue = None if self.recipe.is_draft else segment(prepared.corrected, prepared.mask, to_mni)
        air, why_not = has_background(prepared.image.voxels, prepared.mask)
        measures = measure(prepared.image, prepared.mask, tissue, air, why_not)
        measures |= effective_resolution(prepared.image, prepared.mask)
        return {
            "quality": {name: value for name, (value, _) in measures.items()},
            "quality_reasons": {name: reason for name, (_, reason) in measures.items() if reason},
        }

    def place_of(self, scan: EligibleScan, sha256: str, reference_sha256: str) -> Path:
        """Return the folder of a scan's stores; another file, reference, recipe or code gives another folder."""
        made_of = f"{sha256}{reference_sha256}{self.recipe.recipe_id}{steps_hash()}"
        return self.folder / f"{scan.image_id}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"

    def finished(self, scan: EligibleScan) -> Iterator[tuple[Path, Volume]]:
        """Yield each folder that holds both forms of a scan made from the present file, with the native form."""
        for folder in sorted(self.folder.glob(f"{scan.image_id}-*")):
            if (folder / "session.zarr").is_dir() and (folder / "native.zarr").is_dir():
                native = open_store(folder / "native.zarr")
                stored = native.attributes
                if stored["source"]["signature"] == scan.signature and stored.get("steps_hash") == steps_hash():
                    yield folder, native

    def reuse(self, scan: EligibleScan, reference_sha256: str) -> bool:
        """Return whether a scan was finished before with the same reference; if so, add its rows."""
        for folder, native in self.finished(scan):
            if native.attributes["reference_sha256"] == reference_sha256:
                self.rows.add_stores(folder, self.folder.parent.parent)
                return True
        return False

    def reopen(self, scan: EligibleScan) -> Reference | None:
        """Return a reference that was finished before, and add its rows."""
        for folder, native in self.finished(scan):
            attributes = native.attributes
            if not attributes["is_reference"]:
                continue
            self.rows.add_stores(folder, self.folder.parent.parent)
            matrices = {step["kind"]: np.array(step["matrix"]) for step in attributes["transforms"]}
            image, mask = read_turned(native)
            rigid, affine = matrices["reference_to_mni_rigid"], matrices["reference_to_mni_affine"]
            return Reference(scan, attributes["source"]["sha256"], image, mask, rigid, affine)
        return None

    def reject(self, scan: EligibleScan, error: HarmonizeError) -> None:
        self.rejected.add(scan.image_id)
        self.rows.rejections.append(rejection(scan.image_id, scan.attributes["center_id"], self.recipe, error))


def reference_rank(image_id: str, contrast: str, size_mm: NDArray[np.float64]) -> tuple[int, float, float, str]:
    """Return a key that sorts scans by how well they serve as a session's reference, the best first."""
    place = CONTRAST_RANK.index(contrast) if contrast in CONTRAST_RANK else len(CONTRAST_RANK)
    return place, round(float(np.max(size_mm)), 2), round(float(np.prod(size_mm)), 3), image_id


def refused(path: Path, error: RefusedError | NotFetchedError) -> HarmonizeError:
    """Return the error of the reader as one of harmonisation."""
    if isinstance(error, NotFetchedError):
        return HarmonizeError("load", "not_fetched", f"{path}: git-annex holds its content elsewhere", "git annex get")
    return HarmonizeError("load", error.reason, f"{path}: {error.detail}", error.remedy)


def _as_stored(image: Image, scale: IntensityScale) -> Image:
    """Return the image rounded as its store rounds it, so that a resumed run computes with the same numbers."""
    return image.like(scale.normalise(image.voxels).astype(np.float16))


def _carried(reference: Reference, mask: Mask, image: Image, to_reference: Matrix) -> Mask:
    """Return a mask of the reference, resampled on another scan's grid."""
    carried = resample_mask(mask, reference.image, inverse(to_reference), image.grid)
    if not carried.any():
        raise HarmonizeError("mask", "no_overlap", "the reference's brain lies outside this scan", "look at both scans")
    return carried


def _was_aligned_before(
    prepared: Prepared, reference: Reference, matrix: Matrix, centre_mm: NDArray[np.float64]
) -> bool:
    """Return whether a scan came aligned: stripped, on the reference's grid, and moved by less than half a voxel.

    Two registrations differ by tenths of a millimetre; ours on top of theirs would only add its error.
    """
    assert prepared.mask is not None
    same_shape = prepared.image.voxels.shape == reference.image.voxels.shape
    if not same_shape or not np.allclose(prepared.image.affine, reference.image.affine, atol=1e-3):
        return False
    rotation_deg, translation_mm = movement(matrix, centre_mm)
    near = translation_mm < 0.5 * float(reference.image.voxel_size_mm.min()) and rotation_deg < 0.5
    return near and brain.is_stripped(prepared.mask, prepared.image)


def _disagreement(prepared: Prepared, reference: Reference, to_reference: Matrix) -> list[str]:
    """Return the doubt that a scan's mask differs from the reference's where the fields of view overlap, or nothing."""
    assert prepared.mask is not None
    carried = _carried(reference, reference.mask, prepared.image, to_reference)
    seen = _carried(reference, np.ones_like(reference.mask), prepared.image, to_reference)
    overlap = brain.dice(prepared.mask & seen, carried & seen)
    return [f"its brain mask agrees with the reference's by Dice {overlap:.2f} only"] if overlap < 0.85 else []


def _centre_mm(reference: Reference) -> NDArray[np.float64]:
    centre = np.argwhere(reference.mask).mean(axis=0)
    return np.asarray((reference.image.affine @ np.append(centre, 1.0))[:3])


def _touches_border(mask: Mask) -> bool:
    faces = [mask[0], mask[-1], mask[:, 0], mask[:, -1], mask[:, :, -1]]  # the brainstem may leave the box below
    return any(bool(face.any()) for face in faces)
