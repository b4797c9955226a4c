"""A broken registration is named with its error, and every other centre can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from warehouse.centers.readable import readable
from warehouse.centers.registry import Center, Layout, register, registered
from warehouse.errors import CenterError
from warehouse.lake.home import Home


def test_a_broken_registration_hides_no_other_centre(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    entry = register(home, Center(center_id="whole", title="Whole", layout=Layout(kind="bids")), tmp_path)
    (home.centers / "broken.yaml").write_text("root: [")
    (home.centers / "folder.yaml").mkdir()
    found = readable(home)
    assert found.centers == {"whole": entry}
    assert found.errors.keys() == {"broken", "folder"}
    assert all(error.remedy for error in found.errors.values())
    with pytest.raises(CenterError):
        registered(home)
