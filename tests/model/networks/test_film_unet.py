"""The network keeps shapes, learns, heeds the prompt, and sees neither the size nor the place of a patch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.networks.film_unet import Condition, FilmUNet, FilmUNetConfig, IntensityBasis, pad_to_multiple

SMALL = FilmUNetConfig(embedding_width=6, widths=(4, 6, 8), blocks=(1, 1, 1), condition_width=8, n_intensity_bins=4)


def network(config: FilmUNetConfig = SMALL, *, awake: bool = True) -> FilmUNet:
    """Return a network; awake, its gates are no longer zero."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = FilmUNet(config)
        for name, parameter in made.named_parameters():
            if awake and ("film" in name or "prompted" in name):
                torch.nn.init.normal_(parameter, std=0.2)
    return made


def prompts(batch: int = 1) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(1)
    return torch.randn(batch, 6, generator=draws), torch.randn(batch, 6, generator=draws)


def volume(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 6, 7), (1, 9, 4), (1, 1, 1), (13, 2, 3)])
def test_every_shape_is_kept(shape: tuple[int, int, int]) -> None:
    with torch.no_grad():
        made = network()(volume(2, 1, *shape), *prompts(2))
    assert made.shape == (2, 1, *shape)
    assert made.isfinite().all()


def test_gradients_reach_every_parameter() -> None:
    net = network()
    net(volume(2, 1, 8, 8, 8), *prompts(2)).square().mean().backward()
    without = [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert without == []


def test_an_untrained_network_hands_the_source_on() -> None:
    source = volume(1, 1, 8, 8, 8)
    with torch.no_grad():
        made = network(awake=False)(source, *prompts())
    assert torch.corrcoef(torch.stack([made.flatten(), source.flatten()]))[0, 1] > 0.9


def test_one_batch_can_be_overfitted() -> None:
    torch.manual_seed(0)
    net, source, (source_prompt, target_prompt) = network(awake=False), volume(2, 1, 8, 8, 8), prompts(2)
    source = 6 * source - 3
    wanted = torch.stack([-source[0], source[1].abs()])  # a map for each prompt, neither the identity
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(50):
        loss = (net(source, source_prompt, target_prompt) - wanted).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.18  # of six spreads


def test_both_prompts_change_the_result() -> None:
    net, source, (source_prompt, target_prompt) = network(), volume(1, 1, 8, 8, 8), prompts()
    with torch.no_grad():
        made = net(source, source_prompt, target_prompt)
        assert (net(source, source_prompt, -target_prompt) - made).abs().mean() > 0.01
        assert (net(source, -source_prompt, target_prompt) - made).abs().mean() > 0.01


def test_one_of_a_batch_does_not_see_the_others() -> None:
    net, sources, (source_prompts, target_prompts) = network(), volume(2, 1, 8, 8, 8), prompts(2)
    with torch.no_grad():
        together = net(sources, source_prompts, target_prompts)
        alone = net(sources[1:], source_prompts[1:], target_prompts[1:])
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)


def test_nothing_beyond_its_reach_changes_a_voxel_but_something_within_does() -> None:
    net, far = network(), SMALL.reach + SMALL.step
    source = volume(1, 1, 2 * far, 4, 4)
    with torch.no_grad():
        made = net(source, *prompts())
        for distance, same in ((SMALL.reach + 1, True), (SMALL.step, False)):
            changed = source.clone()
            changed[:, :, far + distance :] = 0
            difference = (net(changed, *prompts()) - made)[:, :, :far].abs().max()
            assert (float(difference) == pytest.approx(0, abs=1e-6)) is same


def test_a_shift_by_the_step_of_the_lowest_level_shifts_the_result() -> None:
    net, source = network(), volume(1, 1, 48 + 4, 4, 4)
    with torch.no_grad():
        whole, later = net(source, *prompts()), net(source[:, :, 4:], *prompts())
    edge = SMALL.reach
    torch.testing.assert_close(whole[:, :, 4 + edge :], later[:, :, edge:], atol=1e-5, rtol=0)


def test_what_all_embeddings_have_in_common_is_left_out() -> None:
    condition = Condition(3, 4)
    embeddings = torch.tensor([[10.0, 5.0, 1.0], [10.2, 5.0, 3.0]])
    condition.standardise(embeddings)
    torch.testing.assert_close(condition.mean, torch.tensor([10.1, 5.0, 2.0]))
    torch.testing.assert_close(condition.spread, torch.tensor([0.1, 0.01, 1.0]))
    unlike = torch.full((1, 3), 1e6)
    assert torch.equal(condition(unlike, unlike), condition(2 * unlike, 3 * unlike))


def test_the_intensity_basis_weighs_up_to_one_and_any_intensity_is_given_too() -> None:
    source = torch.tensor([-0.5, 0.0, 0.1, 0.49, 1.0, 1.5]).reshape(1, 1, 6, 1, 1)
    lifted = IntensityBasis(5)(source)
    assert lifted.shape == (1, 6, 6, 1, 1)
    assert torch.equal(lifted[:, :1], source)
    torch.testing.assert_close(lifted[:, 1:].sum(1), torch.ones(1, 6, 1, 1))


def test_padding_repeats_the_outermost_voxels() -> None:
    padded = pad_to_multiple(torch.arange(3.0).reshape(1, 1, 3, 1, 1), 4)
    assert padded.shape == (1, 1, 4, 4, 4)
    assert padded[0, 0, :, 2, 3].tolist() == [0, 1, 2, 2]


def test_the_network_of_the_demonstration_is_small() -> None:
    assert sum(parameter.numel() for parameter in FilmUNet(FilmUNetConfig()).parameters()) < 1_000_000
