"""Pieces cover a volume once, and the network's result does not tell where they were."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.inference.tiles import in_tiles, tiles
from model.networks.synthesis import Scans, Wanted, build
from tests.model.tiny_models import COMPACT


@pytest.mark.parametrize("shape", [(16, 8, 4), (4, 4, 4), (20, 12, 28)])
@pytest.mark.parametrize("core", [4, 8, 64])
def test_every_voxel_is_made_once(shape: tuple[int, int, int], core: int) -> None:
    made = torch.zeros(shape)
    for tile in tiles(shape, core, 4, 4):
        made[tile.core] += 1
        seen = torch.zeros(shape)[tile.context]
        assert seen[tile.core_in_context].shape == made[tile.core].shape
    assert torch.equal(made, torch.ones(shape))


@pytest.fixture
def network() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = build(COMPACT)
        for parameter in made.get_submodule("last").parameters():
            torch.nn.init.normal_(parameter)
        return made


def scans(*shape: int) -> Scans:
    random = torch.Generator().manual_seed(1)
    voxels = torch.randn(1, 1, *shape, generator=random)
    return Scans(voxels, torch.ones_like(voxels), torch.ones(1, 1, 3), torch.randn(1, 1, 16, generator=random))


WANTED = Wanted(torch.linspace(-1, 1, 16)[None], torch.ones(1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(50, 9, 13), (61, 5, 4), (30, 30, 1)])
def test_two_tilings_and_the_whole_give_the_same(network: torch.nn.Module, shape: tuple[int, int, int]) -> None:
    given = scans(*shape)

    def apply(piece: Scans) -> Tensor:
        made: Tensor = network(piece, WANTED)
        return made

    with torch.no_grad():
        whole = apply(given)
        for core in (8, 20):
            made = in_tiles(apply, given, core=core, halo=network.reach, step=network.step)  # type: ignore[arg-type]
            torch.testing.assert_close(made, whole, atol=1e-5, rtol=0)


def test_without_surroundings_the_seams_show(network: torch.nn.Module) -> None:
    given = scans(48, 8, 8)
    with torch.no_grad():
        whole = network(given, WANTED)
        made = in_tiles(lambda piece: network(piece, WANTED), given, core=8, halo=0, step=4)
    assert (made - whole).abs().max() > 1e-4
