"""The list of all metrics: the name, the inputs and the function of each. Pure.

`metric` puts a function on the list. `metrics()`, the names of metrics, the accessors and the table
in the documentation are made from this list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = [
    "METRICS",
    "POSITION_ROLES",
    "USUAL_WINDOW",
    "WINDOWS",
    "Metric",
    "Recipe",
    "metric",
    "table",
    "windowed",
]

F = TypeVar("F", bound="Callable[..., pd.Series[float]]")

# Inputs that come from reports of open positions, not from columns of the frame.
POSITION_ROLES = ("position", "position_percent")

# In trading days: the default window of one metric, and the default windows of tables of metrics.
USUAL_WINDOW = 20
WINDOWS = (5, USUAL_WINDOW)


class Recipe(NamedTuple):
    """The inputs of a metric in a market, and the function that computes it.

    Attributes
    ----------
    roles : tuple of str
        Names from `columns.ROLES` and `POSITION_ROLES`.
    compute : callable
        For a metric of a day, it takes the values of the roles, in order. For a metric of a window,
        it takes the `window_metrics.BlockWindows` that hold them, and ``n``.
    """

    roles: tuple[str, ...]
    compute: Callable[..., NDArray[Any]]


@dataclass(frozen=True)
class Metric:
    """A metric of each row.

    Attributes
    ----------
    name : str
        Name of the function, of the method and of the Series it returns; the Series of a window has
        ``_<n>`` appended.
    formula : str
        Formula for the documentation.
    recipes : mapping of str to Recipe
        By market.
    function : callable
        The public function.
    has_window : bool
        Whether it takes ``n``.
    is_of_days : bool
        Whether it refuses rows that are weeks or other periods.
    """

    name: str
    formula: str
    recipes: Mapping[str, Recipe]
    function: Callable[..., pd.Series[float]]
    has_window: bool = False
    is_of_days: bool = False

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """Roles by market."""
        return {market: recipe.roles for market, recipe in self.recipes.items()}

    @property
    def is_of_positions(self) -> bool:
        """Whether it is made of reported open positions."""
        return any(role in POSITION_ROLES for roles in self.needs.values() for role in roles)


# By name. Metrics of a day come first, then metrics of a window; each time those of positions last.
METRICS: dict[str, Metric] = {}


def metric(
    formula: str,
    recipes: Mapping[str, Recipe],
    *,
    has_window: bool = False,
    is_of_days: bool = False,
) -> Callable[[F], F]:
    """Put the decorated function on the list, as `Metric` describes."""

    def register(function: F) -> F:
        name = function.__name__
        METRICS[name] = Metric(name, formula, recipes, function, has_window, is_of_days)
        ordered = sorted(METRICS.values(), key=lambda one: (one.has_window, one.is_of_positions))
        METRICS.clear()
        METRICS.update({one.name: one for one in ordered})
        return function

    return register


def windowed() -> list[Metric]:
    """Metrics that have a window, in order."""
    return [one for one in METRICS.values() if one.has_window]


def table() -> pd.DataFrame:
    """Table for the documentation: the ``name``, ``market`` and ``formula`` of each metric.

    Examples
    --------
    >>> from intake_futu_short.metrics import registry
    >>> registry.table().iloc[0].tolist()
    ['short_ratio()', 'both', 'S / V']
    """
    rows = [
        (
            f"{one.name}({'n' if one.has_window else ''})",
            "both" if len(one.recipes) > 1 else next(iter(one.recipes)),
            one.formula,
        )
        for one in METRICS.values()
    ]
    return pd.DataFrame(rows, columns=["name", "market", "formula"])
