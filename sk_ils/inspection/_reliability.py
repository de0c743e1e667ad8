"""Reliability diagrams: accuracy against confidence, frequency against probability."""

from __future__ import annotations  # help() shows types by their names

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from sk_ils._sklearn_compat import Interval, StrOptions, validate_parameter_constraints
from sk_ils.inspection._curves import CurveMaker, ReliabilityCurve
from sk_ils.inspection._reliability_plot import plot_grid, plot_models, plot_panel, share_one_axes
from sk_ils.metrics._binning import N_BINS, Strategy
from sk_ils.metrics._predictions import check_predictions, named_models

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ReliabilityDisplay"]

_CONSTRAINTS: dict[str, list[Any]] = {
    "n_bins": [N_BINS],
    "strategy": [StrOptions({"uniform", "quantile"})],
    "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    "max_classes": [Interval(Integral, 1, None, closed="left")],
    "name": [str, None],
}


class ReliabilityDisplay:
    """Reliability diagram of one model or several.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`.

    Each marker is a bin: the frequency with which the predictions in it are true against their mean
    probability, with Wilson's interval. Points on the diagonal are calibrated. Empty bins have no
    marker, and the line is interrupted there. The marker of a bin with fewer than ten samples (or
    weights that sum to less) is hollow and its interval pale: it says little. The strip above shows
    how many samples are in each bin of equal width.

    More than four models have an axes each, class-wise a row of axes each.

    Parameters
    ----------
    curves : list of ReliabilityCurve
        One for each model or, if class-wise, for each shown class and model: class by class, with
        the models always in the same order.
    errors : dict of (str or None) -> float
        Calibration error of each model: that of the confidence, the macro average of all classes,
        or that of the one class shown.
    kind : {"top-label", "classwise"}, a class, or list of classes
        What is drawn.
    n_classes : int
        Number of classes, shown or not.

    Attributes
    ----------
    ax_ : matplotlib Axes, or ndarray of Axes if class-wise or with more than four models
        The axes with the curves.
    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    sk_ils.metrics.calibration_report : The numbers, with their uncertainty.
    sklearn.calibration.CalibrationDisplay : For two classes, without intervals and counts.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sk_ils.inspection import ReliabilityDisplay
    >>> X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> clf = GaussianNB().fit(X, y)
    >>> display = ReliabilityDisplay.from_estimator(clf, X_test, y_test)
    >>> round(display.errors["GaussianNB"], 3)
    0.157
    >>> plt.show()
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        curves: Sequence[ReliabilityCurve],
        *,
        errors: Mapping[str | None, float],
        kind: Any,
        n_classes: int,
    ) -> None:
        self.curves = list(curves)
        self.errors = dict(errors)
        self.kind = kind
        self.n_classes = n_classes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        kind: Any = "top-label",
        n_bins: int = 15,
        strategy: Strategy = "uniform",
        sample_weight: ArrayLike | None = None,
        confidence_level: float = 0.95,
        max_classes: int = 12,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the reliability diagram of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted, with `predict_proba` and `classes_`; may be a pipeline.
        X : array-like of shape (n_samples, n_features)
            Samples that the estimator has not been fitted on.
        y : array-like of shape (n_samples,)
            Their true labels.
        kind : {"top-label", "classwise"}, a class, or list of classes, default="top-label"
            "top-label" shows the accuracy against the confidence, the probability of the predicted
            class. A class shows its frequency against its probability. "classwise" does so for
            every class in an axes of its own, the worst calibrated first; a list does so for its
            classes in its order.
        n_bins : int, default=15
            Number of bins, 1 to 100,000.
        strategy : {"uniform", "quantile"}, default="uniform"
            How the bins are made; see :func:`~sk_ils.metrics.expected_calibration_error`. The
            histogram has `n_bins` bins of equal width in any case.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; their scale does not matter. Counts are shown with the mean
            weight 1, intervals are those of Kish's effective number of samples, the square of the
            sum of the weights divided by the sum of their squares.
        confidence_level : float, default=0.95
            Level of the intervals of the frequencies, in (0, 1).
        max_classes : int, default=12
            Largest number of classes that "classwise" shows. The error in the legend is the average
            over all classes.
        name : str, default=None
            Name in the legend. None takes the class's name.
        ax : matplotlib Axes, or array of Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add a model; if
            class-wise, pass ``kind=[curve.label for curve in display.curves]``, too. A single Axes
            is divided into a grid if class-wise, or for more than four models; in an array of
            several each class or model has its own. The legend needs room below the axes: give your
            figure ``layout="constrained"``.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`, short names such as `c`, too.

        Returns
        -------
        ReliabilityDisplay
            With `ax_` and `figure_` set.
        """
        return cls.from_predictions(
            y,
            estimator.predict_proba(X),
            kind=kind,
            labels=estimator.classes_,
            n_bins=n_bins,
            strategy=strategy,
            sample_weight=sample_weight,
            confidence_level=confidence_level,
            max_classes=max_classes,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_proba: ArrayLike | Mapping[str, ArrayLike],
        *,
        kind: Any = "top-label",
        labels: ArrayLike | None = None,
        n_bins: int = 15,
        strategy: Strategy = "uniform",
        sample_weight: ArrayLike | None = None,
        confidence_level: float = 0.95,
        max_classes: int = 12,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the reliability diagram of probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_proba : array-like of shape (n_samples, n_classes) or (n_samples,), or dict of such
            Probabilities, as for :func:`~sk_ils.metrics.expected_calibration_error`. A dict maps
            the names of several models to their probabilities.
        kind : {"top-label", "classwise"}, a class, or list of classes, default="top-label"
            "top-label" shows the accuracy against the confidence, the probability of the predicted
            class. A class shows its frequency against its probability. "classwise" does so for
            every class in an axes of its own, the worst calibrated first; a list does so for its
            classes in its order.
        labels : array-like of shape (n_classes,), default=None
            The class of each column; None takes the sorted distinct values of `y_true`.
        n_bins : int, default=15
            Number of bins, 1 to 100,000.
        strategy : {"uniform", "quantile"}, default="uniform"
            How the bins are made; see :func:`~sk_ils.metrics.expected_calibration_error`. The
            histogram has `n_bins` bins of equal width in any case.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; their scale does not matter. Counts are shown with the mean
            weight 1, intervals are those of Kish's effective number of samples, the square of the
            sum of the weights divided by the sum of their squares.
        confidence_level : float, default=0.95
            Level of the intervals of the frequencies, in (0, 1).
        max_classes : int, default=12
            Largest number of classes that "classwise" shows. The error in the legend is the average
            over all classes.
        name : str, default=None
            Name in the legend, for a single model.
        ax : matplotlib Axes, or array of Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add a model; if
            class-wise, pass ``kind=[curve.label for curve in display.curves]``, too. A single Axes
            is divided into a grid if class-wise, or for more than four models; in an array of
            several each class or model has its own. The legend needs room below the axes: give your
            figure ``layout="constrained"``.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`, short names such as `c`, too.

        Returns
        -------
        ReliabilityDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ValueError
            If a class is unknown or `ax` does not fit, and for the same reasons as in
            :func:`~sk_ils.metrics.expected_calibration_error`.
        """
        options = {
            "n_bins": n_bins,
            "strategy": strategy,
            "confidence_level": confidence_level,
            "max_classes": max_classes,
            "name": name,
        }
        validate_parameter_constraints(_CONSTRAINTS, options, caller_name=cls.__name__)
        models = {
            key: check_predictions(y_true, proba, labels=labels, sample_weight=sample_weight)
            for key, proba in named_models(y_proba, alone=name).items()
        }
        make = CurveMaker(n_bins, strategy, confidence_level)
        n_classes = len(next(iter(models.values())).labels)
        kind = _plain(kind)
        if _is_grid(kind):
            classes = None if isinstance(kind, str) else kind
            curves, errors = make.grid(models, classes, max_classes)
        elif isinstance(kind, str) and kind == "top-label":
            curves = [make.top_label(key, model) for key, model in models.items()]
            errors = {curve.name: curve.error for curve in curves}
        else:
            curves = [make.of_class(key, model, kind) for key, model in models.items()]
            errors = {curve.name: curve.error for curve in curves}
        display = cls(curves, errors=errors, kind=kind, n_classes=n_classes)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, or array of Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add a model; if
            class-wise, pass ``kind=[curve.label for curve in display.curves]``, too. A single Axes
            is divided into a grid if class-wise, or for more than four models; in an array of
            several each class or model has its own. The legend needs room below the axes: give your
            figure ``layout="constrained"``.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`, short names such as `c`, too.

        Returns
        -------
        ReliabilityDisplay
            The display itself, with `ax_` and `figure_` set.
        """
        if _is_grid(self.kind):
            title = f"Class-wise, {self._shown()}"
            self.ax_ = plot_grid(self.curves, self.errors, title, ax, kwargs)
            self.figure_ = self.ax_[0].figure
            return self
        if isinstance(self.kind, str) and self.kind == "top-label":
            axis_labels = "Confidence", "Accuracy", "ECE"
        else:
            axis_labels = f"Probability of {self.kind}", f"Frequency of {self.kind}", "class-wise ECE"
        if share_one_axes(self.curves, ax):
            self.ax_ = plot_panel(self.curves, axis_labels, ax, kwargs)
            self.figure_ = self.ax_.figure
        else:
            self.ax_ = plot_models(self.curves, axis_labels, ax, kwargs)
            self.figure_ = self.ax_[0].figure
        return self

    def _shown(self) -> str:
        n_shown = len(self.curves) // len(self.errors)
        if not isinstance(self.kind, str):
            return f"{n_shown} of {self.n_classes} classes"
        if n_shown < self.n_classes:
            return f"the worst {n_shown} of {self.n_classes} classes"
        return f"all {self.n_classes} classes, the worst first"

    def frame(self) -> pd.DataFrame:
        """Return the numbers behind the picture.

        Returns
        -------
        pandas.DataFrame
            A row for each bin of each curve with the columns model, class (None for the
            confidence), lower, upper, count, mean_proba, frequency, low and high.
        """
        import pandas as pd

        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "model": curve.name,
                        "class": curve.label,
                        "lower": curve.edges[:-1],
                        "upper": curve.edges[1:],
                        "count": curve.count,
                        "mean_proba": curve.mean_proba,
                        "frequency": curve.frequency,
                        "low": curve.low,
                        "high": curve.high,
                    }
                )
                for curve in self.curves
            ],
            ignore_index=True,
        )


def _plain(kind: Any) -> Any:
    """Return several classes as a list, and NumPy's scalars as Python's."""
    if isinstance(kind, np.ndarray | np.generic):
        return kind.tolist()
    return list(kind) if isinstance(kind, Iterable) and not isinstance(kind, str | bytes) else kind


def _is_grid(kind: Any) -> bool:
    return kind == "classwise" if isinstance(kind, str) else isinstance(kind, list)
