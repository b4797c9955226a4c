"""Physical limits of acquisition parameters, voxel sizes and ages: one table for SQL, prompts and ingest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """The range of a quantity.

    Parameters
    ----------
    low, high : float
        In `unit`.
    unit : str
    has_low, has_high : bool
        Whether the range includes the bound.
    """

    low: float
    high: float
    unit: str
    has_low: bool = False
    has_high: bool = False

    def allows(self, value: float) -> bool:
        """Return whether a value is possible; NaN is not."""
        above = value >= self.low if self.has_low else value > self.low
        return above and (value <= self.high if self.has_high else value < self.high)

    def rule(self, name: str) -> str:
        """Return the limit as an SQL condition on a column; for a list, on its least and greatest element."""
        low, high = (f"list_min({name})", f"list_max({name})") if self.unit == "mm" else (name, name)
        above, below = ">=" if self.has_low else ">", "<=" if self.has_high else "<"
        return f"{low} {above} {self.low:g} AND {high} {below} {self.high:g}"


LIMITS = {
    "age_years": Limit(0, 120, "years", has_low=True, has_high=True),
    "field_strength_t": Limit(0, 25, "T", has_high=True),
    "voxel_size_mm": Limit(0, 50, "mm"),
    "repetition_time_s": Limit(0, 60, "s"),
    "echo_time_s": Limit(0, 1, "s"),
    "inversion_time_s": Limit(0, 10, "s"),
    "flip_angle_deg": Limit(0, 360, "degrees", has_high=True),
}
