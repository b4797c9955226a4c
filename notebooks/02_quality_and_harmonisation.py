# %% [markdown]
# # How good are the scans, and what does harmonisation do to them?
#
# **Question.** Which scans are of poor quality, what was rejected and why, and what does a scan look like before and
# after it is harmonised?
#
# **Answer.** Measures differ by contrast more than by centre, so that a scan is compared with its own kind only. In the
# demonstration, some files are damaged on purpose: each is rejected with a reason and a remedy. Harmonisation brings
# every scan of a visit onto one grid and one intensity scale, and changes its anatomy in no way but by interpolation.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from model.report.catalogue_plots import draw_bars, measures_figure
from warehouse.catalog.query import Catalogue
from warehouse.errors import CatalogueError
from warehouse.imaging.geometry import Image
from warehouse.imaging.scan import read_scan
from warehouse.lake.home import Home
from warehouse.quality.planes import Shown, planes_figure
from warehouse.volumes import open_store

home = Home.default()
catalogue = Catalogue(home)
connection = catalogue.connect()
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})
pd.set_option("display.max_colwidth", 60, "display.width", 160, "display.max_columns", 12)


def ask(sql: str, **parameters: object) -> pd.DataFrame:
    """Return the rows of a query on the catalogue."""
    return connection.execute(sql, parameters).df()


recipes = ask("SELECT recipe, recipe_id, count(*) AS n FROM core.volume WHERE form = 'session' GROUP BY ALL ORDER BY n")
if recipes.empty:
    raise CatalogueError(f"catalogue {catalogue.snapshot_id} has no volumes", "run `tumsyn harmonize`, which publishes")
recipe, recipe_id, n_volumes = recipes.iloc[-1]
print(f"Catalogue {catalogue.snapshot_id}: {n_volumes} scans were harmonised by recipe {recipe} ({recipe_id}).")

# %% [markdown]
# ## Measures of quality by centre and contrast
# Each dot is a scan, and a ring marks one that harmonisation flagged. The measures are those of MRIQC, computed on the
# scan as it came. A measure without a value is missing here; `core.quality.reason` says why. Effective resolution is
# what is left of the voxel size after blurring: a scan of thick slices that was interpolated to a fine grid shows it.

# %%
MEASURES = {
    "snr_wm": "SNR of white matter (higher is better)",
    "cnr": "CNR, grey and white matter (higher)",
    "cjv": "joint variation, CJV (lower)",
    "efc": "entropy, EFC (lower)",
    "resolution_is_mm": "resolution along the body, mm (lower)",
    "mask_volume_ml": "volume of the brain mask, ml",
}
values = ask(
    """
    WITH scan AS (
        SELECT image_id, center_id, contrast_label, verdict = 'flag' AS is_flagged, mask_volume_ml
        FROM core.volume JOIN out.image_catalog USING (image_id, center_id)
        WHERE form = 'session' AND recipe_id = $recipe
    )
    SELECT measure, contrast_label, center_id, value, is_flagged
    FROM scan JOIN (SELECT * FROM core.quality WHERE recipe_id = $recipe) USING (image_id, center_id)
    WHERE value IS NOT NULL
    UNION ALL SELECT 'mask_volume_ml', contrast_label, center_id, mask_volume_ml, is_flagged FROM scan""",
    recipe=recipe_id,
)
plt.figure(measures_figure(values, MEASURES, f"Quality of the scans by contrast and centre, recipe {recipe}"))
plt.show()

# %% [markdown]
# ## Outliers
# `out.quality_outliers` compares a scan with others of its centre and contrast, if there are five or more.

# %%
outliers = ask(
    """SELECT path, measure, round(value, 2) AS value, round(median_value, 2) AS median, round(robust_z, 1) AS robust_z
    FROM out.quality_outliers JOIN out.image_catalog USING (image_id, center_id, contrast_label)
    WHERE recipe_id = $recipe ORDER BY abs(robust_z) DESC LIMIT 8""",
    recipe=recipe_id,
)
print(outliers.to_string(index=False) if len(outliers) else "No scan is an outlier among five or more of its kind.")

# %% [markdown]
# ## What was rejected, and why
# A file is rejected when it is read, or later when it is harmonised. Scans that are merely suspicious are flagged: they
# have a volume, but no model is trained or tested on them.

