# %% [markdown]
# # Which model is better?
#
# **Question.** How good is each model on people whom it never saw, is it better than the baselines, and which gates did
# it pass?
#
# **Answer.** Everything is in the catalogue, as events that are never changed: SQL averages the pairs of a person
# first, since two scans of one person are not two people, and then the people. Fewer than ten people have no interval,
# and then nothing can be said. The first bar is an intensity map that is fitted on the very scan that is to be made.

# %%
from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd

from model.evaluation.statistics import MIN_PEOPLE, estimate
from model.report.catalogue_plots import colours_of
from model.report.words import MAKER_NAMES, SPLIT_NAMES, task_name
from warehouse.catalog.query import Catalogue
from warehouse.errors import CatalogueError
from warehouse.lake.home import Home

catalogue = Catalogue(Home.default())
connection = catalogue.connect()
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})
pd.set_option("display.max_colwidth", 90, "display.width", 180, "display.max_columns", 12)


def ask(sql: str, **parameters: object) -> pd.DataFrame:
    """Return the rows of a query on the catalogue."""
    return connection.execute(sql, parameters).df()


# %% [markdown]
# ## Models, and what was decided about them
# A model is a candidate when it is trained, and champion when it has passed its gates, or when a person says so.

# %%
models = ask("""
    SELECT model_id, kind, n_parameters, is_simulated, grid_mm, strftime(min(occurred_at), '%Y-%m-%d %H:%M') AS trained
    FROM core.model_version GROUP BY ALL ORDER BY trained""")
events = ask("SELECT model_id, alias, action, decided_by, reason FROM core.model_event ORDER BY occurred_at")
print(models.to_string(index=False) if len(models) else "No model was trained in this home.")
for one in events.fillna("").itertuples():
    print(
        fill(f"{one.model_id} {one.alias} {one.action} {one.decided_by}: {one.reason}", 118, subsequent_indent="    ")
    )

# %% [markdown]
# ## Each person's score
# Form native is the path of a user, from file to file on the target's own grid. PSNR is in the brain, as made. A row is
# a person: the mean over that person's pairs, by model or baseline.

# %%
people = ask("""
    WITH pair AS (  -- a repeated evaluation of the same pair has the same value, and counts once
        SELECT DISTINCT ON (model_id, protocol_hash, data_id, form, task, source_image_ids, target_image_id)
            model_id, evaluation_id, coalesce(form, 'session') AS form, task, split, source_image_ids, target_image_id,
            value
        FROM core.evaluation_score WHERE metric = 'psnr_db' AND mask = 'brain'
    ),
    compared AS (  -- beside each value, that of the fitted map on the same pair
        SELECT own.*, own.value - map.value AS gain FROM pair AS own
        LEFT JOIN pair AS map USING (evaluation_id, form, task, source_image_ids, target_image_id)
        WHERE map.model_id = 'baseline:intensity_map_oracle'
    )
    SELECT c.model_id, form, c.split, is_simulated, task, person_id, avg(value) AS psnr_db, avg(gain) AS gain_db
    FROM compared AS c JOIN out.image_catalog AS i ON i.image_id = c.target_image_id
    GROUP BY ALL ORDER BY ALL""")
if people.empty:
    raise CatalogueError(f"catalogue {catalogue.snapshot_id} has no score", "run `tumsyn evaluate`, which publishes")
people["maker"] = [MAKER_NAMES.get(name, name) for name in people["model_id"]]
form = "native" if (people["form"] == "native").any() else "session"
people = people[people["form"] == form]
print(people.groupby(["split", "is_simulated"])["person_id"].nunique().rename("people").to_string())

# %% [markdown]
# ## Scores by task
# The group is the one with the most people. Small dots are people, and a diamond is their mean. A bar is the 95 %
# interval of the mean (bootstrap over people), where there are ten people or more.

