"""Compact sees neither the size nor the place of a patch; each scan speaks where it sees, and the prompts steer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from model.data.target_voxels import TargetVoxels
from model.inference.tiles import in_tiles
from model.networks.synthesis import Scans, Wanted, build, describe
from model.networks.synthesis.compact import SIGNALS, Compact, CompactConfig, Condition, IntensityMap, signals_of
from model.networks.synthesis.physics import Settings
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import USUAL, USUAL_SPREAD, BrainScale
from warehouse.prompts.record import PromptRecord

WIDTH = 6  # of the embeddings
SMALL = CompactConfig(
    embedding_width=WIDTH,
    widths=(4, 6),
    blocks=(1, 1),
    condition_width=8,
    n_knots=7,
    full_width=2,
    latent_width=4,
    has_equations=False,
)
MOST_PARAMETERS = 7_000_000
SPIN_ECHO = PromptRecord(contrast="T2w", repetition_time_s=4.0, echo_time_s=0.09)


def network(config: CompactConfig = SMALL, *, awake: bool = True) -> Compact:
    """Return a network; awake, what begins at zero is no longer zero."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Compact(config)
        for name, parameter in made.named_parameters():
            if awake and any(part in name for part in ("film", "heights.weight", "weigh", "geometry", "last")):
                torch.nn.init.normal_(parameter, std=0.3)
    return made


def scans(*shape: int, n: int = 1, batch: int = 1) -> Scans:
    draws = torch.Generator().manual_seed(2)
    voxels = 2 * torch.rand(batch, n, *shape, generator=draws) - 1
    sizes = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 4.0], [4.0, 1.0, 1.0]])[:n].expand(batch, n, 3)
    return Scans(voxels, torch.ones_like(voxels), sizes, torch.randn(batch, n, WIDTH, generator=draws))


def wanted(batch: int = 1, record: PromptRecord | None = None) -> Wanted:
    draws = torch.Generator().manual_seed(3)
    settings = Settings.of([record] * batch, [(0.3, 0.4)] * batch) if record else None
    return Wanted(torch.randn(batch, WIDTH, generator=draws), torch.ones(batch, 3), settings)


def with_another(given: Scans, *, seen: float | Tensor, voxels: float = 9.0) -> Scans:
    """Return scans and one more, whose prompt and voxel sizes are none of theirs."""
    more = torch.full_like(given.voxels[:, :1], voxels)
    prompts, sizes = given.embeddings[:, :1] + 1, given.sizes_mm[:, :1] * 2
    return Scans(
        torch.cat([given.voxels, more], 1),
        torch.cat([given.seen, torch.ones_like(more) * seen], 1),
        torch.cat([given.sizes_mm, sizes], 1),
        torch.cat([given.embeddings, prompts], 1),
    )


def made_of(net: Compact, given: Scans, asked: Wanted | None = None, at: TargetVoxels | None = None) -> Tensor:
    with torch.no_grad():
        return net(given, asked or wanted(len(given.voxels)), at)


def assert_same(one: Tensor, other: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


def test_default_network_is_small() -> None:
    net = Compact(CompactConfig())
    assert sum(parameter.numel() for parameter in net.parameters()) <= MOST_PARAMETERS
    assert (net.reach, net.step) == (104, 8)


def test_network_is_built_from_its_description() -> None:
    made = build(describe("compact", SMALL))
    assert isinstance(made, Compact)
    assert made.config == SMALL


@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 6, 7), (1, 9, 4), (1, 1, 1), (13, 2, 3)])
def test_every_shape_is_kept(shape: tuple[int, int, int]) -> None:
    made = made_of(network(), scans(*shape, n=2, batch=2))
    assert made.shape == (2, 1, *shape)
    assert made.isfinite().all()


def test_result_is_float32_whatever_the_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert made_of(network(), scans(8, 8, 8)).dtype == torch.float32


def test_more_scans_than_it_takes_are_refused() -> None:
    with pytest.raises(ModelError, match="3 scans are given, and this network takes 2") as refusal:
        network(replace(SMALL, max_scans=2))(scans(4, 4, 4, n=3), wanted())
    assert refusal.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize("has_equations", [False, True])
