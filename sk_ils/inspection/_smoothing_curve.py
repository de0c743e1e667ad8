"""How much a rule smooths a label, by the teacher's probability of the true class."""

from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline

from sk_ils._sklearn_compat import Interval, validate_parameter_constraints
from sk_ils.inspection._style import COLORS, draw_histogram, histogram_axes
from sk_ils.metrics._binning import make_bins
from sk_ils.metrics._predictions import check_predictions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

__all__ = ["SmoothingCurveDisplay"]

_N_GRID = 501


class _HasSmoothingFactor(Protocol):
    """The part of `sk_ils.smoothing.Rule` that is drawn; importing the whole would load torch."""

    def smoothing_factor(self, true_class_proba: NDArray[np.floating]) -> NDArray[np.floating]: ...


class SmoothingCurveDisplay:
    """The smoothing factor against the teacher's probability of the true class.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`. The strip above
    shows how many samples have which probability.

    Parameters
    ----------
    true_class_proba : ndarray of shape (n_samples,)
        The teacher's probability of each sample's true class, in [0, 1].
    smoothing : rule
        Object with ``smoothing_factor(true_class_proba)``, such as those of `sk_ils.smoothing`.
    n_bins : int, default=15
        Number of bins of the histogram.
    name : str, default=None
        Name in the legend. None takes the rule's representation.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The curve.
    ax_ : matplotlib Axes
        The axes with the curve.
    figure_ : matplotlib Figure
        The figure that holds it.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sk_ils.inspection import SmoothingCurveDisplay
    >>> class Half:
    ...     def smoothing_factor(self, true_class_proba):
    ...         return (1 - true_class_proba) / 2
    >>> display = SmoothingCurveDisplay.from_predictions(
    ...     ["a", "b"], [[0.9, 0.1], [0.6, 0.4]], smoothing=Half(), name="half", n_bins=5
    ... )
    >>> display.frame()["count"].tolist()
    [0.0, 1.0, 0.0, 0.0, 1.0]
    >>> plt.show()
    """

    line_: "Line2D"
    ax_: "Axes"
    figure_: "Figure | SubFigure"

    def __init__(
        self,
        true_class_proba: NDArray[Any],
        smoothing: _HasSmoothingFactor,
        *,
        n_bins: int = 15,
        name: str | None = None,
    ) -> None:
        self.true_class_proba = true_class_proba
        self.smoothing = smoothing
        self.n_bins = n_bins
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        n_bins: int = 15,
        name: str | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the curve of a fitted estimator's rule over its teacher's probabilities.

        Parameters
        ----------
        estimator : InstanceSmoothedClassifier or pipeline that ends in one
            Fitted, with `smoothing_`, `teacher_predict_proba` and `classes_`.
        X : array-like of shape (n_samples, n_features)
            Samples, as for `fit`. Those of the training show how the student's labels were
            smoothed.
        y : array-like of shape (n_samples,)
            Their true labels.
        n_bins : int, default=15
            Number of bins of the histogram.
        name : str, default=None
            Name in the legend. None takes the rule's representation.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add another rule.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        SmoothingCurveDisplay
            With `line_`, `ax_` and `figure_` set.
        """
        if isinstance(estimator, Pipeline):
            X = estimator[:-1].transform(X) if len(estimator) > 1 else X
            estimator = estimator[-1]
        return cls.from_predictions(
            y,
            estimator.teacher_predict_proba(X),
            smoothing=estimator.smoothing_,
            labels=estimator.classes_,
            n_bins=n_bins,
            name=name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        teacher_proba: ArrayLike,
        *,
        smoothing: _HasSmoothingFactor,
        labels: ArrayLike | None = None,
        n_bins: int = 15,
        name: str | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the curve of a rule over a teacher's probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        teacher_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
            The teacher's probabilities; conventions as in
            :func:`~sk_ils.metrics.expected_calibration_error`.
        smoothing : rule
            Object with ``smoothing_factor(true_class_proba)``, such as those of `sk_ils.smoothing`.
        labels : array-like of shape (n_classes,), default=None
            The class of each column; None takes the sorted distinct values of `y_true`.
        n_bins : int, default=15
            Number of bins of the histogram.
        name : str, default=None
            Name in the legend. None takes the rule's representation.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add another rule.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        SmoothingCurveDisplay
            With `line_`, `ax_` and `figure_` set.
        """
        constraints: dict[str, list[Any]] = {"n_bins": [Interval(Integral, 1, None, closed="left")]}
        validate_parameter_constraints(constraints, {"n_bins": n_bins}, caller_name=cls.__name__)
        predictions = check_predictions(y_true, teacher_proba, labels=labels)
        true_class_proba = np.concatenate(
            [proba[np.arange(len(codes)), codes] for proba, codes, _ in predictions.chunks()]
        )
        display = cls(true_class_proba, smoothing, n_bins=n_bins, name=name)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: "Axes | None" = None, **kwargs: Any) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add another rule.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        SmoothingCurveDisplay
            The display itself, with `line_`, `ax_` and `figure_` set.
        """
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
        number = len(ax.lines)
        style = {
            "color": COLORS[number % len(COLORS)],
            "linestyle": ("-", "--", "-.", ":")[number % 4],
            "label": repr(self.smoothing) if self.name is None else self.name,
            **kwargs,
        }
        grid = np.linspace(0, 1, _N_GRID)
        (self.line_,) = ax.plot(grid, self.smoothing.smoothing_factor(grid), **style)
        edges, _, counts = self._binned()
        draw_histogram(histogram_axes(ax), counts, edges, self.line_.get_color())
        ax.set(
            xlabel="Teacher's probability of the true class",
            ylabel="Smoothing factor",
            xlim=(-0.02, 1.02),
        )
        ax.set_ylim(bottom=0)
        ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def frame(self) -> "pd.DataFrame":
        """Return the numbers behind the picture.

        Returns
        -------
        pandas.DataFrame
            A row for each bin of the histogram with the columns lower, upper, count (of the
            samples), true_class_proba and smoothing_factor (their means, NaN in empty bins).
        """
        import pandas as pd

        edges, index, count = self._binned()
        factor = self.smoothing.smoothing_factor(self.true_class_proba)
        divisor = np.where(count > 0, count, np.nan)
        return pd.DataFrame(
            {
                "lower": edges[:-1],
                "upper": edges[1:],
                "count": count,
                "true_class_proba": np.bincount(index, self.true_class_proba, minlength=self.n_bins)
                / divisor,
                "smoothing_factor": np.bincount(index, factor, minlength=self.n_bins) / divisor,
            }
        )

    def _binned(self) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
        """Return the right-closed bins' edges, each sample's bin, and the counts."""
        bins = make_bins(self.true_class_proba, None, self.n_bins, "uniform")
        index = bins.index(self.true_class_proba.astype(np.float64))
        return bins.edges, index, np.bincount(index, minlength=self.n_bins).astype(np.float64)
