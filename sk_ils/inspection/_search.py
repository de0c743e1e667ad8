"""The scores of a hyperparameter search over one parameter or two."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any, Self

from sklearn.pipeline import Pipeline

from sk_ils._sklearn_compat import validate_parameter_constraints
from sk_ils.inspection._heat_map import value_label
from sk_ils.inspection._search_cells import SearchCell, SearchResults, axis_values, make_cells
from sk_ils.inspection._search_edges import GridEdge, grid_edges
from sk_ils.inspection._search_plot import (
    note_edge,
    plot_heat_map,
    plot_lines,
    ring,
)
from sk_ils.inspection._style import literal, single_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

__all__ = ["SearchDisplay"]

_CONSTRAINTS: dict[str, list[Any]] = {
    "where": [Mapping, None],
    "score_name": [str, None],
    "negate_score": ["boolean", None],
    "name": [str, None],
}


class SearchDisplay:
    """Mean cross-validated score of a search over one parameter (lines) or two (heat map).

    Create it with :meth:`from_search`.

    If several candidates have the shown values, since other parameters vary, the best of them is
    drawn. A heat map has one cell for each pair of values, evenly spaced whatever the values. Its
    best cell is outlined, and bright is better. Cells without a candidate or without a score are
    grey; "nan" in them says that the candidate has failed. Lines have bars of one standard error
    over the splits.

    A note below the picture says if the best candidate lies at the edge of the grid: its value of a
    shown parameter is the smallest or largest of at least three that were tried with all else
    equal, and better than the one next to it. Lines have a ring there. Zero as the smallest number,
    and the end of the range that the search's estimator allows, are no edges.

    Parameters
    ----------
    cells : list of SearchCell
        What is drawn.
    x : str
        Name of the parameter on the x-axis.
    y : str, default=None
        Name of the parameter on the y-axis of a heat map; None draws lines.
    line : str, default=None
        Name of the parameter that tells the lines apart.
    score_label : str, default="Score"
        What the scores are.
    greater_is_better : bool, default=True
        Whether the best score is the greatest.
    name : str, default=None
        Name of the search: title of a heat map, in the legend of lines.
    edges : list of GridEdge, default=()
        The shown parameters for which the best cell lies at the edge of the grid, each with the
        attributes `name`, `value`, `values` and `side`.

    Attributes
    ----------
    im_ : matplotlib AxesImage or None
        The heat map.
    text_ : ndarray of shape (n_y, n_x) of (matplotlib Text or None), or None
        The numbers in the cells; None if there are too many, or if lines are shown.
    errorbar_ : list of matplotlib ErrorbarContainer or None
        The lines.
    ax_ : matplotlib Axes
        The axes with the picture.
    figure_ : matplotlib Figure
        The figure that holds it.

    See Also
    --------
    sklearn.model_selection.ValidationCurveDisplay : Training and test scores over one parameter.

    Notes
    -----
    The standard error is the standard deviation over the splits (divisor n_splits - 1) divided by
    the square root of n_splits. It treats the splits as independent, although their training
    samples overlap, and says little about the difference of two candidates, which were scored on
    the same splits. And the best of many candidates looks better than it is: judge it on samples
    that the search has not seen.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.svm import SVC
    >>> from sk_ils.inspection import SearchDisplay
    >>> search = GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}, scoring="accuracy")
    >>> search.fit(*load_iris(return_X_y=True))  # doctest: +ELLIPSIS
    GridSearchCV(...)
    >>> display = SearchDisplay.from_search(search, "C", "gamma")
    >>> display.frame().round(3).loc[[0, 5], ["C", "gamma", "mean_score", "standard_error"]]
          C  gamma  mean_score  standard_error
    0   0.1   0.01       0.913           0.027
    5  10.0   0.10       0.980           0.008
    >>> plt.show()
    """

    ax_: "Axes"
    figure_: "Figure | SubFigure"
    im_: "AxesImage | None"
    text_: "NDArray[Any] | None"
    errorbar_: "list[ErrorbarContainer] | None"

    def __init__(
        self,
        cells: Sequence[SearchCell],
        *,
        x: str,
        y: str | None = None,
        line: str | None = None,
        score_label: str = "Score",
        greater_is_better: bool = True,
        name: str | None = None,
        edges: Sequence[GridEdge] = (),
    ) -> None:
        self.cells = list(cells)
        self.x = x
        self.y = y
        self.line = line
        self.score_label = score_label
        self.greater_is_better = greater_is_better
        self.name = name
        self.edges = list(edges)

    @classmethod
    def from_search(
        cls,
        search: Any,
        x: str,
        y: str | None = None,
        *,
        metric: str | None = None,
        where: Mapping[str, Any] | None = None,
        score_name: str | None = None,
        negate_score: bool | None = None,
        name: str | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the scores of a fitted search.

        Parameters
        ----------
        search : SmoothingSearchCV, GridSearchCV or another with `cv_results_`
            Fitted; may be a pipeline that ends with one.
        x : str
            Searched parameter, such as ``"pipeline__smoothing__shift"``. The end of its name,
            ``"shift"`` or ``"smoothing__shift"``, may be used if no other searched parameter ends
            with it. Candidates that lack the parameter are left out. Numbers are sorted; values of
            any other type, such as names, are shown in the search's order, and not joined by a
            line.
        y : str, default=None
            A second parameter, for a heat map. None draws lines. There is one line, unless the part
            that `x` belongs to (`smoothing` for `smoothing__epsilon`) has been searched over, too:
            then there is one line for each of its values.
        metric : str, default=None
            Which metric to show if the search has several. None takes the one that `refit` names.
        where : dict of str -> object, default=None
            Show only candidates that have these values, as ``{"smoothing": "ils"}``.
        score_name : str, default=None
            Name of the score, for the axis. None takes the scorer's name, or "Score".
        negate_score : bool, default=None
            Whether to flip the sign, so that less is better. None flips it if the score is the
            negative of a loss: the name of the metric begins with ``"neg_"``, or its scorer was
            made with ``greater_is_better=False``.
        name : str, default=None
            Name of the search, for legend or title.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add lines.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.imshow` or :meth:`matplotlib.axes.Axes.errorbar`.

        Returns
        -------
        SearchDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        NotFittedError
            If the search has no `cv_results_`.
        ValueError
            If a parameter or metric is unknown or ambiguous, or if no candidate is left.
        """
        options = {"where": where, "score_name": score_name, "negate_score": negate_score, "name": name}
        validate_parameter_constraints(_CONSTRAINTS, options, caller_name=cls.__name__)
        search = search[-1] if isinstance(search, Pipeline) else search
        results = SearchResults.of(search, metric)
        x = results.parameter(x)
        y = None if y is None else results.parameter(y)
        if x == y:
            raise ValueError(f"x and y must be two parameters, got {x!r} for both.")
        filters = {results.parameter(key): value for key, value in (where or {}).items()}
        negate = results.score_name.startswith("neg_") if negate_score is None else negate_score
        cells, line = make_cells(results, x, y, filters, -1 if negate else 1)
        display = cls(
            cells,
            x=x,
            y=y,
            line=line,
            score_label=_score_label(results.score_name, negate) if score_name is None else score_name,
            greater_is_better=not negate,
            name=name,
        )
        best = display._best()
        if best is not None:
            shown = [parameter for parameter in (x, y) if parameter is not None]
            estimator = getattr(search, "estimator", None)
            display.edges = grid_edges(results, best.candidate, estimator=estimator, names=shown)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: "Axes | None" = None, **kwargs: Any) -> Self:
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add lines.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.imshow` or :meth:`matplotlib.axes.Axes.errorbar`.

        Returns
        -------
        SearchDisplay
            The display itself, with `ax_` and `figure_` set.
        """
        label = literal(f"{self.score_label}, {'more' if self.greater_is_better else 'less'} is better")
        sign = 1 if self.greater_is_better else -1
        ax = single_axes(ax)
        self.im_ = self.text_ = self.errorbar_ = None
        if self.y is None:
            ax, self.errorbar_ = plot_lines(self.cells, self._line_names(), ax, kwargs)
            ax.set(xlabel=literal(_short(self.x)), ylabel=label)
        else:
            ax, self.im_, self.text_ = plot_heat_map(self.cells, label, sign, ax, kwargs)
            x, y = _short(self.x), _short(self.y)
            ax.set(xlabel=literal(x if x != y else self.x), ylabel=literal(y if x != y else self.y))
            if self.name is not None:
                ax.set_title(literal(self.name))
        self._mark_edges(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _best(self) -> SearchCell | None:
        """Return the best cell that has a score."""
        scored = [cell for cell in self.cells if not isnan(cell.mean_score)]
        choose = max if self.greater_is_better else min
        return choose(scored, key=lambda cell: cell.mean_score) if scored else None

    def _mark_edges(self, ax: "Axes") -> None:
        best = self._best()
        if not self.edges or best is None:
            note_edge(ax, None)
            return
        start = "Best" if self.name is None or self.y is not None else f"{self.name}, best"
        found = ", ".join(
            f"{_short(edge.name)} = {value_label(edge.value)} ({edge.side})" for edge in self.edges
        )
        note_edge(ax, literal(f"{start} at the grid's edge: {found}"))
        if self.y is None:
            ring(ax, best.x, best.mean_score)

    def _line_names(self) -> list[str | None]:
        """Return the name of each line in the legend."""
        if self.line is None:
            return [self.name]
        lines, _ = axis_values([cell.line for cell in self.cells])
        start = "" if self.name is None else f"{self.name}, "
        return [f"{start}{_short(self.line)}={value_label(line)}" for line in lines]

    def frame(self) -> "pd.DataFrame":
        """Return the numbers behind the picture.

        Returns
        -------
        pandas.DataFrame
            A row for each cell, in the search's order. The columns are the shown parameters, with
            their full names (that of the lines, x, y), then mean_score and standard_error with the
            sign that is shown, candidate (the index of the best one in `cv_results_`) and
            n_candidates (how many share the cell).
        """
        import pandas as pd

        shown = {"line": self.line, "x": self.x, "y": self.y}
        columns = {name: attribute for attribute, name in shown.items() if name is not None}
        scores = ("mean_score", "standard_error", "candidate", "n_candidates")
        columns |= {name: name for name in scores}
        return pd.DataFrame(
            {name: [getattr(cell, attribute) for cell in self.cells] for name, attribute in columns.items()}
        )


def _short(parameter: str) -> str:
    return parameter.rpartition("__")[2]


def _score_label(score_name: str, negate: bool) -> str:
    """Return the label of a score; a name with "neg_" is that of a loss with its sign flipped."""
    loss = score_name.removeprefix("neg_")
    label = "cross-entropy (nats)" if loss == "log_loss" else loss.replace("_", " ")
    label = f"negative {label}" if negate == (loss == score_name) else label
    return label[0].upper() + label[1:]
