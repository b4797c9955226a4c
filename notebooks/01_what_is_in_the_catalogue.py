# %% [markdown]
# # What is in the catalogue?
#
# **Question.** Which centres, contrasts and people does the catalogue hold, and by which parameters were they scanned?
#
# **Answer.** The demonstration has simulated centres with one to six of the seven contrasts each, people from childhood
# to old age, and a cluster of TR, TE and TI for each contrast and vendor. A value that a centre does not publish is
# missing. The first cell answers for *your* catalogue, that of the home which `TUMSYN_HOME` names; it is opened
# read-only. SQL does all counting; run the cells from top to bottom.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home

catalogue = Catalogue(Home.default())
connection = catalogue.connect()
ELIGIBLE = "FROM out.image_catalog WHERE eligibility = 'eligible'"  # structural scans of a known contrast
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})


def ask(sql: str) -> pd.DataFrame:
    """Return the rows of a query on the catalogue."""
    return connection.sql(sql).df()


summary = ask(
    f"SELECT count(*) AS n_images, count(DISTINCT person_id) AS n_people, bool_or(is_simulated) AS sim {ELIGIBLE}"
)
n_images, n_people, has_simulated = summary.iloc[0]
note = "simulated data" if has_simulated else "real data"
n_centers = len(ask("FROM core.center"))
assert n_images, "the catalogue has no eligible image: ingest a centre first"
print(
    f"Catalogue {catalogue.snapshot_id}: {n_images:,} images of {n_people:,} people from {n_centers} centres ({note})."
)

# %% [markdown]
# ## Centres and contrasts
# The table counts the images of each contrast in each centre. External centres (*) are for tests only. An empty field
# is a contrast that the centre does not have, so that no model can learn its pairs there.

# %%
counted = ask(f"SELECT center_id, role, contrast_label, count(*) AS n_images {ELIGIBLE} GROUP BY ALL ORDER BY ALL")
counted["center"] = counted["center_id"] + np.where(counted["role"] == "external", " *", "")
table = counted.pivot_table(index="center", columns="contrast_label", values="n_images", aggfunc="sum")
table = table[table.sum().sort_values(ascending=False).index]

figure, axes = plt.subplots(figsize=(7, 0.36 * len(table) + 1.2))
axes.imshow(table, cmap="YlGnBu", aspect="auto", vmin=0)
for (row, column), n in np.ndenumerate(table.to_numpy()):
    if not np.isnan(n):
        axes.text(
            column, row, f"{n:.0f}", ha="center", va="center", color="white" if n > np.nanmax(table) / 2 else "black"
        )
axes.set_xticks(range(table.shape[1]), table.columns)
axes.set_yticks(range(table.shape[0]), table.index)
axes.spines[:].set_visible(False)
axes.tick_params(length=0)
axes.set(xlabel="contrast", ylabel="centre (* external)", title=f"Images by centre and contrast ({note})")
plt.show()

# %% [markdown]
# ## Splits
# All images of a person are in one split. Few people in a test split give wide intervals in every report.

# %%
SPLITS = ["train", "val", "test_internal", "test_external", "excluded"]
people = ask(f"SELECT split, contrast_label, count(DISTINCT person_id) AS n_people {ELIGIBLE} GROUP BY ALL")
bars = people.pivot_table(index="contrast_label", columns="split", values="n_people", fill_value=0)
bars = bars[[split for split in SPLITS if split in bars]].loc[table.columns[::-1]]

figure, axes = plt.subplots(figsize=(7, 0.34 * len(bars) + 1.4))
bars.plot.barh(stacked=True, ax=axes, cmap="viridis", width=0.75)
axes.set(xlabel="people", ylabel="contrast", title=f"People by contrast and split ({note})")
axes.legend(title="split", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
plt.show()

# %% [markdown]
# ## Ages
# A person's age is the lowest known one. Where a centre publishes only a range, the age is missing.

# %%
ages = ask(
    "SELECT coalesce(sex, 'unknown') AS sex, min(age_years) AS years FROM out.image_catalog GROUP BY person_id, sex"
)
known = ages.dropna(subset="years")
edges = np.arange(0, 105, 5)

figure, axes = plt.subplots(figsize=(7, 3))
sexes = sorted(known["sex"].unique())
axes.hist([known.loc[known["sex"] == sex, "years"] for sex in sexes], edges, stacked=True, label=sexes, rwidth=0.92)
axes.set(xlabel="age, years", ylabel="people", title=f"Ages of {len(known):,} of {len(ages):,} people ({note})")
if sexes:
    axes.legend(title="sex", frameon=False)
plt.show()

# %% [markdown]
# ## Parameters of the scans
# A prompt whose value is far from every dot asks for an extrapolation. Only contrasts with an inversion pulse have a
# TI. Dots are jittered within their row, by a fixed seed, so that equal values are visible.

# %%
PARAMETERS = {
    "repetition_time_s": ("TR, s", "log"),
    "echo_time_s": ("TE, s", "log"),
    "inversion_time_s": ("TI, s", "linear"),
    "flip_angle_deg": ("FA, °", "linear"),
}
scans = ask(f"SELECT * REPLACE (coalesce(manufacturer, 'unknown') AS manufacturer) {ELIGIBLE}")
colours = {vendor: f"C{number}" for number, vendor in enumerate(sorted(set(scans["manufacturer"])))}
rows = {contrast: number for number, contrast in enumerate(table.columns[::-1])}
rng = np.random.default_rng(0)

figure, panels = plt.subplots(1, len(PARAMETERS), figsize=(11, 0.4 * len(rows) + 1.4), sharey=True)
for axes, (parameter, (label, scale)) in zip(panels, PARAMETERS.items(), strict=True):
    for vendor, group in scans.dropna(subset=parameter).groupby("manufacturer"):
        height = group["contrast_label"].map(rows) + rng.uniform(-0.25, 0.25, len(group))
        axes.plot(group[parameter], height, ".", label=vendor, alpha=0.7, color=colours[vendor])
    axes.set(xlabel=label, xscale=scale)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", alpha=0.3)
panels[0].set_yticks(list(rows.values()), list(rows))
panels[0].set_ylabel("contrast")
handles = {text: dot for axes in panels for dot, text in zip(*axes.get_legend_handles_labels(), strict=True)}
figure.legend(handles.values(), handles, title="vendor", loc="outside right upper", frameon=False)
figure.suptitle(f"Parameters of the scans ({note})")
plt.show()

# %% [markdown]
# ## What is missing
# The picture shows the share of images without a value. A prompt has the word None in its place.

# %%
gaps = ask("SELECT field, center_id, sum(n_missing) / sum(n_images) AS share FROM out.missing_metadata GROUP BY ALL")
missing = gaps.pivot_table(index="center_id", columns="field", values="share")

figure, axes = plt.subplots(figsize=(8, 0.34 * len(missing) + 2))
shades = axes.imshow(100 * missing, cmap="OrRd", aspect="auto", vmin=0, vmax=100)
axes.set_xticks(range(missing.shape[1]), missing.columns, rotation=35, ha="right")
axes.set_yticks(range(missing.shape[0]), missing.index)
axes.spines[:].set_visible(False)
axes.tick_params(length=0)
axes.set(xlabel="field of the prompt", ylabel="centre", title=f"Missing values ({note})")
figure.colorbar(shades, label="images without a value, %")
plt.show()
