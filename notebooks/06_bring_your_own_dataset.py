# %% [markdown]
# # How do I bring my own dataset?
#
# **Question.** What does it take from a folder of scans to the first synthesis?
#
# **Answer.** Four commands: `centers add`, `ingest`, `harmonize`, `synthesize`. A BIDS dataset needs no description of
# its own; another layout needs one YAML file (`warehouse/centers/README.md`). This notebook does all of it with a small
# dataset that it simulates, in a temporary home: nothing of yours is read or written. With your data, name your folder.

# %%
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import pipelines
from model.networks.weights import choose
from model.simulation.people import Subject
from model.simulation.visit import PROTOCOLS, SCANNER, write_visit
from warehouse.catalog.query import Catalogue
from warehouse.imaging.scan import read_scan
from warehouse.lake.home import Home
from warehouse.quality.planes import Shown, planes_figure

temporary = tempfile.TemporaryDirectory()  # is removed when Python ends
dataset, home = Path(temporary.name) / "mylab", Home(Path(temporary.name) / "home")


def tumsyn(*arguments: str | Path) -> None:
    """Run a command as in a terminal, and print what it says."""
    command = [sys.executable, "-m", "pipelines.cli", "--home", str(home.root), *map(str, arguments)]
    print("$ tumsyn", *arguments)
    place = Path(pipelines.__file__).parents[1]
    done = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = [line.split("\r")[-1] for line in done.stdout.splitlines()]
    print("\n".join(line for line in lines if line.strip()), f"\n(exit status {done.returncode})\n")


# %% [markdown]
# ## A folder of scans
# In BIDS, 3 mm: a simulated person with a T1w and a T2w, and a second one whose only file is cut off, as after a broken
# copy, and whose age is impossible. Real folders are like that.

# %%
anat = [dataset / f"sub-{name}" / "anat" for name in ("01", "02")]
write_visit(anat[0], "01", Subject(seed=1, age_years=34.0, sex="F"), PROTOCOLS, SCANNER, voxel_mm=3.0)
anat[1].mkdir(parents=True)
whole = (anat[0] / "sub-01_T2w.nii.gz").read_bytes()
(anat[1] / "sub-02_T2w.nii.gz").write_bytes(whole[: len(whole) // 2])
(dataset / "dataset_description.json").write_text(json.dumps({"Name": "My lab", "BIDSVersion": "1.9.0"}))
(dataset / "participants.tsv").write_text("participant_id\tsex\tage\nsub-01\tF\t34\nsub-02\tM\t610\n")
print("\n".join(sorted(str(path.relative_to(dataset)) for path in dataset.rglob("*") if path.is_file())))

# %% [markdown]
# ## 1. Register the folder, and check it
# Nothing is copied, and nothing is ever written into the folder. `check` reads everything and shows what an ingest
# would find: images, rejected files with a remedy, and values that cannot be true.

# %%
tumsyn("centers", "add", "mylab", "--layout", "bids", "--root", dataset, "--title", "My lab")
tumsyn("centers", "check", "mylab")

# %% [markdown]
# ## 2. Ingest
# The catalogue is published with what can be used. The broken file is in `core.rejection`, with its reason.

# %%
tumsyn("ingest")

# %% [markdown]
# ## 3. Harmonise
# `draft` is coarse and quick, for a first look; `standard` is what models of 1 mm are trained with.

# %%
tumsyn("harmonize", "--recipe", "draft")

# %% [markdown]
# ## 4. Look at the catalogue
# The prompts were made of sidecars, headers and the table of participants; what nobody wrote down is None.

# %%
with Catalogue(home).connect() as connection:
    print(connection.sql("SELECT path, reason, remedy FROM core.rejection").df().to_string(index=False))
    prompts = connection.sql("SELECT path, prompt FROM out.prompt JOIN core.image USING (image_id)").fetchall()
    for path, prompt in prompts:
        print(f"{path}\n    {prompt}")

# %% [markdown]
# ## 5. The first synthesis
# The new home has no model of its own. Scans of 3 mm are served by the champion of the demonstration, if `TUMSYN_HOME`
# names its home; else, and for scans of 1 mm, by the weights that ship, which were trained on real scans: of a coarse
# simulated one they make a blurred picture, in a minute. The sidecar beside the result says what was used. The left of
# a picture is the person's left.

# %%
source, out = dataset / "sub-01" / "anat" / "sub-01_T1w.nii.gz", Path(temporary.name) / "T2w.nii.gz"
choice = choose(Home.default(), None, "synthesis", voxel_mm=3.0)
print(f"Model {choice.path.name}: {choice.reason}.")
prompt = "Modality: T2w; TR: 4000 ms; TE: 90 ms"
tumsyn("synthesize", source, "--prompt", prompt, "--model", choice.path, "--out", out)

rows = [("T1w as it came", source), ("synthetic T2w", out), ("simulated T2w", source.with_name("sub-01_T2w.nii.gz"))]
shown = [Shown(title, read_scan(path).image) for title, path in rows]
plt.figure(planes_figure(shown, f"T1w → T2w, simulated person; model {choice.path.name}"))
plt.show()

# %% [markdown]
# ## And then
# * `tumsyn ui` shows the catalogue in the browser, and keeps it up to date when the folder changes
#   (docs/operations.md).
# * `tumsyn train text-encoder` and `tumsyn train synthesis` train models on your people (README).
# * Notebooks 01 to 05 answer their questions for your home: name it in `TUMSYN_HOME`.
