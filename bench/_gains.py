"""Intervals of gains over the seeds of a benchmark."""

from scipy import stats

from core.types import FloatArray

_LEVEL = 0.95


def mean_interval(values: FloatArray) -> list[float] | None:
    """Return the 95 % interval of the mean of these values, (N,), by Student's t; None for a single one."""
    if len(values) == 1:
        return None
    if (values == values[0]).all():  # no spread, of which the distribution says nothing
        return [float(values[0])] * 2
    low, high = stats.t.interval(_LEVEL, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    return [float(low), float(high)]


def shown_interval(bounds: list[float] | None) -> str:
    """Return an interval as a text, "" for none."""
    return "" if bounds is None else f"({bounds[0]:+.3f} to {bounds[1]:+.3f})"
