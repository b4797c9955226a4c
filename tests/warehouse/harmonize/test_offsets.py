"""Scans from which a tool subtracted something become the volumes of the scan as it was: no part of a brain is lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from warehouse.harmonize import mask as brain
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import EligibleScan
from warehouse.harmonize.session import harmonize_session
from warehouse.imaging.geometry import Image
from warehouse.volumes import export, open_store

QUICK = Recipe(name="quick", is_draft=True, grid_mm=3.0, n4=False, register_mm=4.0, mni_mm=6, converged_mm=0.1)


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what is there for the brain, as it is of stripped scans."""
    seen = SimpleNamespace(run_model=lambda voxels: (voxels > 0).astype(float), postprocess=lambda mask: mask)
    monkeypatch.setattr(brain, "_network", lambda _: seen)


@pytest.mark.slow
def test_a_stripped_brain_keeps_every_voxel_whatever_was_subtracted(tmp_path: Path, template: Image) -> None:
    inside = template.voxels > 0.05 * template.voxels.max()
    plain = np.where(inside, 1000 * template.voxels / template.voxels.max(), 0).astype(np.float32)
    z = (plain - plain[inside].mean()) / plain[inside].std()
    variants: dict[str, NDArray[Any]] = {
        "T1w": plain,
        "T2w": np.where(inside, z, 0),
        "FLAIR": plain - 1024,
        "PDw": np.where(inside, plain, np.nan),
        "SWI": np.where(inside, z, np.nan),
    }
    scans = []
    for contrast, voxels in variants.items():
        path = tmp_path / f"{contrast}.nii.gz"
        nib.save(nib.Nifti1Image(voxels.astype(np.float32), template.affine), path)
        place = {"center_id": "lab", "participant_id": "01", "entities": {"sub": "01", "suffix": contrast}}
        scans.append(EligibleScan(contrast.ljust(16, "0"), path, contrast, place | {"is_simulated": True}, "signature"))
    result = harmonize_session(tmp_path / "home" / "volumes", "lab/sub-01", scans, QUICK)
    assert result.rejections == []
    rows = {row["image_id"].rstrip("0"): row for row in result.volumes if row["form"] == "native"}
    reference = open_store(tmp_path / "home" / rows["T1w"]["path"])[...].astype(np.float32)
    for contrast, values in variants.items():
        volume = open_store(tmp_path / "home" / rows[contrast]["path"])
        found = volume[...].astype(np.float32)
        assert rows[contrast]["verdict"] == "pass", (contrast, rows[contrast]["verdict_reason"])
        assert not found[~inside].any(), contrast
        assert (found[inside] > 0).mean() > 0.999, contrast
        assert np.corrcoef(found[inside], reference[inside])[0, 1] > 0.999, contrast
        low, high = rows[contrast]["intensity_low"], rows[contrast]["intensity_high"]
        known = values[np.isfinite(values) & inside]
        assert known.min() <= low < high <= known.max() + 1e-4, contrast  # in the file's own units
        restored: Any = nib.load(export(volume, tmp_path / contrast, source_units=True).image)
        back = np.asarray(restored.dataobj)[inside]
        unclipped = (values[inside] > low) & (values[inside] < high)
        np.testing.assert_allclose(back[unclipped], values[inside][unclipped], atol=1e-3 * (high - low))
