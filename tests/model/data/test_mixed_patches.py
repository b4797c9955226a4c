"""Batches of real and simulated patches."""

from __future__ import annotations

import pickle
from typing import cast

import numpy as np
import pytest

from model.data.loader import BatchLoader
from model.data.mixed_patches import MixedPatches
from model.data.patches import Patch, Patches
from model.data.simulated_patches import SimulatedPatches
from tests.model.data.small_fine_heads import SmallFineHeads
from warehouse.errors import ModelError

SIDE = 12
SIMULATED = SimulatedPatches(SmallFineHeads(), side=SIDE, voxel_mm=4.0)


class Real:
    """Stands for patches of real scans: simulated ones without truth."""

    side, voxel_mm = SIDE, 4.0

    def patch(self, random: np.random.Generator) -> Patch:
        made = SIMULATED.patch(random)
        return Patch(made.given, made.target, made.mask, made.at, made.size_mm, made.low, made.span, made.record)


REAL = cast(Patches, Real())


def _mixed(share: float = 0.5, batch_size: int = 2, seed: int = 0) -> MixedPatches:
    return MixedPatches(REAL, SIMULATED, seed=seed, batch_size=batch_size, simulated_share=share)


def _is_simulated(mixed: MixedPatches, n: int) -> list[bool]:
    return [patch.maps is not None for step in range(n) for patch in mixed.batch(step).patches]


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    first, again = _mixed(), pickle.loads(pickle.dumps(_mixed()))
    later = again.batch(7)
    for step in (7, 0, 7):
        one, other = first.batch(step), again.batch(step)
        assert np.array_equal(one.voxels, other.voxels)
        assert [patch.record for patch in one.patches] == [patch.record for patch in other.patches]
    assert np.array_equal(later.voxels, first.batch(7).voxels)
    assert not np.array_equal(later.voxels, _mixed(seed=1).batch(7).voxels)


@pytest.mark.slow
def test_the_share_is_met_over_steps() -> None:
    found = _is_simulated(_mixed(0.3, batch_size=4), 30)
    assert 0.15 < np.mean(found) < 0.45
    assert not any(_is_simulated(_mixed(0.0), 5))
    assert all(_is_simulated(_mixed(1.0), 5))


def test_what_is_not_there_is_not_drawn() -> None:
    only = MixedPatches(None, SIMULATED, seed=0, batch_size=3, simulated_share=0.0)
    assert all(_is_simulated(only, 3))
    assert only.batch(0).voxels.shape[0] == 3
    assert not any(_is_simulated(MixedPatches(REAL, None, seed=0, batch_size=2, simulated_share=1.0), 3))


@pytest.mark.slow
def test_workers_make_the_same_batches() -> None:
    simulated = MixedPatches(None, SIMULATED, seed=0, batch_size=1, simulated_share=1.0)
    with BatchLoader(simulated, 2, 1) as loader:
        for step in range(2):
            assert np.array_equal(loader.batch(step).voxels, simulated.batch(step).voxels)


def test_settings_that_give_no_batch_are_refused() -> None:
    with pytest.raises(ModelError, match="neither"):
        MixedPatches(None, None, seed=0, batch_size=2, simulated_share=0.5)
    with pytest.raises(ModelError, match=r"1\.5"):
        _mixed(1.5)
    with pytest.raises(ModelError, match="of 0"):
        _mixed(batch_size=0)
    other = SimulatedPatches(SmallFineHeads(), side=SIDE + 4, voxel_mm=4.0)
    with pytest.raises(ModelError, match="no batch"):
        MixedPatches(REAL, other, seed=0, batch_size=2, simulated_share=0.5)
