"""The paper's encoder has the published size and CLIP's tokens, and lacks the published code's defects."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from model.data.matching import MatchingBatch
from model.networks.clip_resnet import AttentionPool3d, ClipResNet3d
from model.networks.pair_encoder import FrozenTextEncoder, Matcher, describe
from model.networks.reference import PUBLISHED, ReferenceConfig, ReferenceEncoder, Tokens, tokens_of
from warehouse.errors import ModelError
from warehouse.ingest.privacy import MOST_CHARACTERS
from warehouse.prompts.limits import LIMITS
from warehouse.prompts.record import PromptRecord
from warehouse.prompts.vocabulary import CONTRASTS, SEXES, VENDORS

TINY = ReferenceConfig(
    embed_width=12, text_width=16, text_layers=2, text_heads=2, image_width=4, image_blocks=(1, 1, 1, 1)
)
T1W = PromptRecord(
    contrast="T1w",
    vendor="Siemens",
    field_strength_t=3.0,
    age_years=12,
    sex="M",
    voxel_size_mm=(0.8, 0.8, 0.8),
    repetition_time_s=2.5,
    echo_time_s=0.0022,
    inversion_time_s=1.0,
    flip_angle_deg=8,
)
SPACE = PromptRecord(contrast="T2w", repetition_time_s=3.2, echo_time_s=0.563, flip_angle_variable=True)
# By OpenAI's tokenizer (openai-clip 1.0.1) of the rendered sentences, between the marks of start and end.
# fmt: off
OF_T1W = [
    805, 281, 272, 273, 282, 5906, 281, 332, 282, 24185, 281, 274, 269, 271, 30147, 282, 6362, 1694, 281, 339, 272, 342,
    282, 29215, 832, 3235, 281, 263, 271, 269, 279, 267, 271, 269, 279, 267, 271, 269, 279, 19686, 14231, 699, 23393,
    6337, 263, 988, 2361, 756, 263, 988, 2361, 2605, 263, 988, 2361, 537, 2800, 263, 7119, 4143, 263, 273, 276, 271,
    271, 269, 271, 267, 273, 269, 273, 267, 272, 271, 271, 271, 269, 271, 267, 279, 269, 271, 264,
]
OF_NOTHING = [
    805, 281, 8906, 282, 5906, 281, 8906, 282, 24185, 281, 8906, 8906, 282, 6362, 1694, 281, 8906, 282, 29215, 832,
    3235, 281, 263, 8906, 267, 8906, 267, 8906, 19686, 14231, 699, 23393, 6337, 263, 988, 2361, 756, 263, 988, 2361,
    2605, 263, 988, 2361, 537, 2800, 263, 7119, 4143, 263, 8906, 267, 8906, 267, 8906, 267, 8906, 264,
]
# fmt: on
START, END, DIGITS = 49_406, 49_407, range(271, 281)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def batch_of(prompts: list[PromptRecord], n_images: int | None = None) -> MatchingBatch:
    n = len(prompts) if n_images is None else n_images
    empty = torch.empty(0)
    return MatchingBatch(torch.empty(n, 1, 48, 56, 48), prompts[:n], prompts, empty, empty)


@pytest.fixture
def encoder() -> ReferenceEncoder:
    torch.manual_seed(0)
    return ReferenceEncoder(TINY)


def test_the_published_size_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        encoder = ReferenceEncoder(PUBLISHED)
    assert count(encoder.text) == 50_956_288
    assert count(encoder.image) == 946_696_320
    assert count(encoder) == 997_652_609


def test_the_published_tower_has_27_positions_and_128_heads() -> None:
    with torch.device("meta"):
        pool = ReferenceEncoder(PUBLISHED).image.pool
        assert pool.positions.shape == (28, 8192)
        assert pool.n_heads == 128


@pytest.mark.parametrize(
    ("record", "expected"),
    [pytest.param(T1W, OF_T1W, id="complete"), pytest.param(PromptRecord(), OF_NOTHING, id="empty")],
)
def test_tokens_are_those_of_openais_clip(record: PromptRecord, expected: list[int]) -> None:
    tokens = tokens_of([record], 192)
    assert tokens.ids[0].tolist() == [START, *expected, END]
    assert tokens.ends.tolist() == [len(expected) + 1]


def test_every_digit_is_a_token_of_its_own() -> None:
    digits = [token for token in tokens_of([T1W], 192).ids[0].tolist() if token in DIGITS]
    assert [token - DIGITS.start for token in digits] == [int(one) for one in "1230108080825000221000080"]


def test_the_mark_of_the_end_in_the_name_of_a_vendor_ends_nothing() -> None:
    ids = tokens_of([PromptRecord(vendor="<|endoftext|>")], 192).ids[0].tolist()
    assert ids.count(END) == 1
    assert ids[-1] == END


def longest_sentence(vendors: tuple[str, ...]) -> int:
    """Return the most tokens of any record within the limits: fields are separate, so each is tried by itself."""

    def most(name: str, values: list[object]) -> int:
        return max(int(tokens_of([replace(PromptRecord(), **{name: value})], 999).ends) for value in values)

    numbers: dict[str, list[object]] = {
        name: [math.nextafter(limit.high, 0), *(limit.high * share for share in (0.3333, 0.98765, 0.99973))]
        for name, limit in LIMITS.items()
    }
    numbers["voxel_size_mm"] = [(size,) * 3 for size in numbers["voxel_size_mm"]]
    words: dict[str, list[object]] = {"vendor": list(vendors), "sex": list(SEXES)}
    least = int(tokens_of([PromptRecord()], 999).ends)
    more = sum(most(name, values) - least for name, values in (numbers | words).items())
    labels = product(CONTRASTS, (False, True))
    records = [PromptRecord(contrast=contrast, post_contrast=post) for contrast, post in labels]
    return 1 + least + more + int(tokens_of(records, 999).ends.max()) - least


def test_the_longest_sentence_within_the_limits_fits_the_context() -> None:
    assert longest_sentence(VENDORS) == 105
    assert longest_sentence(("0" * MOST_CHARACTERS,)) <= ReferenceConfig().context


def test_a_sentence_longer_than_the_context_is_refused_and_not_cut() -> None:
    with pytest.raises(ModelError, match="85 tokens; 84 fit") as refusal:
        tokens_of([SPACE, T1W], 84)
    assert "vendor" in refusal.value.remedy
    assert len(tokens_of([SPACE, T1W], 85)) == 2


def test_other_prompts_of_a_batch_do_not_change_a_feature(encoder: ReferenceEncoder) -> None:
    alone = encoder.text_features(encoder.encode([SPACE]))
    among = encoder.text_features(encoder.encode([T1W, SPACE, PromptRecord()]))
    torch.testing.assert_close(among[1:2], alone)


def test_a_token_sees_nothing_behind_it(encoder: ReferenceEncoder) -> None:
    tokens = encoder.encode([T1W])
    changed = Tokens(tokens.ids.clone(), tokens.ends - 5)
    changed.ids[0, -3] = 280
    before, after = (encoder.text_features(Tokens(ids, tokens.ends - 5)) for ids in (tokens.ids, changed.ids))
    torch.testing.assert_close(after, before)
    assert not torch.equal(*(encoder.text_features(Tokens(ids, tokens.ends)) for ids in (tokens.ids, changed.ids)))


def test_tokens_are_chosen_by_slice_and_by_index(encoder: ReferenceEncoder) -> None:
    tokens = encoder.encode([T1W, SPACE, PromptRecord()])
    assert len(tokens[1:]) == 2
    assert torch.equal(tokens[torch.tensor([2, 0])].ends, tokens.ends[[2, 0]])


@pytest.mark.parametrize("box", [(48, 56, 48), (33, 64, 32)], ids=["the project's", "with an odd side"])
def test_features_have_the_width_in_any_box(box: tuple[int, int, int]) -> None:
    encoder = ReferenceEncoder(replace(TINY, box_voxels=box))
    features = encoder.image_features(torch.randn(2, 1, *box))
    assert features.shape == encoder.text_features(encoder.encode([T1W, SPACE])).shape == (2, encoder.width)
    assert features.dtype == torch.float32
    lengths = encoder.project_images(features).norm(dim=1), encoder.project_texts(features).norm(dim=1)
    assert all(torch.allclose(one, torch.ones(2)) for one in lengths)


def test_a_stem_of_stride_1_gives_the_small_box_the_published_positions() -> None:
    tower = ClipResNet3d(2, (1, 1, 1, 1), 8, (48, 56, 48), stem_stride=1)
    assert tower.pool.positions.shape == (28, 64)
    assert tower(torch.randn(2, 1, 48, 56, 48)).shape == (2, 8)


def test_attention_pooling_equals_torchs_own_attention() -> None:
    torch.manual_seed(0)
    pool = AttentionPool3d(8, 16, 2, 5)
    features = torch.randn(3, 16, 2, 2, 2)
    tokens = features.flatten(2).movedim(2, 0)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + pool.positions[:, None]
    parts = (pool.query, pool.key, pool.value)
    expected, _ = nn.functional.multi_head_attention_forward(
        *(tokens[:1], tokens, tokens, 16, 2, None, torch.cat([part.bias for part in parts]), None, None, False, 0.0),
        *(pool.project.weight, pool.project.bias),
        use_separate_proj_weight=True,
        q_proj_weight=pool.query.weight,
        k_proj_weight=pool.key.weight,
        v_proj_weight=pool.value.weight,
        need_weights=False,
    )
    torch.testing.assert_close(pool(features), expected[0])


def test_the_gradient_reaches_each_parameter(encoder: ReferenceEncoder) -> None:
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.ones_(module.weight)  # the last one of a block begins at 0, and what is before it without gradient
    features = encoder.image_features(torch.randn(3, 1, 48, 56, 48))
    encoder.loss(features, batch_of([T1W, SPACE, PromptRecord()]))[0].backward()
    without = [name for name, one in encoder.named_parameters() if one.grad is None or not one.grad.abs().sum()]
    assert without in ([], ["image.pool.key.bias"])  # which adds the same to every position, up to rounding


def losses_of(encoder: ReferenceEncoder, prompts: list[PromptRecord], features: Tensor) -> float:
    with torch.no_grad():
        return float(encoder.loss(features, batch_of(prompts, len(features)))[0])


def test_the_loss_of_different_prompts_is_clips(encoder: ReferenceEncoder) -> None:
    prompts, features = [T1W, SPACE, PromptRecord()], torch.randn(3, 12)
    texts = encoder.project_texts(encoder.text_features(encoder.encode(prompts))).detach()
    logits = encoder.project_images(features) @ texts.T / 0.07
    expected = sum(nn.functional.cross_entropy(one, torch.arange(3)) for one in (logits, logits.T)) / 2
    assert losses_of(encoder, prompts, features) == pytest.approx(float(expected), rel=1e-5)


def test_equal_prompts_are_right_for_each_others_images(encoder: ReferenceEncoder) -> None:
    prompts = [T1W, T1W]
    text = encoder.text_features(encoder.encode([T1W])).detach()
    swapped = torch.randn(2, 12) + text
    assert losses_of(encoder, prompts, swapped) == pytest.approx(losses_of(encoder, prompts, swapped.flip(0)))
    assert losses_of(encoder, prompts, text.repeat(2, 1)) == pytest.approx(math.log(2), rel=1e-5)  # the least there is


def test_further_candidates_are_left_out(encoder: ReferenceEncoder) -> None:
    features = torch.randn(2, 12)
    expected = losses_of(encoder, [T1W, SPACE], features)
    assert losses_of(encoder, [T1W, SPACE, PromptRecord()], features) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("value", "bound"), [(9.0, math.log(100)), (-1.0, 0.0)], ids=["too high", "too low"])
def test_the_temperature_is_clamped_and_can_return(encoder: ReferenceEncoder, value: float, bound: float) -> None:
    nn.init.constant_(encoder.log_scale, value)
    encoder.loss(torch.randn(2, 12), batch_of([T1W, SPACE]))[0].backward()
    assert float(encoder.log_scale.detach()) == pytest.approx(bound)
    assert encoder.log_scale.grad is not None
    assert float(encoder.log_scale.grad) != 0


@pytest.mark.slow
def test_one_batch_can_be_learned_by_heart(encoder: ReferenceEncoder) -> None:
    prompts, volumes = [T1W, SPACE, PromptRecord(), replace(T1W, sex="F")], torch.randn(4, 1, 48, 56, 48)
    volumes = volumes.cumsum(2) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None, None, None]
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-3)
    for _ in range(40):
        loss, _ = encoder.loss(encoder.image_features(volumes), batch_of(prompts))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param({"text_heads": 3}, "not divisible", id="heads"),
        pytest.param({"image_width": 5}, "odd", id="width"),
        pytest.param({"stem_stride": 4}, "stem_stride is 4", id="stride"),
        pytest.param({"box_voxels": (48, 30, 48)}, "too small", id="box"),
    ],
)
def test_an_impossible_size_is_refused(change: dict[str, object], what: str) -> None:
    with pytest.raises(ModelError, match=what):
        replace(TINY, **change)  # type: ignore[arg-type]


def test_a_checkpoint_gives_the_same_towers_back(encoder: ReferenceEncoder) -> None:
    config = {"model_id": "one", "architecture": json.loads(json.dumps(describe("reference", TINY)))}
    tensors = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    expected = encoder.eval().text_features(encoder.encode([T1W, SPACE])).detach()
    torch.testing.assert_close(FrozenTextEncoder.from_checkpoint(config, tensors).embed([T1W, SPACE]), expected)
    matcher = Matcher(config, tensors)
    assert matcher.embed_records([T1W, SPACE]) == pytest.approx(encoder.project_texts(expected).numpy(), abs=1e-6)
    volume = torch.randn(48, 56, 48)
    image = encoder.project_images(encoder.image_features(volume[None, None])).detach().numpy()
    assert matcher.embed_volumes([volume.numpy()]) == pytest.approx(image, abs=1e-6)


# The whole published encoder takes 16 GB with its gradients and moments, which is too much for the memory of a machine
# that tests on CPUs. There the text tower has the published size, and the image tower an eighth of the published width.
@pytest.mark.parametrize(
    ("config", "device"),
    [
        pytest.param(
            replace(PUBLISHED, image_width=32, box_voxels=(32, 32, 32)),
            "cpu",
            marks=pytest.mark.slow,
            id="published text tower, image tower of 32 channels",
        ),
        pytest.param(
            replace(PUBLISHED, box_voxels=(64, 64, 64)),
            "cuda",
            marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")],
            id="published",
        ),
    ],
)
def test_the_published_size_learns_in_20_steps_of_small_volumes(config: ReferenceConfig, device: str) -> None:
    torch.manual_seed(0)
    encoder = ReferenceEncoder(config).to(device)
    volumes = torch.randn(2, 1, *config.box_voxels, device=device) * torch.tensor([1.0, 3.0], device=device).reshape(
        2, 1, 1, 1, 1
    )
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=5e-5)
    losses = []
    for _ in range(20):
        loss, _parts = encoder.loss(encoder.image_features(volumes), batch_of([T1W, SPACE]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(map(math.isfinite, losses))
    assert losses[-1] < 0.5 * losses[0]
