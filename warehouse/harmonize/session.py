"""All scans of one visit: the reference first, then the others aligned with it, each written as soon as it is done."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.harmonize import mask as brain
from warehouse.harmonize import scan_rows
from warehouse.harmonize.alignment import Alignment, movement, register, register_to_mni, stretched, suspicious
from warehouse.harmonize.bias import correct_bias
from warehouse.harmonize.grid import choose_reference, session_grid
from warehouse.harmonize.image import Source, load, refused
from warehouse.harmonize.intensity import IntensityScale, find_scale
from warehouse.harmonize.recipe import Recipe, steps_hash
from warehouse.harmonize.scan import EligibleScan, Row, SessionResult
from warehouse.imaging.files import NotFetchedError, RefusedError
from warehouse.imaging.image import Image
from warehouse.imaging.itk import inverse
from warehouse.imaging.nifti import read_header
from warehouse.imaging.resampling import resample, resample_mask
from warehouse.quality.measures import measure
from warehouse.quality.tissues import has_background, segment
from warehouse.volumes.store import Payload, write
from warehouse.volumes.volume import Volume, open_store

Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]


@dataclass
class Prepared:
    """A scan with its brain, corrected and scaled, before it is moved."""

    scan: EligibleScan
    image: Image
    source: Source
    mask: Mask | None
    doubt: str | None
    began: float
    corrected: Image | None = None
    scale: IntensityScale | None = None


@dataclass(frozen=True)
class Reference:
    """What the other scans need of the session's reference."""

    scan: EligibleScan
    sha256: str
    image: Image
    mask: Mask
    to_mni: Matrix
    to_mni_affine: Matrix


def harmonize_session(
    volumes: Path,
    session_id: str,
    scans: Sequence[EligibleScan],
    recipe: Recipe,
    progress: Callable[[str], None] | None = None,
) -> SessionResult:
    """Harmonise one visit.

    Parameters
    ----------
    volumes : Path
        Folder of the stores of a home.
    session_id : str
    scans : sequence of EligibleScan
        Eligible scans whose content is there.
    recipe : Recipe
    progress : callable, optional
        Called with what is being done.
    """
    work = _Session(volumes / recipe.recipe_id, session_id, recipe, progress or (lambda _: None))
    ordered = work.readable(scans)
    reference = work.find_reference(ordered)
    for scan in ordered:
        if reference is None:
            break
        if scan.image_id != reference.scan.image_id and scan.image_id not in work.rejected:
            work.attempt(scan, lambda scan=scan: work.align(scan, reference))  # type: ignore[misc]
    return work.result


