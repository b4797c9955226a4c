from __future__ import annotations

import numpy as np
import pytest

from model.simulation.field import smooth_field
from warehouse.errors import PhantomError


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_a_field_spans_its_share_around_one(share: float) -> None:
    for seed in range(5):
        field = smooth_field((40, 50, 30), np.random.default_rng(seed), share)
        assert field.shape == (40, 50, 30)
        assert float(field.max()) <= 1 + share / 2 + 1e-6
        assert float(field.min()) >= 1 - share / 2 - 1e-6
        assert float(field.max() - field.min()) == pytest.approx(share, rel=0.05, abs=1e-6)


def test_a_field_varies_over_centimetres() -> None:
    field = smooth_field((60, 60, 60), np.random.default_rng(1), 0.6).numpy()
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in range(3)) < 0.6 * 0.12


def test_fields_of_two_seeds_differ() -> None:
    one, other = (smooth_field((16, 16, 16), np.random.default_rng(seed), 0.4) for seed in (1, 2))
    assert not np.allclose(one, other)


def test_a_field_that_changes_sign_is_refused() -> None:
    with pytest.raises(PhantomError, match="changes sign"):
        smooth_field((8, 8, 8), np.random.default_rng(1), 2.5)
