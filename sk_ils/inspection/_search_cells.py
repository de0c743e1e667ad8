"""The scores in a search's `cv_results_` by the values of one parameter or two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from sk_ils._sklearn_compat import scorer_name

__all__ = ["SearchCell", "SearchResults", "axis_values", "cell_key", "make_cells"]


@dataclass(frozen=True)
class SearchCell:
    """One value of the shown parameters, and the best candidate that has it.

    Parameters
    ----------
    x, y : object
        Values of the shown parameters; y is None if only one is shown.
    line : object
        Value of the parameter that tells the lines apart; None if there is none.
    mean_score : float
        Mean over the splits of the best candidate's score, with the sign that is shown; NaN if no
        candidate has a score.
    standard_error : float
        Standard deviation of the best candidate's scores over the splits, divided by the square
        root of the number of splits; NaN for a single split.
    candidate : int
        Index of the best candidate in `cv_results_`.
    n_candidates : int
        Number of candidates that share the cell, since other parameters vary.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.svm import SVC
    >>> from sk_ils.inspection import SearchDisplay
    >>> search = GridSearchCV(SVC(), {"C": [0.1, 1, 10]}, scoring="accuracy")
    >>> search = search.fit(*load_iris(return_X_y=True))
    >>> cell = SearchDisplay.from_search(search, "C").cells[0]
    >>> cell.x, round(cell.mean_score, 3)
    (0.1, 0.92)
    """

    x: Any
    y: Any
    line: Any
    mean_score: float
    standard_error: float
    candidate: int
    n_candidates: int


@dataclass(frozen=True)
class SearchResults:
    """The candidates of a search and their scores under one metric.

    Attributes
    ----------
    params : sequence of dict
        Each candidate's parameters.
    split_scores : ndarray of shape (n_candidates, n_splits)
        Their scores, greater is better.
    mean_scores : ndarray of shape (n_candidates,)
        Their means as the search has them.
    score_name : str
        Name of the score, which begins with "neg_" if the score is a loss with its sign flipped.
    """

    params: Sequence[Mapping[str, Any]]
    split_scores: NDArray[np.float64]
    mean_scores: NDArray[np.float64]
    score_name: str

    @classmethod
    def of(cls, search: Any, metric: str | None) -> "SearchResults":
        """Read a fitted search."""
        results = getattr(search, "cv_results_", None)
        if results is None:
            raise NotFittedError(
                "Expected a fitted search with cv_results_, such as SmoothingSearchCV or GridSearchCV, got "
                f"{type(search).__name__} without: call its fit first."
            )
        prefix = "mean_test_"
        metrics = [key.removeprefix(prefix) for key in results if key.startswith(prefix)]
        metric = _metric(metrics, metric, getattr(search, "refit", None))
        names = (f"split{split}_test_{metric}" for split in count())
        splits = [results[name] for name in takewhile(results.__contains__, names)]
        return cls(
            params=results["params"],
            split_scores=np.array(splits, dtype=np.float64).T,
            mean_scores=np.asarray(results[prefix + metric], dtype=np.float64),
            score_name=_score_name(search, metric),
        )

    def parameter(self, name: str) -> str:
        """Return the searched parameter with this name, or whose name ends with "__" and it."""
        names = list(dict.fromkeys(name for params in self.params for name in params))
        if name in names:
            return name
        found = [known for known in names if known.endswith(f"__{name}")]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{name!r} may be any of {found}: write the name in full.")
        raise ValueError(f"{name!r} has not been searched over. The searched parameters are {names}.")


def _metric(metrics: list[str], metric: str | None, refit: Any) -> str:
    if metric is not None:
        if metric not in metrics:
            raise ValueError(f"The search has no metric {metric!r}. It has {metrics}.")
        return metric
    if len(metrics) == 1:
        return metrics[0]
    if isinstance(refit, str) and refit in metrics:
        return refit
    raise ValueError(f"The search has several metrics and refit names none: pass metric=, one of {metrics}.")


def _score_name(search: Any, metric: str) -> str:
    """Return the most telling name that the search has for a metric."""
    scorer = getattr(search, "scorer_", None)
    scoring = getattr(search, "scoring", None)
    if metric == "score" and not isinstance(scorer, Mapping):
        return scoring if isinstance(scoring, str) else scorer_name(scorer) or metric
    called = scorer_name(scorer[metric]) if isinstance(scorer, Mapping) else None
    flipped = called is not None and called.startswith("neg_")
    return metric if metric.startswith("neg_") or not flipped else f"neg_{metric}"


def cell_key(value: Any) -> Any:
    """Return a key that is equal for values shown as one: 1 and 1.0, or equal rules."""
    value = value.item() if isinstance(value, np.generic) else value
    return float(value) if _is_number(value) else repr(value)


def axis_values(values: Sequence[Any]) -> tuple[list[Any], bool]:
    """Return the distinct values, and whether all are numbers; only numbers are sorted."""
    distinct = list({cell_key(value): value for value in values}.values())
    numeric = all(map(_is_number, distinct))
    return (sorted(distinct) if numeric else distinct), numeric


def _is_number(value: Any) -> bool:
    # NaN, which is not equal to itself, is treated as a name.
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and not np.isnan(value)


def make_cells(
    results: SearchResults,
    x: str,
    y: str | None,
    where: Mapping[str, Any],
    sign: int,
) -> tuple[list[SearchCell], str | None]:
    """Return the cells, and the parameter that tells the lines apart if there is one.

    That is the part which x belongs to, such as `smoothing` for `smoothing__epsilon`, if it has
    been searched over, too.
    """
    shown = [i for i, params in enumerate(results.params) if x in params and (y is None or y in params)]
    chosen = [i for i in shown if _matches(results.params[i], where)]
    if not chosen:
        names = x if y is None else f"{x} and {y}"
        found = {name: axis_values([results.params[i].get(name) for i in shown])[0] for name in where}
        hint = f" and {dict(where)}; theirs are {found}" if shown and where else ""
        raise ValueError(f"No candidate has {names}{hint}.")
    owner = x.rpartition("__")[0]
    line = owner if y is None and any(owner in results.params[i] for i in chosen) else None
    groups: dict[Any, list[int]] = {}
    for i in chosen:
        names_of_cell = [name for name in (x, y, line) if name is not None]
        key = tuple(cell_key(results.params[i].get(name)) for name in names_of_cell)
        groups.setdefault(key, []).append(i)
    return [_cell(results, group, x, y, line, sign) for group in groups.values()], line


def _matches(params: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    return all(name in params and cell_key(params[name]) == cell_key(value) for name, value in where.items())


def _cell(
    results: SearchResults, group: list[int], x: str, y: str | None, line: str | None, sign: int
) -> SearchCell:
    """Return the cell of candidates that share it."""
    means = results.mean_scores[group]
    best = group[0 if np.isnan(means).all() else int(np.nanargmax(means))]
    scores, params = results.split_scores[best], results.params[best]
    n_splits = len(scores)
    return SearchCell(
        x=params[x],
        y=None if y is None else params[y],
        line=None if line is None else params.get(line),
        mean_score=sign * float(results.mean_scores[best]),
        standard_error=float(np.std(scores, ddof=1) / np.sqrt(n_splits)) if n_splits > 1 else float("nan"),
        candidate=best,
        n_candidates=len(group),
    )