# %%
rejected = ask(
    """
    SELECT center_id, reason, detail, remedy, path FROM core.rejection
    UNION ALL SELECT v.center_id, v.reason, v.detail, v.remedy, path
    FROM core.volume_rejection AS v JOIN core.image USING (image_id) WHERE recipe_id = $recipe
    UNION ALL SELECT v.center_id, 'flagged', verdict_reason, 'look at the scan', i.path
    FROM core.volume AS v JOIN core.image AS i USING (image_id)
    WHERE recipe_id = $recipe AND form = 'session' AND verdict = 'flag'""",
    recipe=recipe_id,
)
counts = rejected.groupby("reason").size().sort_values(ascending=False)
figure, axes = plt.subplots(figsize=(8, 0.32 * max(len(counts), 1) + 1.2))
draw_bars(axes, counts.head(15))
axes.set(xlabel="files, or rows of tables", ylabel="reason", title=f"{len(rejected)} were rejected or flagged")
plt.show()
for one in rejected.drop_duplicates("reason").head(10).itertuples():
    print(f"{one.reason}: {one.center_id}, {one.path}\n    {one.detail}\n    -> {one.remedy}")

# %% [markdown]
# ## One scan, before and after
# The scan is the one whose head was turned most to reach its visit's grid. Above it is shown on its own grid, in its
# own units, below as it is stored, with the brain mask that was found. The left of a picture is the person's left.

# %%
turned = ask(
    """
    SELECT v.path AS store, i.path AS file, c.root, contrast_label, v.center_id, rotation_deg, translation_mm
    FROM core.volume AS v
    JOIN out.image_catalog AS i USING (image_id)
    JOIN core.center AS c ON c.center_id = v.center_id
    LEFT JOIN core.transform AS t ON t.image_id = v.image_id AND t.recipe_id = v.recipe_id
        AND kind = 'native_to_session'
    WHERE v.recipe_id = $recipe AND v.form = 'session' AND verdict = 'pass'
    ORDER BY rotation_deg DESC NULLS LAST, v.image_id LIMIT 1""",
    recipe=recipe_id,
).iloc[0]
volume = open_store(home.root / turned["store"])
voxels, brain = np.asarray(volume[...], np.float32), np.asarray(volume.mask[...]) > 0
after = Shown(f"harmonised: {volume.voxel_size_mm[0]:g} mm, in [0, 1]", Image(voxels, volume.affine), brain, None, True)
shown = [after]
file = Path(turned["root"]) / turned["file"]
if file.is_file():
    scan = read_scan(file)
    size = " × ".join(f"{side:.2g}" for side in scan.image.voxel_size_mm)
    shown.insert(0, Shown(f"as it came: {size} mm, axes {scan.grid.axcodes}", scan.image))
else:
    print(f"The file is not here any more, so that only the volume is shown: {file}")
title = f"{turned['contrast_label']} of {turned['center_id']}"
moved = f"turned by {turned['rotation_deg']:.1f}°, moved by {turned['translation_mm']:.0f} mm"
plt.figure(planes_figure(shown, f"{title}: {moved}" if turned["rotation_deg"] >= 0 else title))
plt.show()

# %% [markdown]
# ## The intensities of that scan
# The scale of a store is linear, from a low and a high percentile of the scan to 0 and 1. What networks see is scaled
# again, by the brain (docs/evaluation.md). The bias field is gone only if the recipe corrects it; `draft` does not.

# %%
figure, panels = plt.subplots(1, len(shown), figsize=(4.6 * len(shown), 2.8), squeeze=False)
for axes, one in zip(panels[0], shown, strict=True):
    above = one.image.voxels[one.image.voxels > 0.1 * one.limits[1]]
    axes.hist(above, bins=100, color="#2f6fb0", alpha=0.45, label="all above air")
    if one.outlined:
        axes.hist(one.image.voxels[one.inside], bins=100, color="#e08a1e", alpha=0.7, label="brain")
    unit = "[0, 1]" if one.outlined else "units of the file"
    axes.set(xlabel=f"intensity, {unit}", ylabel="voxels", title=one.title.split(",")[0])
    axes.legend(frameon=False)
plt.show()
