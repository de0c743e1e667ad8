"""How much a rule smooths a label, and onto which classes."""

from __future__ import annotations  # help() shows types by their names

from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline

from sk_ils._sklearn_compat import StrOptions, validate_parameter_constraints
from sk_ils.inspection._smoothing_map import MeanTargets, plot_map
from sk_ils.inspection._style import (
    axes_list,
    curve_style,
    draw_histogram,
    histogram_axes,
    legend_label,
    line_keywords,
    n_histograms,
    place_legend,
    single_axes,
)
from sk_ils.metrics._binning import N_BINS, make_bins
from sk_ils.metrics._predictions import check_predictions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

__all__ = ["SmoothingCurveDisplay"]

_N_GRID = 501
# Group id of the curves.
_CURVE = "smoothing curve"

_CONSTRAINTS: dict[str, list[Any]] = {
    "kind": [StrOptions({"auto", "curve", "targets"})],
    "n_bins": [N_BINS],
    "name": [str, None],
}


class _HasSmoothingFactor(Protocol):
    """The part of `sk_ils.smoothing.Rule` that is drawn; importing the whole would load torch."""

    def smoothing_factor(self, true_class_proba: NDArray[np.floating]) -> NDArray[np.floating]: ...


class SmoothingCurveDisplay:
    """How much a rule smooths, and onto which classes.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`.

    The curve shows the smoothing factor against the teacher's probability of the true class; the
    strip above shows how many samples have which probability. A rule with the same factor
    everywhere has no curve worth a look. It is shown by its targets: a map of the mean target of
    the samples of each true class (row) for each class (column). The colours are those of the wrong
    classes; the diagonal, what is left to the true class, is grey.

    Parameters
    ----------
    true_class_proba : ndarray of shape (n_samples,)
        The teacher's probability of each sample's true class, in [0, 1].
    smoothing : rule
        Object with ``smoothing_factor(true_class_proba)`` and, for the map,
        ``targets(y, teacher_logits)``, such as those of `sk_ils.smoothing`.
    n_bins : int, default=15
        Number of bins of the histogram, 1 to 100,000.
    name : str, default=None
        Name in the legend or title. None takes the rule's representation.
    mean_targets : MeanTargets, default=None
        What the map shows, with the attributes `classes`, `counts` (samples of each class) and
        `targets`, of shape (n_classes, n_classes). None shows the curve.

    Attributes
    ----------
    line_ : matplotlib Line2D or None
        The curve.
    im_ : matplotlib AxesImage or None
        The map.
    ax_ : matplotlib Axes
        The axes with the picture.
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

    line_: Line2D | None
    im_: AxesImage | None
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        true_class_proba: NDArray[Any],
        smoothing: _HasSmoothingFactor,
        *,
        n_bins: int = 15,
        name: str | None = None,
        mean_targets: MeanTargets | None = None,
    ) -> None:
        self.true_class_proba = true_class_proba
        self.smoothing = smoothing
        self.n_bins = n_bins
        self.name = name
        self.mean_targets = mean_targets

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        kind: Literal["auto", "curve", "targets"] = "auto",
        n_bins: int = 15,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the curve of a fitted estimator's rule over its teacher's probabilities.

        Parameters
        ----------
        estimator : InstanceSmoothedClassifier or pipeline that ends in one
            Fitted, with `smoothing_`, `teacher_predict_proba` and `classes_`. If its rule needs no
            teacher, the student's own probabilities are shown in place of a teacher's.
        X : array-like of shape (n_samples, n_features)
            Samples, as for `fit`. Those of the training show how the student's labels were
            smoothed.
        y : array-like of shape (n_samples,)
            Their true labels.
        kind : {"auto", "curve", "targets"}, default="auto"
            "curve" draws the smoothing factor, "targets" the map of mean targets. "auto" draws the
            map if the factor is the same for all probabilities, or is no function of them; but the
            curve if `ax` shows one already, or if the rule has no `targets`.
        n_bins : int, default=15
            Number of bins of the histogram, 1 to 100,000.
        name : str, default=None
            Name in the legend or title. None takes the rule's representation.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add another curve.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`, short names such as `c`, too, or to
            :meth:`matplotlib.axes.Axes.imshow`.

        Returns
        -------
        SmoothingCurveDisplay
            With `line_` or `im_`, `ax_` and `figure_` set.
        """
        if isinstance(estimator, Pipeline):
            X = estimator[:-1].transform(X) if len(estimator) > 1 else X
            estimator = estimator[-1]
        if not hasattr(estimator, "smoothing_"):
            raise TypeError(
                "from_estimator needs a fitted InstanceSmoothedClassifier, or a Pipeline that ends with "
                f"one; got {type(estimator).__name__}. Of a search pass best_estimator_, and of an ensemble "
                "one of its estimators_: each has a teacher of its own."
            )
        has_teacher = getattr(estimator.smoothing_, "needs_teacher", True)
        return cls.from_predictions(
            y,
            (estimator.teacher_predict_proba if has_teacher else estimator.predict_proba)(X),
            smoothing=estimator.smoothing_,
            labels=estimator.classes_,
            kind=kind,
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
        kind: Literal["auto", "curve", "targets"] = "auto",
        n_bins: int = 15,
        name: str | None = None,
        ax: Axes | None = None,
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
            Object with ``smoothing_factor(true_class_proba)`` and, for the map,
            ``targets(y, teacher_logits)``, such as those of `sk_ils.smoothing`.
        labels : array-like of shape (n_classes,), default=None
            The class of each column; None takes the sorted distinct values of `y_true`.
        kind : {"auto", "curve", "targets"}, default="auto"
            "curve" draws the smoothing factor, "targets" the map of mean targets. "auto" draws the
            map if the factor is the same for all probabilities, or is no function of them; but the
            curve if `ax` shows one already, or if the rule has no `targets`.
        n_bins : int, default=15
            Number of bins of the histogram, 1 to 100,000.
        name : str, default=None
            Name in the legend or title. None takes the rule's representation.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add another curve.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`, short names such as `c`, too, or to
            :meth:`matplotlib.axes.Axes.imshow`.

        Returns
        -------
        SmoothingCurveDisplay
            With `line_` or `im_`, `ax_` and `figure_` set.
        """
        options = {"kind": kind, "n_bins": n_bins, "name": name}
        validate_parameter_constraints(_CONSTRAINTS, options, caller_name=cls.__name__)
        _check_rule(smoothing)
        predictions = check_predictions(y_true, teacher_proba, labels=labels)
        true_class_proba = np.concatenate(
            [proba[np.arange(len(codes)), codes] for proba, codes, _ in predictions.chunks()]
        )
        wants_map = kind == "targets" or (kind == "auto" and _is_flat(smoothing) and not _has_curve(ax))
        mean_targets = MeanTargets.of(predictions, smoothing) if wants_map else None
        display = cls(true_class_proba, smoothing, n_bins=n_bins, name=name, mean_targets=mean_targets)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw the curve or the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add another curve.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`, short names such as `c`, too, or to
            :meth:`matplotlib.axes.Axes.imshow`.

        Returns
        -------
        SmoothingCurveDisplay
            The display itself, with `line_` or `im_`, `ax_` and `figure_` set.
        """
        import matplotlib.pyplot as plt

        ax = single_axes(ax)
        name = repr(self.smoothing) if self.name is None else self.name
        self.line_ = self.im_ = None
        if self.mean_targets is not None:
            ax, self.im_ = plot_map(self.mean_targets, name, ax, kwargs)
            self.ax_, self.figure_ = ax, ax.figure
            return self
        if ax is None:
            _, ax = plt.subplots(figsize=(5.2, 4.9), layout="constrained")
        number = n_histograms(ax)
        style = {
            "gid": _CURVE,
            "color": curve_style(number)["color"],
            "linestyle": ("-", "--", "-.", ":")[number % 4],
            "label": legend_label(name),
            **line_keywords(kwargs),
        }
        grid = np.linspace(0, 1, _N_GRID)
        (line,) = ax.plot(grid, _factor(self.smoothing, grid), **style)
        edges, _, counts = self._binned()
        draw_histogram(histogram_axes(ax), counts, edges, line.get_color())
        ax.set(
            xlabel=_axis_label(self.smoothing),
            ylabel="Smoothing factor",
            xlim=(-0.02, 1.02),
        )
        ax.set_ylim(bottom=0)
        place_legend(ax)
        self.line_, self.ax_, self.figure_ = line, ax, ax.figure
        return self

    def frame(self) -> pd.DataFrame:
        """Return the numbers behind the picture.

        Returns
        -------
        pandas.DataFrame
            Of a curve, a row for each bin of the histogram with the columns lower, upper, count (of
            the samples), true_class_proba and smoothing_factor (their means, NaN in empty bins). Of
            a map, a row for each pair with the columns true_class, class, count (samples of the
            true class) and mean_target (NaN without a sample).
        """
        import pandas as pd

        if self.mean_targets is not None:
            return pd.DataFrame(self.mean_targets.columns())
        edges, index, count = self._binned()
        factor = _factor(self.smoothing, self.true_class_proba)
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


def _check_rule(smoothing: Any) -> None:
    if isinstance(smoothing, type) or not callable(getattr(smoothing, "smoothing_factor", None)):
        raise TypeError(
            "smoothing must be a rule, an object with smoothing_factor(true_class_proba), such as "
            f"sk_ils.smoothing.ILS2(); got {smoothing!r}."
        )


def _factor(smoothing: Any, true_class_proba: NDArray[Any]) -> NDArray[Any]:
    """Return a rule's factor, which a user may have written, if there is one a probability."""
    factor = np.asarray(smoothing.smoothing_factor(true_class_proba))
    if factor.shape != true_class_proba.shape or factor.dtype.kind not in "fiub":
        raise TypeError(
            f"smoothing_factor of {smoothing!r} must return a number for each of {len(true_class_proba)} "
            f"probabilities; got the shape {factor.shape} and type {factor.dtype}."
        )
    if not ((factor >= 0) & (factor <= 1 + 1e-6)).all():
        raise TypeError(f"smoothing_factor of {smoothing!r} must return numbers in [0, 1].")
    return factor


def _axis_label(smoothing: Any) -> str:
    whose = "Teacher's probability" if getattr(smoothing, "needs_teacher", True) else "Probability"
    return f"{whose} of the true class"


def _is_flat(smoothing: Any) -> bool:
    """Return whether a rule has targets, but no curve that tells something."""
    if not hasattr(smoothing, "targets"):
        return False
    try:
        factor = _factor(smoothing, np.linspace(0, 1, _N_GRID))
    except ValueError:
        # It depends on more than the probability of the true class.
        return True
    return bool(np.ptp(factor) == 0)


def _has_curve(ax: Any) -> bool:
    return ax is not None and any(n_histograms(axes) for axes in axes_list(ax))