def test_gradients_reach_every_parameter_of_a_new_network_in_three_steps(has_equations: bool) -> None:
    net, given = network(replace(SMALL, has_equations=has_equations), awake=False), scans(8, 8, 8, n=2, batch=2)
    thick = TargetVoxels((8, 8, 3), np.diag([1.0, 1.0, 2.5, 1.0]))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    reached: set[str] = set()
    for _ in range(3):  # layers that begin at zero hide those before them from the first
        optimizer.zero_grad()
        for asked in (wanted(2), wanted(2, SPIN_ECHO)):
            net(given, asked, thick).square().mean().backward()
        reached |= {name for name, one in net.named_parameters() if one.grad is not None and one.grad.any()}
        optimizer.step()
    assert {name for name, _ in net.named_parameters()} - reached == set()


def test_new_network_does_not_modulate_and_hands_the_scan_on() -> None:
    net, given = network(awake=False), scans(8, 8, 8)
    films = [tensor for name, tensor in net.named_parameters() if "film" in name]
    assert films
    assert not any(tensor.any() for tensor in films)
    assert (made_of(net, given) - given.voxels).abs().max() < 0.15  # of intensities from −1 to 1


@pytest.mark.slow
def test_map_of_intensities_is_piecewise_linear_and_the_identity_at_first() -> None:
    mapping = IntensityMap(7, 8, USUAL)
    voxels = torch.linspace(-4, 4, 81).reshape(1, 1, 81, 1, 1)
    torch.nn.init.zeros_(mapping.heights.weight)
    assert_same(mapping(voxels, torch.zeros(1, 1, 8)), voxels.clamp(*USUAL))
    heights = torch.tensor([0.0, 2, 1, -1, 3, 3, 0])
    with torch.no_grad():
        mapping.heights.bias.copy_(heights)
    expected = np.interp(voxels.flatten().numpy(), np.linspace(*USUAL, 7), heights.numpy())
    assert_same(mapping(voxels, torch.zeros(1, 1, 8)).flatten(), torch.from_numpy(expected).float())


def test_signals_are_parts_of_the_brains_median_whatever_its_contrast() -> None:
    signal = np.array([0.0, 0.3, 0.9, 1.0, 1.6, 2.9])
    for spread in (0.2, 0.4, 1.1):
        scale = BrainScale(500.0, 500.0 * spread)
        voxels = torch.from_numpy(scale.to_network(500.0 * signal)).reshape(1, 1, -1, 1, 1)
        found = signals_of(voxels, torch.tensor([[spread]]))
        np.testing.assert_allclose(found.flatten().numpy(), signal - 1, atol=1e-5)
    assert signals_of(torch.full((1, 1, 1, 1, 1), 200.0), torch.ones(1, 1)).item() == SIGNALS[1]


def test_the_spread_of_a_scans_brain_changes_the_result_and_a_usual_one_need_not_be_named() -> None:
    net, given = network(), scans(8, 8, 8)
    made = made_of(net, given)
    assert_same(made_of(net, replace(given, spreads=torch.full((1, 1), USUAL_SPREAD))), made)
    assert (made_of(net, replace(given, spreads=torch.full((1, 1), 0.2))) - made).abs().mean() > 1e-3


def test_one_of_a_batch_does_not_see_the_others() -> None:
    net, given, asked = network(), scans(8, 8, 8, n=2, batch=2), wanted(2)
    alone = Scans(given.voxels[1:], given.seen[1:], given.sizes_mm[1:], given.embeddings[1:])
    assert_same(made_of(net, given, asked)[1:], made_of(net, alone, asked.of(1)))


def test_prompts_and_voxel_sizes_change_the_result() -> None:
    net, given, asked = network(), scans(8, 8, 8), wanted()
    made = made_of(net, given, asked)
    for other in (replace(given, embeddings=-given.embeddings), replace(given, sizes_mm=3 * given.sizes_mm)):
        assert (made_of(net, other, asked) - made).abs().mean() > 1e-3
    for another in (replace(asked, embeddings=-asked.embeddings), replace(asked, sizes_mm=3 * asked.sizes_mm)):
        assert (made_of(net, given, another) - made).abs().mean() > 1e-3


REACHES = {
    "one level": replace(SMALL, widths=(4,), blocks=(1,)),
    "two levels": SMALL,
    "three levels": replace(SMALL, widths=(3, 3, 4), blocks=(1, 1, 1)),
    "two blocks": replace(SMALL, widths=(4, 4), blocks=(1, 2)),
    "voxels that are not joined": replace(SMALL, fold=1, widths=(4, 4), blocks=(0, 1)),
}