class _Session:
    def __init__(self, folder: Path, session_id: str, recipe: Recipe, progress: Callable[[str], None]) -> None:
        self.folder, self.session_id, self.recipe, self.progress = folder, session_id, recipe, progress
        self.grid = session_grid(recipe.grid_mm)
        self.result = SessionResult()
        self.rejected: set[str] = set()

    def readable(self, scans: Sequence[EligibleScan]) -> list[EligibleScan]:
        """Order scans by how well they can serve as reference; those without a header are rejected."""
        kept, facts = [], []
        for scan in scans:
            try:
                size_mm = np.asarray(read_header(str(scan.path)).voxel_size_mm)
            except (RefusedError, NotFetchedError) as error:
                self.reject(scan, refused(scan.path, error))
                continue
            kept.append(scan)
            facts.append((scan.image_id, scan.contrast, size_mm))
        return [kept[index] for index in choose_reference(facts)]

    def find_reference(self, scans: Sequence[EligibleScan]) -> Reference | None:
        """Finish the first scan that has a believable brain and finds its place; the others wait for it."""
        doubtful: list[tuple[EligibleScan, HarmonizeError]] = []
        for scan in scans:
            try:
                reference = self.reopen(scan) or self.place(scan)
            except HarmonizeError as error:
                doubtful.append((scan, error))
                continue
            for waiting, why in doubtful:
                if why.stage == "load":
                    self.reject(waiting, why)
            return reference
        for waiting, why in doubtful:
            self.reject(waiting, why)
        return None

    def place(self, scan: EligibleScan) -> Reference:
        """Prepare a scan as reference, place it in MNI space and write it."""
        prepared = self.prepare(scan)
        if prepared.doubt:
            what = f"{scan.path.name}: {prepared.doubt}"
            raise HarmonizeError("mask", "implausible_brain", what, "look at the scan; no other scan could lend a mask")
        corrected, scale = self.corrected(prepared)
        assert prepared.mask is not None
        fixed = _as_stored(corrected, scale)
        rigid, affine = register_to_mni(
            fixed, prepared.mask, resolution_mm=self.recipe.mni_mm, converged_mm=self.recipe.converged_mm
        )
        reference = Reference(scan, prepared.source.sha256, fixed, prepared.mask, rigid.matrix, affine.matrix)
        moves = [scan_rows.move("reference_to_mni_rigid", rigid), scan_rows.move("reference_to_mni_affine", affine)]
        self.finish(prepared, reference, np.eye(4), moves, stretched(affine.matrix))
        return reference

    def align(self, scan: EligibleScan, reference: Reference) -> None:
        """Align a scan with the reference and write it, unless that was done before."""
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
        self.finish(prepared, reference, registered.matrix, [scan_rows.move("to_reference", registered)], doubts)

    def register(self, image: Image, reference: Reference) -> Alignment:
        self.progress("registration")
        return register(
            reference.image,
            reference.mask,
            image,
            resolution_mm=self.recipe.register_mm,
            converged_mm=self.recipe.converged_mm,
        )

    def prepare(self, scan: EligibleScan, reference: Reference | None = None) -> Prepared:
        """Load a scan and find its brain; without one that can be true, the mask stays open."""
        began = time.process_time()
        self.progress(f"{scan.path.name}: loading")
        image, source = load(scan.path)
        if reference and self.recipe.mask_per == "session":
            return Prepared(scan, image, source, None, None, began)
        self.progress(f"{scan.path.name}: brain mask")
        try:
            mask = brain.find_brain(image, self.recipe.mask_network)
            doubt = brain.implausible(mask, image)
        except HarmonizeError as error:
            return Prepared(scan, image, source, None, error.what, began)
        return Prepared(scan, image, source, None if doubt else mask, doubt, began)

    def corrected(self, prepared: Prepared) -> tuple[Image, IntensityScale]:
        """Correct the bias and find the scale."""
        assert prepared.mask is not None
        self.progress(f"{prepared.scan.path.name}: bias and intensities")
        image = correct_bias(prepared.image, prepared.mask) if self.recipe.n4 else prepared.image
        prepared.corrected, prepared.scale = image, find_scale(image, self.recipe.percentiles)
        return image, prepared.scale

    def finish(
        self, prepared: Prepared, reference: Reference, to_reference: Matrix, moves: list[Row], doubts: list[str]
    ) -> None:
        """Resample once, measure and write both forms."""
        self.progress(f"{prepared.scan.path.name}: resampling and writing")
        assert prepared.corrected is not None
        assert prepared.scale is not None
        assert prepared.mask is not None
        to_session = reference.to_mni @ to_reference
        moved = prepared.scale.normalise(resample(prepared.corrected, to_session, self.grid).voxels)
        moved_mask = resample_mask(prepared.mask, prepared.image, to_session, self.grid)
        still = prepared.scale.normalise(prepared.corrected.voxels)
        if not self.recipe.whole_head:
            moved, still = np.where(moved_mask, moved, 0), np.where(prepared.mask, still, 0)
        if _touches_border(moved_mask):
            doubts = [*doubts, "the brain reaches the border of the session's grid"]
        moves = [*moves, scan_rows.composed(to_session, _centre_mm(reference))]
        attributes = scan_rows.attributes(
            prepared.scan, prepared.source, self.recipe, prepared.scale, self.session_id, reference.sha256
        )
        attributes |= {
            "is_reference": prepared.scan.image_id == reference.scan.image_id,
            "mask": {
                "source": "own" if prepared.doubt is None and self.own_mask(prepared, reference) else "carried",
                "volume_ml": round(float(prepared.mask.sum()) * prepared.image.voxel_ml, 1),
            },
            "transforms": moves,
            "verdict": "flag" if doubts else "pass",
            "verdict_reason": "; ".join(doubts) or None,
        } | self.quality(prepared, reference.to_mni_affine @ to_reference)
        attributes["seconds"] = round(time.process_time() - prepared.began, 2)
        folder = self.place_of(prepared.scan, prepared.source.sha256, reference.sha256)
        turn = prepared.source.turn_back
        native = Payload(
            voxels=turn(still.astype(np.float16)),
            affine=prepared.source.affine,
            mask=turn(prepared.mask.astype(np.uint8)),
            attributes=attributes | {"form": "native"},
            nifti_header=prepared.source.header,
        )
        session = Payload(
            voxels=moved.astype(np.float16),
            affine=self.grid.affine,
            mask=moved_mask.astype(np.uint8),
            attributes=attributes | {"form": "session"},
            nifti_header=prepared.source.header,
        )
        # The session form comes last: where it lies, both do.
        for form, payload in (("native", native), ("session", session)):
            write(folder / f"{form}.zarr", payload, name=f"{prepared.scan.image_id} {form}")
        self.result.n_done += 1
        scan_rows.add(self.result, folder, self.folder.parent.parent)

    def own_mask(self, prepared: Prepared, reference: Reference) -> bool:
        return self.recipe.mask_per == "scan" or prepared.scan.image_id == reference.scan.image_id

    def quality(self, prepared: Prepared, to_mni: Matrix) -> Row:
        """Measure the scan as it was acquired; a draft leaves the tissues out."""
        assert prepared.mask is not None
        assert prepared.corrected is not None
        tissue = None if self.recipe.is_draft else segment(prepared.corrected, prepared.mask, to_mni)
        air, why_not = has_background(prepared.image.voxels, prepared.mask)
        measures = measure(prepared.image, prepared.mask, tissue, air, why_not)
        return {
            "quality": {name: value for name, (value, _) in measures.items()},
            "quality_reasons": {name: reason for name, (_, reason) in measures.items() if reason},
        }

    def place_of(self, scan: EligibleScan, sha256: str, reference_sha256: str) -> Path:
        """Return the folder of a scan's stores: another file, reference, recipe or code is another place."""
        made_of = f"{sha256}{reference_sha256}{self.recipe.recipe_id}{steps_hash()}"
        return self.folder / f"{scan.image_id}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"

    def finished(self, scan: EligibleScan) -> Iterator[tuple[Path, Volume]]:
        """Yield the folders in which both forms of a scan lie, made of the file as it is, with the native form."""
        for folder in sorted(self.folder.glob(f"{scan.image_id}-*")):
            if (folder / "session.zarr").is_dir() and (folder / "native.zarr").is_dir():
                native = open_store(folder / "native.zarr")
                said = native.attributes
                if said["source"]["signature"] == scan.signature and said.get("steps_hash") == steps_hash():
                    yield folder, native

    def reuse(self, scan: EligibleScan, reference_sha256: str) -> bool:
        """Take the rows of a scan that was finished before with the same reference; return whether it was."""
        for folder, native in self.finished(scan):
            if native.attributes["reference_sha256"] == reference_sha256:
                scan_rows.add(self.result, folder, self.folder.parent.parent)
                return True
        return False

    def reopen(self, scan: EligibleScan) -> Reference | None:
        """Return a reference that was finished before."""
        for folder, native in self.finished(scan):
            attributes = native.attributes
            if not attributes["is_reference"]:
                continue
            scan_rows.add(self.result, folder, self.folder.parent.parent)
            matrices = {move["kind"]: np.array(move["matrix"]) for move in attributes["transforms"]}
            image, mask = scan_rows.turned(native)
            rigid, affine = matrices["reference_to_mni_rigid"], matrices["reference_to_mni_affine"]
            return Reference(scan, attributes["source"]["sha256"], image, mask, rigid, affine)
        return None

    def attempt(self, scan: EligibleScan, work: Callable[[], object]) -> None:
        """Do a scan; what fails is rejected and the next one begins."""
        try:
            work()
        except HarmonizeError as error:
            self.reject(scan, error)

    def reject(self, scan: EligibleScan, error: HarmonizeError) -> None:
        self.rejected.add(scan.image_id)
        self.result.rejections.append(scan_rows.rejection(scan, self.recipe, error))


