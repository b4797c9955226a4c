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

from model.report.catalogue_plots import draw_ages, draw_bars, draw_table, parameters_figure
from model.report.world import draw_centers
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
# ## Where the data come from
# The coordinates are those of `core.center`: the city where most of a dataset was acquired. Datasets of many sites have
# none, and are listed below the map. A simulated centre has the place of the real one that it imitates: nobody was
# scanned there. The area of a dot is proportional to the number of images.

# %%
places = ask(f"""
    SELECT latitude_deg, longitude_deg, city, string_agg(center_id, ', ' ORDER BY center_id) AS centers,
        sum(n_images)::BIGINT AS n_images, bool_and(role = 'external') AS is_external
    FROM core.center JOIN (SELECT center_id, count(*) AS n_images {ELIGIBLE} GROUP BY ALL) USING (center_id)
    GROUP BY ALL ORDER BY n_images DESC""")
places["centers"] = places["centers"].str.replace("phantom_", "")
placed = places.dropna(subset="latitude_deg")
labels = [f"{one.city}: {one.centers}, {one.n_images:,}" for one in placed.itertuples()]
colours = np.where(placed["is_external"], "#d1662a", "#2f6fb0")

figure, axes = plt.subplots(figsize=(12, 4.6))
draw_centers(axes, placed.assign(label=labels, color=colours))
axes.set_title(f"Centres and their images; orange: external, for tests only ({note})")
plt.show()
nowhere = ", ".join(places.loc[places["latitude_deg"].isna(), "centers"])
print(f"Without coordinates: {nowhere or 'none'}.")

# %% [markdown]
# ## Centres and contrasts
# The table counts the images of each contrast in each centre. External centres (*) are for tests only. An empty field
# is a contrast that the centre does not have, so that no model can learn its pairs there.

# %%
counted = ask(f"SELECT center_id, role, contrast_label, count(*) AS n_images {ELIGIBLE} GROUP BY ALL ORDER BY ALL")
counted["center"] = counted["center_id"] + np.where(counted["role"] == "external", " *", "")
table = counted.pivot_table(index="center", columns="contrast_label", values="n_images", aggfunc="sum")
table = table[table.sum().sort_values(ascending=False).index]

figure, (axes, right) = plt.subplots(1, 2, figsize=(10, 0.36 * len(table) + 1.3), width_ratios=(2.2, 1))
draw_table(axes, table)
axes.set(xlabel="contrast", ylabel="centre (* external)")
draw_bars(right, table.sum(axis=1))
right.set(xlabel="images", yticks=[], ylim=axes.get_ylim())
figure.suptitle(f"Images by centre and contrast ({note})")
plt.show()

# %% [markdown]
# ## Splits
# All images of a person are in one split. Few people in a test split give wide intervals in every report.

# %%
SPLITS = ["train", "val", "test_internal", "test_external", "acceptance", "excluded"]
people = ask(f"SELECT split, contrast_label, count(DISTINCT person_id) AS n_people {ELIGIBLE} GROUP BY ALL")
bars = people.pivot_table(index="contrast_label", columns="split", values="n_people", fill_value=0)
bars = bars[[split for split in SPLITS if split in bars]].loc[table.columns[::-1]]

figure, axes = plt.subplots(figsize=(8, 0.34 * len(bars) + 1.4))
bars.plot.barh(stacked=True, ax=axes, cmap="viridis", width=0.75)
axes.set(xlabel="people", ylabel="contrast", title=f"People by contrast and split ({note})")
axes.locator_params(axis="x", integer=True)
axes.legend(title="split", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
plt.show()

# %% [markdown]
# ## Ages and sex
# A person's age is the lowest known one; where a centre publishes ranges only, it is the middle of the range.

# %%
ages = ask("""
    SELECT person_id, coalesce(any_value(sex), 'unknown') AS sex, bool_and(age_years IS NULL) AS is_range,
        coalesce(min(age_years), min((age_low_years + age_high_years) / 2)) AS years
    FROM out.image_catalog GROUP BY person_id""")
ranges = (ages["is_range"] & ages["years"].notna()).sum()
figure, (axes, right) = plt.subplots(1, 2, figsize=(10, 3.1), width_ratios=(3, 1))
draw_ages(axes, ages)
axes.set_title(f"Ages of {ages['years'].notna().sum():,} of {len(ages):,} people, {ranges} by ranges ({note})")
draw_bars(right, ages["sex"].value_counts(), "#7a8594")
right.set(xlabel="people", ylabel="sex")
plt.show()

# %% [markdown]
# ## Parameters of the scans
# A prompt whose value is far from every dot asks for an extrapolation. Only contrasts with an inversion pulse have a
# TI. Dots are shifted within their row, by a fixed seed, so that equal values are visible.

# %%
scans = ask(f"SELECT * REPLACE (coalesce(manufacturer, 'unknown') AS manufacturer) {ELIGIBLE}")
plt.figure(parameters_figure(scans, list(table.columns), f"Parameters of the scans ({note})"))
plt.show()

# %% [markdown]
# ## What is missing
# The picture shows the share of images without a value. A prompt has the word None in its place.

# %%
gaps = ask("SELECT field, center_id, sum(n_missing) / sum(n_images) AS share FROM out.missing_metadata GROUP BY ALL")
missing = 100 * gaps.pivot_table(index="center_id", columns="field", values="share")
missing.columns = missing.columns.str.replace("_", " ")

figure, axes = plt.subplots(figsize=(9, 0.34 * len(missing) + 2))
draw_table(axes, missing, colours="OrRd", high=100)
axes.tick_params(axis="x", rotation=35)
plt.setp(axes.get_xticklabels(), ha="right", rotation_mode="anchor")
axes.set(xlabel="field of the prompt", ylabel="centre", title=f"Images without a value, % ({note})")
plt.show()
