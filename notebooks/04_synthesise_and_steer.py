# %% [markdown]
# # What does the model make of a scan, and does the prompt steer it?
#
# **Question.** What comes out when a scan and a prompt go in, and how does the picture change with TE, TR and TI?
#
# **Answer.** The model turns the scan into the contrast that the prompt names, on the same head. Whether the numbers of
# the prompt steer it as physics says is another matter. With the weights that ship (MODEL = "shipped"), the signal
# equations weigh the tissues of the scan: a longer TE makes fluid brighter in a T2w, and TI changes it in a FLAIR, both
# by less than they should. The demonstration's model learns for minutes: it changes with TE without order, and not with
# TI. Look at the rows below before you trust a slider; the report measures it. What is made is synthetic: it shows what
# is likely, not what is there, and not for diagnosis.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np

from model.data.catalogue import CatalogueImages
from model.evaluation.sweeps import SWEEPS
from model.inference.from_scans import Made, make
from model.inference.placing import place_mask
from model.inference.synthesize import load_synthesizer
from warehouse.catalog.query import Catalogue
from warehouse.errors import CatalogueError
from warehouse.imaging.geometry import Image
from warehouse.imaging.scan import read_scan
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord, render
from warehouse.quality.planes import Shown, planes_figure, row_figure
from warehouse.tables.out import SPLITS
from warehouse.volumes import open_store

home = Home.default()
connection = Catalogue(home).connect()
MODEL = None  # or an identity, a folder, "shipped": by default the champion of the home, else the weights that ship
SOURCE, TARGET = "T1w", "T2w"  # contrast of the scan, and of the prompt; see PROMPT below

# %% [markdown]
# ## A scan, and a model
# The scan is a harmonised one of the catalogue, of a person on whom nothing was trained if there is one, with a real
# scan of the wanted contrast to compare with. For a file of your own, the command is `tumsyn synthesize`, and in Python
# `from model import synthesize`.

# %%
recipes = connection.sql("SELECT recipe_id FROM core.volume GROUP BY ALL ORDER BY count(*) DESC").fetchall()
if not recipes:
    raise CatalogueError("the catalogue has no volumes", "run `tumsyn harmonize`, which publishes")
images = CatalogueImages.open(home, recipes[0][0], SPLITS)
order = ("test_internal", "acceptance", "test_external", "val", "train", "excluded")
pairs = [(images.items[source], images.items[target]) for source, target in images.pairs]
fit = [pair for pair in pairs if (pair[0].contrast_label, pair[1].contrast_label) == (SOURCE, TARGET)]
if not fit:
    raise CatalogueError(f"no visit has a {SOURCE} and a {TARGET}", "choose other contrasts in the first cell")
source, target = min(fit, key=lambda pair: (order.index(pair[0].split), pair[0].image_id))
volume, real = open_store(source.path), open_store(target.path)
brain = np.asarray(volume.mask[...]) > 0
margin = round(9 / volume.voxel_size_mm[0])  # the brain and 9 mm around it: a smaller volume is made sooner
box = tuple(slice(max(places.min() - margin, 0), places.max() + margin + 1) for places in np.nonzero(brain))
scan, mask = (
    image.slicer[box] for image in (volume.to_nifti(), nib.Nifti1Image(brain.astype(np.uint8), volume.affine))
)
model = load_synthesizer(home, MODEL)
print(f"Scan: {source.session_id}, {SOURCE}, split {source.split}, voxels of {volume.voxel_size_mm[0]:g} mm.")
print(f"Model {model.model_id}, on a grid of {model.grid_mm:g} mm: {model.chosen}.")

# %% [markdown]
# ## A prompt, and what comes out
# The prompt below is that of the real scan, without its voxel size, so that the result has the grid of the source. What
# it does not say of the person is taken from the scan. The warnings name what the model was never trained on.

# %%
PROMPT = render(replace(target.record, voxel_size_mm=None))


