"""Write data into Markdown: names and texts of a dataset are shown as they are, whatever they look like."""

from __future__ import annotations

import re

from pipelines.runtime.progress import clean

# What means something inside a line: of underscores, only those at the edge of a word.
SPECIAL = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")


def escaped(text: str) -> str:
    r"""Return text as one line of Markdown that shows it literally; control characters are written as ``\xNN``.

    No library is used: those that escape Markdown escape for one renderer, and leave tables and terminals out.

    Examples
    --------
    >>> print(escaped("<b>sub|01</b>"))
    \<b\>sub\|01\</b\>
    """
    return SPECIAL.sub(r"\\\g<0>", clean(" ".join(text.split())))