# %%
sizes = people.groupby(["split", "is_simulated"])["person_id"].nunique()
split, is_simulated = sizes[[key for key in sizes.index if key[0] not in ("train", "val")] or sizes.index].idxmax()
group = people[(people["split"] == split) & (people["is_simulated"] == is_simulated)]
is_model = ~group["model_id"].str.startswith("baseline:")
tasks = list(dict.fromkeys(group.loc[is_model, "task"]))
known = ["source as it is", "pooled map", "fitted map"]
makers = [*known, *sorted(set(group.loc[is_model, "maker"]))]
colours = colours_of(makers, dict(zip(known, ("#a7b0bb", "#6f7b88", "#e08a1e"), strict=True)))
whose = f"{SPLIT_NAMES[split]}, {'simulated' if is_simulated else 'real'}"

figure, axes = plt.subplots(figsize=(9, (0.17 * len(makers) + 0.16) * len(tasks) + 1.5))
for maker in makers:
    axes.plot([], [], "D", color=colours[maker], label=maker)
for row, task in enumerate(tasks):
    for place, maker in enumerate(makers):
        values = group.loc[(group["task"] == task) & (group["maker"] == maker), "psnr_db"]
        height, found = row - 0.36 + 0.72 * (place + 0.5) / len(makers), estimate(values.to_numpy())
        if found is None:
            continue
        axes.plot(values, [height] * len(values), ".", ms=4, color=colours[maker], alpha=0.5)
        axes.plot(found.mean, height, "D", ms=5.5, color=colours[maker], mec="white")
        if found.low is not None:
            axes.hlines(height, found.low, found.high, color=colours[maker], linewidth=2)
axes.set_yticks(range(len(tasks)), [task_name(task) for task in tasks])
axes.set(ylim=(len(tasks) - 0.5, -0.5), xlabel="PSNR in the brain, dB (higher is better)", ylabel="task")
axes.set_title(f"{whose}, form {form}: {group['person_id'].nunique()} people")
axes.grid(axis="x", alpha=0.3)
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## What a model gains on the fitted map
# Differences are taken pair by pair, then averaged by person. An interval that lies right of zero says that the model
# is better. All tasks are taken together here, and a person counts once.

# %%
own = people[~people["model_id"].str.startswith("baseline:")]
by_person = own.groupby(["model_id", "split", "is_simulated", "person_id"])["gain_db"].mean().reset_index()
lines = list(by_person.groupby(["model_id", "split", "is_simulated"])["gain_db"])
figure, axes = plt.subplots(figsize=(9, 0.42 * len(lines) + 1.4))
for row, (_, gains) in enumerate(lines):
    found = estimate(gains.to_numpy())
    axes.plot(gains, [row] * len(gains), ".", color="#7a8594", alpha=0.6)
    axes.plot(found.mean, row, "D", color="#1d5fd1", mec="white", ms=7)
    if found.low is not None:
        axes.hlines(row, found.low, found.high, color="#1d5fd1", linewidth=2.5)
names = [
    f"{model[:8]}: {SPLIT_NAMES[where]}, {'simulated' if simulated else 'real'} ({len(gains)})"
    for (model, where, simulated), gains in lines
]
axes.axvline(0, color="black", linewidth=0.8)
axes.set_yticks(range(len(lines)), names)
axes.set(ylim=(len(lines) - 0.5, -0.5), xlabel="gain on the fitted map, dB", ylabel="model and people (number)")
axes.set_title(f"Gain in brain PSNR; groups below {MIN_PEOPLE} people have no interval")
axes.grid(axis="x", alpha=0.3)
plt.show()

# %% [markdown]
# ## Gates
# A gate compares the lower bound of an interval with a threshold: a model with few people does not pass by luck.

# %%
gates = ask("""
    SELECT model_id, gate, coalesce(verdict, if(passed, 'passed', 'failed')) AS verdict, value, threshold, n_people,
        detail
    FROM core.gate_verdict
    QUALIFY row_number() OVER (PARTITION BY model_id, gate, against_id ORDER BY occurred_at DESC) = 1
    ORDER BY model_id, gate""")
columns = ["model_id", "gate", "verdict", "value", "threshold", "n_people"]
print(gates[columns].to_string(index=False, float_format="{:.3f}".format) if len(gates) else "No gate was measured.")
for one in gates.itertuples():
    print(fill(f"{one.gate}: {one.detail}", 118, subsequent_indent="    "))
