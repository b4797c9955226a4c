"""How one contrast becomes another: tensors in, tensors out.

Imports `warehouse` only. Nothing here knows Dagster. The one call for users is `from model import synthesize`.
"""

from typing import TYPE_CHECKING, Any

import warehouse  # noqa: F401 - before torch: it says how OpenMP threads wait

if TYPE_CHECKING:
    from model.inference.synthesize import synthesize

__all__ = ["synthesize"]


def __getattr__(name: str) -> Any:
    if name == "synthesize":  # only now, since it brings torch
        from model.inference.synthesize import synthesize

        return synthesize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
