"""Pieces cover a volume once, and the network's result does not tell where they were."""

from __future__ import annotations

import pytest
import torch

from model.inference.tiles import in_tiles, tiles
from tests.model.networks.test_film_unet import SMALL, network, prompts, volume


@pytest.mark.parametrize("shape", [(16, 8, 4), (4, 4, 4), (20, 12, 28)])
@pytest.mark.parametrize("core", [4, 8, 64])
def test_every_voxel_is_made_once(shape: tuple[int, int, int], core: int) -> None:
    made = torch.zeros(shape)
    for tile in tiles(shape, core, 4, 4):
        made[tile.core] += 1
        seen = torch.zeros(shape)[tile.context]
        assert seen[tile.core_in_context].shape == made[tile.core].shape
    assert torch.equal(made, torch.ones(shape))


@pytest.mark.parametrize("shape", [(50, 9, 13), (61, 5, 4), (30, 30, 1)])
def test_two_tilings_and_the_whole_give_the_same(shape: tuple[int, int, int]) -> None:
    net, source = network(), volume(1, 1, *shape)

    def apply(piece: torch.Tensor) -> torch.Tensor:
        return net(piece, *prompts())

    with torch.no_grad():
        whole = apply(source)
        for core in (8, 20):
            made = in_tiles(apply, source, core=core, halo=SMALL.reach, step=SMALL.step)
            torch.testing.assert_close(made, whole, atol=1e-5, rtol=0)


def test_without_surroundings_the_seams_show() -> None:
    net, source = network(), volume(1, 1, 48, 8, 8)
    with torch.no_grad():
        whole = net(source, *prompts())
        made = in_tiles(lambda piece: net(piece, *prompts()), source, core=8, halo=0, step=SMALL.step)
    assert (made - whole).abs().max() > 1e-3
