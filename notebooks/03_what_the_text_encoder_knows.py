# %% [markdown]
# # What does the text encoder know?
#
# **Question.** Does the text encoder find the prompt of an image, does it notice when one number of a prompt is wrong,
# and which images lie near each other in its space?
#
# **Answer.** The demonstration's encoder, which learns for minutes, tells most contrasts apart. It notices a wrong TE
# of a T2w or a PDw, and hardly a wrong TR, TI or flip angle. Images group by contrast before anything else. How far
# this holds for your encoder and your data, the figures say; no encoder can know what an image does not show.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from model.data.boxes import Box, BoxedImages
from model.data.catalogue import CatalogueImages
from model.evaluation.retrieval import seen_items
from model.evaluation.scorers import Encoder
from model.networks.checkpoint import read_model
from model.networks.pair_encoder import Matcher
from model.networks.weights import choose
from model.report.catalogue_plots import MARKERS, PARAMETERS, colours_of, draw_table
from model.report.encoder_plots import retrieval_figure
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home
from warehouse.prompts.vocabulary import CONTRAST_LABELS
from warehouse.tables.out import SPLITS

home = Home.default()
connection = Catalogue(home).connect()
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})
MODEL = None  # or an identity, a folder, "shipped": by default the champion of the home, else the weights that ship
MOST_IMAGES = 80  # that are embedded

# %% [markdown]
# ## The encoder and the images
# Images are those of the recipe with the most volumes, test people first: what the encoder was trained on says little.

# %%
choice = choose(home, MODEL, "text_encoder")
config, tensors = read_model(choice.path)
recipes = connection.sql("SELECT recipe_id, count(*) AS n FROM core.volume GROUP BY ALL ORDER BY n DESC").fetchall()
images = CatalogueImages.open(home, recipes[0][0] if recipes else config["recipe_id"], SPLITS)
order = ("test_internal", "test_external", "acceptance", "val", "train", "excluded")
places = sorted(range(len(images)), key=lambda place: (order.index(images.items[place].split), place))[:MOST_IMAGES]
items = [images.items[place] for place in places]
matcher = Matcher(config, tensors)
boxed = BoxedImages(images, Box(tuple(config["box"]["shape"]), config["box"]["voxel_mm"]))
seen = seen_items(items, matcher.embed_volumes(boxed.volume(place) for place in places))
encoder = Encoder(matcher)
labels = np.array([item.contrast_label for item in items])
print(f"Text encoder {config['model_id']}: {choice.reason}.")
print(f"Images by split: {pd.Series([item.split for item in items]).value_counts().to_dict()}.")

# %% [markdown]
# ## Who finds whose prompt
# These figures are those of the last evaluation, read from `core.retrieval_score`. Bars are shares, the vertical marks
# are chance, and the diamonds are an observer who knows the signals of all tissues: no encoder can be much better.

# %%
scores = connection.sql(
    """SELECT * FROM core.retrieval_score WHERE model_id = $model AND field IS NULL
    QUALIFY row_number() OVER (
        PARTITION BY task, split, population, form, n_candidates, metric ORDER BY occurred_at DESC) = 1""",
    params={"model": config["model_id"]},
).to_arrow_table()
figure = retrieval_figure(scores.to_pylist())
if figure is None:
    print("The catalogue has no evaluation of this encoder: run `tumsyn evaluate --model` with its identity.")
else:
    plt.figure(figure)
    plt.show()

# %% [markdown]
# ## Which contrasts are confused
# Each image chooses the word that fits best, of all contrasts. Rows are what it is, columns what it chose.

# %%
chosen = np.array(CONTRAST_LABELS)[encoder.labels(seen, CONTRAST_LABELS).argmax(1)]
confused = pd.crosstab(labels, chosen).replace(0, np.nan)
figure, axes = plt.subplots(figsize=(6.5, 0.42 * len(confused) + 1.3))
draw_table(axes, confused)
right = (labels == chosen).mean()
axes.set(xlabel="contrast that was chosen", ylabel="contrast of the image")
constant = pd.Series(labels).value_counts(normalize=True).max()
axes.set_title(f"{right:.0%} of {len(items)} images choose their contrast (one constant answer: {constant:.0%})")
plt.show()

# %% [markdown]
# ## One number of the prompt is changed
# For each image, one number of its own prompt is multiplied by a factor, and the cosine is compared with that of the
# true prompt. An encoder that knows the number has its maximum at 1. A flat curve says that the number does not matter
# for this contrast, or that the encoder has not learned that it does.

# %%
FACTORS = np.geomspace(1 / 4, 4, 17)
contrasts = [label for label in CONTRAST_LABELS if label in labels]
colours = colours_of(contrasts, {})
figure, panels = plt.subplots(1, len(PARAMETERS), figsize=(11, 3.2), sharey=True)
for axes, (field, (name, _)) in zip(panels, PARAMETERS.items(), strict=True):
    for number, contrast in enumerate(contrasts):
        own = [n for n, item in enumerate(items) if labels[n] == contrast and getattr(item.record, field)][:12]
        if not own:
            continue
        true = [items[n].record for n in own]
        records = [replace(one, **{field: getattr(one, field) * factor}) for one in true for factor in FACTORS]
        cosines = encoder.each(seen, np.repeat(own, len(FACTORS)), records).reshape(len(own), -1)
        change = (cosines - cosines[:, [len(FACTORS) // 2]]).mean(0)
        axes.plot(FACTORS, change, marker=MARKERS[number], ms=4, color=colours[contrast], label=contrast)
    axes.axvline(1, color="#7a8594", linewidth=1, linestyle=":")
    axes.set(xscale="log", xlabel="multiple of the true value", title=name.split(",")[0])
    axes.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
handles = {text: line for axes in panels for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
figure.legend(handles.values(), handles, title="contrast", loc="outside right upper", frameon=False)
panels[0].set_ylabel("cosine, change from the true prompt")
figure.suptitle("One number of the prompt is wrong: mean over at most twelve images of each contrast")
plt.show()

# %% [markdown]
# ## A map of the space
# Principal components of the images' embeddings. Images (filled) and prompts (crosses) lie in two regions of the space;
# each is centred on its own mean. The share of the variance that an axis has is written beside it.

# %%
centred = seen.vectors - seen.vectors.mean(0)
_, strengths, axes_of_space = np.linalg.svd(centred, full_matrices=False)
shares = strengths**2 / (strengths**2).sum()
texts = encoder.vectors(seen.records)
at, written = centred @ axes_of_space[:2].T, (texts - texts.mean(0)) @ axes_of_space[:2].T
figure, axes = plt.subplots(figsize=(7.5, 4.6))
for number, contrast in enumerate(contrasts):
    own, style = labels == contrast, {"color": colours[contrast]}
    axes.scatter(*at[own].T, s=34, marker=MARKERS[number], alpha=0.75, linewidths=0, label=contrast, **style)
    axes.scatter(*written[own].T, s=30, marker="x", alpha=0.55, linewidths=1, **style)
axes.set(xlabel=f"first component ({shares[0]:.0%} of the variance)", ylabel=f"second component ({shares[1]:.0%})")
axes.set_title(f"{len(items)} images (filled) and their prompts (×)")
axes.legend(title="contrast", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