def _as_stored(image: Image, scale: IntensityScale) -> Image:
    """Return the image as its store gives it back, so that an interrupted run goes on with the same numbers."""
    return image.like(scale.normalise(image.voxels).astype(np.float16))


def _carried(reference: Reference, mask: Mask, image: Image, to_reference: Matrix) -> Mask:
    """Carry a mask of the reference to another scan's grid."""
    carried = resample_mask(mask, reference.image, inverse(to_reference), image.grid)
    if not carried.any():
        raise HarmonizeError("mask", "no_overlap", "the reference's brain lies outside this scan", "look at both scans")
    return carried


def _was_aligned_before(
    prepared: Prepared, reference: Reference, matrix: Matrix, centre_mm: NDArray[np.float64]
) -> bool:
    """Return whether a scan's publishers aligned it: stripped, on the reference's grid, and found within half a voxel.

    Two registrations differ by tenths of a millimetre; to apply the second on top of the first would undo theirs.
    """
    assert prepared.mask is not None
    same_shape = prepared.image.voxels.shape == reference.image.voxels.shape
    if not same_shape or not np.allclose(prepared.image.affine, reference.image.affine, atol=1e-3):
        return False
    rotation_deg, translation_mm = movement(matrix, centre_mm)
    near = translation_mm < 0.5 * float(reference.image.voxel_size_mm.min()) and rotation_deg < 0.5
    return near and brain.is_stripped(prepared.mask, prepared.image)


def _disagreement(prepared: Prepared, reference: Reference, to_reference: Matrix) -> list[str]:
    """Compare a scan's own mask with the reference's, where both fields of view are."""
    assert prepared.mask is not None
    carried = _carried(reference, reference.mask, prepared.image, to_reference)
    seen = _carried(reference, np.ones_like(reference.mask), prepared.image, to_reference)
    overlap = brain.dice(prepared.mask & seen, carried & seen)
    return [f"its brain mask agrees with the reference's by Dice {overlap:.2f} only"] if overlap < 0.85 else []


def _centre_mm(reference: Reference) -> NDArray[np.float64]:
    centre = np.argwhere(reference.mask).mean(axis=0)
    return np.asarray((reference.image.affine @ np.append(centre, 1.0))[:3])


def _touches_border(mask: Mask) -> bool:
    faces = [mask[0], mask[-1], mask[:, 0], mask[:, -1], mask[:, :, -1]]  # below, the brainstem leaves the box rightly
    return any(bool(face.any()) for face in faces)