def synthesize(prompt: str | PromptRecord) -> Made:
    """Return what the model makes of the scan when it is asked for a prompt."""
    given = {"source_prompts": [source.record], "brain_masks": [mask], "is_harmonised": True}
    return make([scan], prompt, model=lambda voxel_mm: model, home=home, **given)


def shown(made: Made, title: str, window: tuple[float, float] | None = None) -> Shown:
    """Return a synthetic scan as it is drawn: 1000 is the median of the brain."""
    voxels = read_scan(made.image).image
    return Shown(title, voxels, place_mask(brain, volume.grid, voxels.grid), window)


made = synthesize(PROMPT)
print(f"Asked for: {PROMPT}")
print("\n".join(f"Warning: {warning}" for warning in made.warnings) or "No warning.")

# %% [markdown]
# ## The viewer
# Axial, coronal and sagittal slices through the middle of the brain. Each row has the window of its own brain. The left
# of a picture is the person's left.

# %%
rows = [
    Shown(f"source: {SOURCE}", Image(np.asarray(volume[...], np.float32), volume.affine), brain),
    shown(made, f"made by model {made.model_id}: {TARGET}"),
    Shown(
        f"target: {TARGET}, which the model did not see", Image(np.asarray(real[...], np.float32), real.affine), brain
    ),
]
plt.figure(planes_figure(rows, f"{SOURCE} → {TARGET}, {'simulated' if source.is_simulated else 'real'} person"))
plt.show()

# %% [markdown]
# ## Steering by one number
# Only one number of the prompt changes along a row. All pictures of a row have the same window, so that brighter means
# more signal relative to the median of the brain.

# %%
NAMES = {"echo_time_s": "TE", "repetition_time_s": "TR", "inversion_time_s": "TI"}
WINDOW = (0.0, 2200.0)  # of synthetic intensities
WISHES = (("T2w_fse", "echo_time_s"), ("T2w_fse", "repetition_time_s"), ("FLAIR_ir", "inversion_time_s"))
IS_FINE = model.grid_mm < 2  # each volume of 1 mm takes ten seconds and more
for name, field in WISHES[::2] if IS_FINE else WISHES:
    sweep = next(one for one in SWEEPS if (one.name, one.field) == (name, field))
    values = sweep.values[::4] if IS_FINE else sweep.values
    row = [shown(synthesize(sweep.record(value)), f"{NAMES[field]} {1000 * value:.0f} ms", WINDOW) for value in values]
    plt.figure(row_figure(row, f"{sweep.contrast}: {NAMES[field]} changes, the rest of the prompt stays"))
    plt.show()

# %% [markdown]
# ## Sliders
# In Jupyter, three sliders change TE, TR and TI of the prompt above; release a slider, and the picture is made anew. As
# a script, this cell draws nothing. The other fields of the prompt stay as they are.


# %%
def draw(te_ms: float, tr_ms: float, ti_ms: float, contrast: str) -> None:
    """Make and draw the scan that the sliders ask for."""
    inverted = contrast in ("T1w", "FLAIR")
    times = {"echo_time_s": te_ms / 1000, "repetition_time_s": tr_ms / 1000}
    wish = replace(target.record, contrast=contrast, inversion_time_s=ti_ms / 1000 if inverted else None, **times)
    plt.figure(planes_figure([shown(synthesize(wish), render(wish)[-90:], WINDOW)], f"{SOURCE} → {contrast}"))
    plt.show()


if "get_ipython" in globals():
    from ipywidgets import Dropdown, FloatSlider, interact

    slider = {"continuous_update": False, "readout_format": ".0f"}
    interact(
        draw,
        te_ms=FloatSlider(90, min=5, max=200, step=5, description="TE, ms", **slider),
        tr_ms=FloatSlider(4000, min=2000, max=12000, step=250, description="TR, ms", **slider),
        ti_ms=FloatSlider(1900, min=300, max=1950, step=50, description="TI, ms", **slider),
        contrast=Dropdown(options=sorted(model.trained_ranges["contrasts"]), value=TARGET, description="contrast"),
    )
