"""A dataset that attacks whoever shows it: markup, Markdown, terminal escapes and paths, wherever text is read."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import write_image
from warehouse.centers.registry import Center, Layout

SCRIPT = "<script>alert(1)</script>"
PICTURE = '"><img src=x onerror=alert(1)>'
LINK = "[x](javascript:alert(1))"
REMOTE = "![x](http://evil.example/x.png)"
CELLS = "a|b\nc"
TERMINAL = "\x1b[31mred \x1b]8;;http://evil.example\x07click\x1b]8;;\x07"
TEMPLATE = "{{7*7}}{% raw %}"
FORMULA = "$\\bad{$"
UPWARDS = "../../../../escaped"
TEXTS = (SCRIPT, PICTURE, LINK, REMOTE, CELLS, TERMINAL, TEMPLATE, FORMULA, UPWARDS)
# In the name of a file everything may stand but a slash.
NAMES = tuple(text.replace("/", "∕") for text in TEXTS)


def center(center_id: str = "hostile") -> Center:
    """Return the definition of the dataset."""
    return Center(
        center_id=center_id, title=SCRIPT + TERMINAL, license=LINK, citation=PICTURE, layout=Layout(kind="bids")
    )


def write_hostile(root: Path) -> Path:
    """Write the dataset.

    Its first participant has a scan for each text, with the text in the entity `acq`, and in the sidecar; files with
    names that are no scans are refused, the table names people who are not there, and links leave the root.
    """
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": SCRIPT, "BIDSVersion": "1.9.0"}))
    lines = ["participant_id\tsex\tage\tgroup", "sub-01\tF\t31\tcontrol"]
    lines += [f"{_cell(text)}\t{_cell(text)}\t{_cell(text)}\t{_cell(text)}" for text in TEXTS]
    (root / "participants.tsv").write_text("\n".join([*lines, ""]))
    anat = root / "sub-01" / "anat"
    for number, (text, name) in enumerate(zip(TEXTS, NAMES, strict=True)):
        stem = f"sub-01_acq-{name}_run-{number}_T1w"
        write_image(anat / f"{stem}.nii.gz")
        codes = dict.fromkeys(("Manufacturer", "ManufacturersModelName", "SequenceName", "EchoTime", text), text)
        (anat / f"{stem}.json").write_text(json.dumps(codes))
        (anat / f"{name}.nii.gz").write_bytes(b"no image")
        (root / f"{name}.tsv").write_text(f"{_cell(text)}\t{_cell(text)}\n{_cell(text)}\n")
    write_image(anat / "sub-01_T1w.nii.gz")
    (anat / "sub-01_T2w.nii.gz").symlink_to("/etc/passwd")
    (root / "sub-02").symlink_to("/etc")
    (root / "sub-03").symlink_to("../../..")
    return root


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ")