@pytest.mark.parametrize("config", REACHES.values(), ids=REACHES.keys())
def test_reach_is_where_the_farthest_gradient_comes_from(config: CompactConfig) -> None:
    net, length = network(config), 2 * (config.reach // config.step + 2) * config.step
    given = scans(length, 2, 2)
    given.voxels.requires_grad_()
    latent = net.latent(given, wanted())
    middle = length // 2 // config.step * config.step
    farthest = 0
    for place in range(middle, middle + config.step):
        (gradient,) = torch.autograd.grad(latent[0, :-1, place].sum(), given.voxels, retain_graph=True)
        influence = gradient[0, 0].abs().sum((1, 2)).nonzero().flatten()
        farthest = max(farthest, place - int(influence.min()), int(influence.max()) - place)
    assert farthest <= config.reach < farthest + config.step


@pytest.mark.parametrize("shape", [(44, 12, 8), (41, 9, 7)])
@pytest.mark.parametrize("n", [1, 2])
def test_tiles_with_a_halo_of_the_reach_equal_the_whole(shape: tuple[int, int, int], n: int) -> None:
    net, given, asked = network(replace(SMALL, blocks=(1, 0))), scans(*shape, n=n), wanted()
    with torch.no_grad():
        whole = net(given, asked)
        sizes = {"core": 8, "step": net.step}
        tiled = in_tiles(lambda piece: net(piece, asked), given, halo=net.reach, **sizes)
        short = in_tiles(lambda piece: net(piece, asked), given, halo=net.step, **sizes)
    assert_same(tiled, whole)
    assert (short - whole).abs().max() > 1e-3


def test_tiles_that_a_scan_does_not_see_equal_the_whole() -> None:
    net, asked, half = network(replace(SMALL, blocks=(1, 0))), wanted(), torch.zeros(1, 1, 72, 8, 4)
    half[:, :, :36] = 1
    given = with_another(scans(72, 8, 4), seen=half)
    with torch.no_grad():
        tiled = in_tiles(lambda piece: net(piece, asked), given, core=8, halo=net.reach, step=net.step)
        assert_same(tiled, net(given, asked))


def test_shift_by_the_step_of_the_lowest_level_shifts_the_result() -> None:
    net, given = network(), scans(52, 4, 4)
    later = given.cut((slice(4, None), slice(None), slice(None)))
    edge = SMALL.reach
    assert_same(made_of(net, given)[:, :, 4 + edge :], made_of(net, later)[:, :, edge:])


@pytest.mark.parametrize("voxels", [-3.0, 0.0, 100.0])
def test_absent_scan_changes_nothing(voxels: float) -> None:
    net, given = network(), scans(8, 8, 8)
    given.seen[:, :, 5:] = 0  # beyond a field of view, too, where nobody sees anything
    made = made_of(net, given)
    assert_same(made_of(net, with_another(given, seen=0.0, voxels=voxels)), made)
    assert (made_of(net, with_another(given, seen=1.0, voxels=voxels)) - made).abs().max() > 0.01


def test_absent_scan_that_shouts_changes_nothing() -> None:
    net, given = network(), scans(8, 8, 8)
    with torch.no_grad():
        net.merge.weigh.weight.fill_(50)
    assert_same(made_of(net, with_another(given, seen=0.0, voxels=-100.0)), made_of(net, given))


def test_order_of_scans_does_not_matter() -> None:
    net, given = network(), scans(8, 8, 8, n=3)
    given.seen[:, 0, :4] = 0
    made = made_of(net, given)
    for order in permutations(range(3)):
        turned = [one[:, list(order)] for one in (given.voxels, given.seen, given.sizes_mm, given.embeddings)]
        assert_same(made_of(net, Scans(*turned)), made)


def test_scan_that_sees_one_half_leaves_the_other_to_the_other() -> None:
    net, given = network(), scans(64, 4, 4, n=2)
    given.seen[:, 0, 33:], given.seen[:, 1, :33] = 0, 0  # the border lies within 2 × 2 × 2 voxels
    made = made_of(net, given)
    changed = given.voxels.clone()
    changed[:, 0, 34:], changed[:, 1, :32] = 5, -5  # where they see nothing, but for the voxels that share a channel
    far = net.reach
    with torch.no_grad():
        assert_same(net(replace(given, voxels=changed), wanted())[:, :, : 33 - far], made[:, :, : 33 - far])
        assert_same(net(replace(given, voxels=changed), wanted())[:, :, 34 + far :], made[:, :, 34 + far :])
        conditions = net.condition(given, wanted())
        mapped, _ = net.mapped(given, conditions)
        fused = net.latent(given, wanted())[:, -1]
    assert_same(fused[:, :33], mapped[:, 0, :33])
    assert_same(fused[:, 33:], mapped[:, 1, 33:])


@pytest.mark.parametrize("record", [None, SPIN_ECHO], ids=["intensities", "equation"])
def test_voxels_of_the_same_grid_decode_as_without_a_grid(record: PromptRecord | None) -> None:
    net, given = network(replace(SMALL, has_equations=True)), scans(6, 5, 4)
    asked = wanted(record=record)
    assert_same(made_of(net, given, asked, TargetVoxels((6, 5, 4), np.eye(4))), made_of(net, given, asked))


def test_voxel_of_another_grid_is_the_mean_of_what_lies_in_it() -> None:
    net, given = network(awake=False), scans(8, 8, 12)
    matrix = np.diag([1.0, 1.0, 4.0, 1.0])
    matrix[2, 3] = 1.5  # the middle of the first four voxels
    with torch.no_grad():
        net.last.weight.zero_()
        latent = net.latent(given, wanted())
        thick = net.decode(latent, wanted(), TargetVoxels((8, 8, 3), matrix))
    assert thick.shape == (1, 1, 8, 8, 3)
    assert_same(thick[0, 0], latent[0, -1].reshape(8, 8, 3, 4).mean(-1) + net.last.bias.detach(), 1e-4)


def test_decoder_knows_size_and_offset_of_a_voxel() -> None:
    net, given = network(), scans(8, 8, 8)
    given = replace(given, voxels=torch.full_like(given.voxels, 0.5))
    latent = net.latent(given, wanted())
    latent = latent[:, :, 4:5, 4:5, 4:5].expand(1, -1, 8, 8, 8)  # the same everywhere

    def decoded(size: float, offset: float) -> float:
        matrix = np.diag([size, 1.0, 1.0, 1.0])
        matrix[:3, 3] = 3 + offset, 3, 3
        with torch.no_grad():
            return float(net.decode(latent, wanted(), TargetVoxels((1, 1, 1), matrix)))

    assert abs(decoded(3.0, 0.0) - decoded(1.0, 0.0)) > 0.01
    assert abs(decoded(1.0, 0.3) - decoded(1.0, 0.0)) > 0.001
    assert decoded(1.0, 1.0) == pytest.approx(decoded(1.0, 0.0), abs=1e-5)  # the place itself is unknown to it


def learned(net: Compact, wish: Callable[[Tensor], Tensor], given: Scans, asked: Wanted, n_steps: int) -> float:
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(n_steps):
        loss = (net(given, asked) - wish(given.voxels)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.slow
def test_prompts_steer_after_a_few_steps() -> None:
    torch.manual_seed(0)
    net, given = network(awake=False), scans(8, 8, 8, batch=2)
    given = replace(
        given,
        voxels=given.voxels[:1].expand(2, -1, -1, -1, -1),
        embeddings=given.embeddings[:1].expand(2, -1, -1),
    )

    def wish(voxels: Tensor) -> Tensor:  # the same scan is to become its negative by one prompt, its square by another
        return torch.stack([-voxels[0], 2 * voxels[1].square()])

    assert learned(net, wish, given, wanted(2), 60) < 0.15


def test_what_all_embeddings_have_in_common_is_left_out() -> None:
    condition = Condition(3, 4)
    condition.standardise(torch.tensor([[10.0, 5.0, 1.0], [10.2, 5.0, 3.0]]))
    torch.testing.assert_close(condition.mean, torch.tensor([10.1, 5.0, 2.0]))
    torch.testing.assert_close(condition.spread, torch.tensor([0.1, 0.01, 1.0]))
    unlike, ones = torch.full((1, 1, 3), 1e6), torch.ones(1, 1, 1, 1, 1)

    def of(factor: float) -> Tensor:
        given = Scans(ones, ones, torch.ones(1, 1, 3), factor * unlike)
        return condition(given, Wanted(factor * unlike[0], torch.ones(1, 3)))

    assert torch.equal(of(1), of(2))


def test_statistics_of_many_embeddings_are_exact() -> None:
    rng = np.random.default_rng(0)
    embeddings = torch.from_numpy(100 + rng.normal(0, 0.05, (20_000, 2))).float()
    condition = Condition(2, 4)
    condition.standardise(embeddings)
    exact = embeddings.numpy().astype(np.float64)
    np.testing.assert_array_equal(condition.mean.numpy(), exact.mean(0).astype(np.float32))
    np.testing.assert_allclose(condition.spread.numpy(), exact.std(0), rtol=1e-6)
