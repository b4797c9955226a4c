"""Networks that synthesise one contrast from another: training, evaluation, inference, simulation and reports.

It imports `warehouse` and not Dagster. The public function is `from model import synthesize`.
"""

from typing import TYPE_CHECKING, Any

import warehouse  # noqa: F401 - before torch: it sets how OpenMP threads wait

if TYPE_CHECKING:
    from model.inference.from_scans import synthesize

__all__ = ["synthesize"]


def __getattr__(name: str) -> Any:
    if name == "synthesize":  # not at the top: it imports torch
        from model.inference.from_scans import synthesize

        return synthesize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
