"""Characters and numbers of prompts in one spelling."""

from __future__ import annotations

import pytest

from warehouse.errors import PromptError
from warehouse.prompts.characters import normal


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param("ＴＥ＝９０ｍｓ；ＦＡ　９", "TE=90ms;FA 9", id="full-width forms"),
        pytest.param("٩٠ ms, ९० ms", "90 ms, 90 ms", id="digits of other scripts"),
        pytest.param("TE\u00a090\u202fms\u3000x", "TE 90 ms x", id="blanks of fixed width"),
        pytest.param("90 \u00b5s 90 \u03bcs", "90 \u03bcs 90 \u03bcs", id="both letters for micro"),
        pytest.param("1 ㎜³, 90 ㎳", "1 mm3, 90 ms", id="units of one character"),
        pytest.param("T\u2010a\u2013b\u2014c\u2212d\uff0de", "T-a-b-c-d-e", id="dashes"),
        pytest.param("1×1✕2 х 3 mm", "1x1x2x3 mm", id="crosses"),
        pytest.param("1 by 1 by 3 mm", "1x1x3 mm", id="by for a cross"),
        pytest.param("T\u20822\u2217", "T22*", id="lowered digits and the operator for a star"),
        pytest.param("\ufeffT2\u00adw\u200b\u200e", "T2w", id="what has no width"),
        pytest.param("9º 9˚ 9°", "9° 9° 9°", id="look-alikes of the degree sign"),
        pytest.param("10³", "10^3", id="a power of ten is no longer number"),
        pytest.param("0·8", "0.8", id="a raised decimal point"),
        pytest.param("TR 5\u2009000 ms, 5,000 ms, 5'000 msec", "TR 5000 ms, 5000 ms, 5000 msec", id="thousands"),
        pytest.param("TE 2,98; 1,5 T", "TE 2.98; 1.5 T", id="decimal commas"),
        pytest.param("0,9 x 0,9 x 3,0", "0.9x0.9x3.0", id="decimal commas between crosses"),
        pytest.param("(0,8; 0,8; 1)", "(0.8, 0.8, 1)", id="decimal commas in a list with semicolons"),
        pytest.param("(0,8, 0,8, 0,8)", "(0.8, 0.8, 0.8)", id="decimal commas in a list with commas and blanks"),
        pytest.param("(1,1,1) (2500,90)", "(1,1,1) (2500,90)", id="commas that divide a list"),
    ],
)
def test_what_looks_alike_is_spelt_alike(text: str, plain: str) -> None:
    assert normal(text) == plain


@pytest.mark.parametrize("text", ["T1w\ud800", "T1w\0", "Scanner: \x1b[31m"])
def test_what_is_no_character_of_a_text_is_refused(text: str) -> None:
    with pytest.raises(PromptError, match="not a text character"):
        normal(text)
