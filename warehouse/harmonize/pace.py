"""How fast work goes, and how long it will still take."""

from __future__ import annotations

import time
from collections import deque

REMEMBERED = 50  # reports; finding finished work again is fast, and its speed must be forgotten soon


class Pace:
    """Rate over the last reports.

    Parameters
    ----------
    total : int
        How many there are to do.
    clock : callable
        Seconds, ever rising.
    """

    def __init__(self, total: int, clock: object = time.monotonic) -> None:
        assert callable(clock)
        self.total, self.clock = total, clock
        self.seen: deque[tuple[float, int]] = deque([(clock(), 0)], REMEMBERED)

    def at(self, done: int) -> str:
        """Return rate and remaining time in words."""
        self.seen.append((self.clock(), done))
        (began, before), (now, _) = self.seen[0], self.seen[-1]
        if done <= before or now <= began:
            return "rate not known yet"
        per_s = (done - before) / (now - began)
        return f"{_rate(per_s)}, {_lasting((self.total - done) / per_s)} left"


def _rate(per_s: float) -> str:
    return f"{per_s * 3600:,.0f} scans/h" if per_s < 1 else f"{per_s:,.1f} scans/s"


def _lasting(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
