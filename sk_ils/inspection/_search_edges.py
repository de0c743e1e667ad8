"""Whether the best candidate of a search lies at the edge of its grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sk_ils._sklearn_compat import Interval
from sk_ils.inspection._search_cells import SearchResults, axis_values, cell_key

__all__ = ["GridEdge", "edge_warning", "grid_edges"]

# Of two values each is at an edge, which says nothing.
_MIN_VALUES = 3


@dataclass(frozen=True)
class GridEdge:
    """A parameter whose best value is the smallest or the largest of those that were tried.

    Parameters
    ----------
    name : str
        Full name of the parameter.
    value : int or float
        The best value.
    values : list of int or float
        The values that were tried with all other parameters as they are best, in order.
    side : {"smallest", "largest"}
        Which of them is the best.
    gains : ndarray of shape (n_splits,)
        By how much the best value scores better than the one next to it; of the splits that both
        were fitted on.
    """

    name: str
    value: Any
    values: list[Any]
    side: Literal["smallest", "largest"]
    gains: NDArray[np.float64]

    @property
    def beyond_noise(self) -> bool:
        """Whether the mean gain is greater than its standard error; of one split, than zero."""
        gain, n_splits = self.gains.mean(), len(self.gains)
        return bool(gain > (np.std(self.gains, ddof=1) / np.sqrt(n_splits) if n_splits > 1 else 0))


def grid_edges(
    results: SearchResults, best: int, *, estimator: Any, names: Sequence[str] | None = None
) -> list[GridEdge]:
    """Return the parameters for which a candidate lies at the edge of the grid.

    Such a parameter has at least three numbers as values, and the candidate is better than that
    with the next number and all else equal. The end of the parameter's own range is no edge: zero
    as the smallest number, and what `estimator`, which may be None, does not allow to exceed.
    """
    edges = []
    for name in results.params[best] if names is None else names:
        edge = _edge(results, best, name)
        if edge is not None and not _ends_the_range(estimator, results.params[best], edge):
            edges.append(edge)
    return edges


def edge_warning(edges: Sequence[GridEdge]) -> str:
    """Return what a search says about the edges at which its best candidate lies."""
    found = ", ".join(f"{edge.name}={edge.value:g} (the {edge.side} of {edge.values})" for edge in edges)
    return (
        f"The best candidate lies at the edge of the grid: {found}. A better one may lie beyond: search "
        "again with values that go on in that direction."
    )


def _edge(results: SearchResults, best: int, name: str) -> GridEdge | None:
    others = _others(results.params[best], name)
    line = {
        cell_key(params[name]): i
        for i, params in enumerate(results.params)
        if name in params and _others(params, name) == others
    }
    values, numeric = axis_values([results.params[i][name] for i in line.values()])
    value = results.params[best][name]
    if (
        not numeric
        or len(values) < _MIN_VALUES
        or cell_key(value) not in map(cell_key, (values[0], values[-1]))
    ):
        return None
    smallest = cell_key(value) == cell_key(values[0])
    neighbour = line[cell_key(values[1 if smallest else -2])]
    gains = results.split_scores[best] - results.split_scores[neighbour]
    # An ensemble's search may have dropped the neighbour after some splits.
    gains = gains[np.isfinite(gains)]
    if not len(gains) or gains.mean() <= 0:
        return None
    return GridEdge(
        name=name,
        value=value,
        values=[item.item() if isinstance(item, np.generic) else item for item in values],
        side="smallest" if smallest else "largest",
        gains=gains,
    )


def _others(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {other: cell_key(value) for other, value in params.items() if other != name}


def _ends_the_range(estimator: Any, params: Mapping[str, Any], edge: GridEdge) -> bool:
    """Return whether no value beyond the edge makes sense."""
    if edge.side == "smallest" and edge.value == 0:
        return True
    if estimator is None:
        return False
    owner, _, parameter = edge.name.rpartition("__")
    fitted_as = clone(estimator).set_params(**clone(dict(params), safe=False))
    constraints = getattr(fitted_as.get_params()[owner] if owner else fitted_as, "_parameter_constraints", {})
    end, closed = ("left", "left") if edge.side == "smallest" else ("right", "right")
    return any(
        isinstance(constraint, Interval)
        and constraint.closed in (closed, "both")
        and getattr(constraint, end) == edge.value
        for constraint in constraints.get(parameter, ())
    )
