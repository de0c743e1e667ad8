"""The numbers of a reliability diagram."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sk_ils.metrics._binning import (
    Strategy,
    bin_error,
    classwise_sums,
    curve_sums,
    make_bins,
    top_label,
)
from sk_ils.metrics._predictions import Predictions

__all__ = ["CurveMaker", "ReliabilityCurve"]


@dataclass(frozen=True)
class ReliabilityCurve:
    """One curve of a reliability diagram; arrays of shape (n_bins,), NaN in empty bins.

    Parameters
    ----------
    name : str or None
        Name of the model.
    label : object
        The class whose probability is shown; None for the confidence.
    edges : ndarray of shape (n_bins + 1,)
        Edges of the right-closed bins.
    count : ndarray
        Number of samples, or their weight: the mean over the samples that have any is 1.
    mean_proba, frequency : ndarray
        Mean of the predicted probability, and share of the samples for which the prediction is
        true.
    low, high : ndarray
        Lower and upper end of Wilson's interval of the frequency, for Kish's effective number of
        samples if they are weighted.
    histogram : ndarray of shape (n_histogram_bins,)
        Counts in bins of equal width.
    error : float
        The calibration error (l1) of the curve.

    Examples
    --------
    >>> from sk_ils.inspection import ReliabilityDisplay
    >>> y, proba = [0, 1, 1, 1], [0.2, 0.4, 0.7, 0.9]
    >>> display = ReliabilityDisplay.from_predictions(y, proba, kind=1, n_bins=2)
    >>> (curve,) = display.curves
    >>> curve.mean_proba.round(2), curve.frequency
    (array([0.3, 0.8]), array([0.5, 1. ]))
    """

    name: str | None
    label: Any
    edges: NDArray[np.float64]
    count: NDArray[np.float64]
    mean_proba: NDArray[np.float64]
    frequency: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    histogram: NDArray[np.float64]
    error: float


@dataclass(frozen=True)
class CurveMaker:
    """Make curves with the same options."""

    n_bins: int
    strategy: Strategy
    confidence_level: float

    def top_label(self, name: str | None, predictions: Predictions) -> ReliabilityCurve:
        """Return accuracy against confidence."""
        return self._curve(name, None, *top_label(predictions), predictions.weight)

    def of_class(self, name: str | None, predictions: Predictions, label: Any) -> ReliabilityCurve:
        """Return the frequency of one class against its probability."""
        return self._classes(name, predictions, [_position(predictions, label)])[0]

    def grid(
        self, models: Mapping[str | None, Predictions], classes: Sequence[Any] | None, max_classes: int
    ) -> tuple[list[ReliabilityCurve], dict[str | None, float]]:
        """Return the curves class by class, and each model's macro error.

        Classes None shows the `max_classes` worst calibrated classes.
        """
        each = {
            name: bin_error(classwise_sums(model, self.n_bins, self.strategy), "l1")
            for name, model in models.items()
        }
        if classes is None:
            worst = np.argsort(-np.mean(list(each.values()), axis=0), kind="stable")
            positions = worst[:max_classes].tolist()
        else:
            positions = [_position(next(iter(models.values())), label) for label in classes]
            if len(set(positions)) < max(len(positions), 1):
                raise ValueError(
                    f"kind must be a list of one class or more, each of them once; got {list(classes)}."
                )
        by_model = [self._classes(name, model, positions) for name, model in models.items()]
        curves = [curve for of_class in zip(*by_model, strict=True) for curve in of_class]
        return curves, {name: float(errors.mean()) for name, errors in each.items()}

    def _classes(
        self, name: str | None, predictions: Predictions, classes: list[int]
    ) -> list[ReliabilityCurve]:
        labels = predictions.labels.tolist()
        return [
            self._curve(name, labels[k], values, predictions.codes == k, predictions.weight)
            for k, values in predictions.columns(classes)
        ]

    def _curve(
        self,
        name: str | None,
        label: Any,
        values: NDArray[Any],
        hits: NDArray[np.bool_],
        weight: NDArray[np.float64] | None,
    ) -> ReliabilityCurve:
        bins = make_bins(values, weight, self.n_bins, self.strategy)
        sums = curve_sums(values, hits, weight, bins)
        count = np.where(sums.weight > 0, sums.weight, np.nan)
        frequency = sums.hits / count
        low, high = _wilson(
            frequency, np.where(sums.weight > 0, sums.effective_counts(), np.nan), self.confidence_level
        )
        even = make_bins(values, weight, self.n_bins, "uniform")
        return ReliabilityCurve(
            name=name,
            label=label,
            edges=bins.edges,
            count=sums.weight,
            mean_proba=sums.proba / count,
            frequency=frequency,
            low=low,
            high=high,
            histogram=curve_sums(values, hits, weight, even).weight,
            error=float(bin_error(sums, "l1")),
        )


def _position(predictions: Predictions, label: Any) -> int:
    """Return the column of a class."""
    positions = {known: k for k, known in enumerate(predictions.labels.tolist())}
    # True is equal to 1, and yet it is no name of class 1.
    known = isinstance(label, Hashable) and label in positions
    if not known or isinstance(label, bool | np.bool_) != any(isinstance(k, bool) for k in positions):
        raise ValueError(
            f"kind must be 'top-label', 'classwise', one of the classes {list(positions)} or a list of "
            f"them; got {label!r}."
        )
    return positions[label]


def _wilson(
    rate: NDArray[np.float64], n: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Wilson's score interval of a binomial rate."""
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    center = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # Because of round-off, an end could lie on the wrong side of the rate.
    return np.minimum(center - half, rate), np.maximum(center + half, rate)
