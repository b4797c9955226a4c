"""`tumsyn train` shows what a configuration costs without training it."""

from __future__ import annotations

import pytest

from tests.pipelines.conftest import Command


@pytest.mark.slow
def test_the_published_text_encoder_is_described_and_not_trained(tumsyn: Command) -> None:
    done = tumsyn("train", "text-encoder", "--config", "published", "--describe")
    assert done.exit_code == 0, done.output
    assert "997,652,609 (text tower 50,956,288, image tower 946,696,320)" in done.stdout
    assert "4.5 GFLOP a prompt" in done.stdout
    assert "training 20 GB" in done.stdout


@pytest.mark.slow
def test_every_shipped_network_of_synthesis_is_described_and_not_trained(tumsyn: Command) -> None:
    published, compact = (
        tumsyn("train", "synthesis", "--config", name, "--describe") for name in ("published", "compact")
    )
    assert published.exit_code == compact.exit_code == 0, published.output + compact.output
    assert "113,595,137" in published.stdout
    assert "12.1 PFLOP a volume of 182 × 218 × 182 voxels, computed in 252 windows" in published.stdout
    assert "computed in one piece" in compact.stdout
