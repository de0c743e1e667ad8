"""The score that a search takes if it is given none."""

import inspect
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.metadata_routing import MetadataRequest

from sk_ils._labels import positions
from sk_ils._net.inputs import check_probabilities
from sk_ils._probabilities import as_labels, as_numpy
from sk_ils._sklearn_compat import check_sample_weight

# What a class that the training part lacks is scored with.
ABSENT_PROBA = 1e-7


def check_are_scorers(scoring: Any) -> None:
    """Raise if a callable in `scoring`, such as a metric, cannot be called as a scorer is.

    Parameters
    ----------
    scoring : str, callable, list or dict
        As of `SmoothingSearchCV`.

    Raises
    ------
    TypeError
        If that is so.
    """
    for scorer in scoring.values() if isinstance(scoring, dict) else [scoring]:
        if not callable(scorer):
            continue
        try:
            inspect.signature(scorer).bind("estimator", "X", "y")
        except ValueError:  # of a function without a signature, from an extension module
            continue
        except TypeError as error:
            name = getattr(scorer, "__name__", repr(scorer))
            raise TypeError(
                f"scoring must be called as scorer(estimator, X, y); {name} cannot be: {error}. A metric "
                f"becomes a scorer by sklearn.metrics.make_scorer({name}, greater_is_better=False, "
                "response_method='predict_proba'); calibration_scoring() has those of this package."
            ) from error


class NegCrossEntropyScorer:
    """The negative cross-entropy in nats, for any labels; what ``scoring=None`` stands for."""

    # By which displays know what the score is.
    score_name: ClassVar[str] = "neg_log_loss"

    def __init__(self, labels: NDArray[Any] | None = None) -> None:
        # All labels of a search: those that an estimator never saw get a small probability.
        self.labels = labels

    def __call__(self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log-probability of the true class; greater is better, 0 at most."""
        classes = as_labels(estimator.classes_, "classes_")
        absent = np.array([], dtype=int) if self.labels is None else np.setdiff1d(self.labels, classes)
        y_true = as_labels(y, "y")
        proba = check_probabilities(estimator.predict_proba(X), len(y_true), classes, owner="predict_proba")
        column = positions(y_true, np.concatenate((classes, absent)) if len(absent) else classes, "y")
        known = column < len(classes)
        true = np.full(len(y_true), ABSENT_PROBA)
        true[known] = proba[known, column[known]]
        # Saturated probabilities as in log_loss.
        log_proba = np.log(np.maximum(true, np.finfo(proba.dtype).eps))
        weights = None
        if sample_weight is not None:
            weights = check_sample_weight(as_numpy(sample_weight), len(y_true))
        return float(np.average(log_proba, weights=weights))

    def __repr__(self) -> str:
        return "NegCrossEntropyScorer()"

    def get_metadata_routing(self) -> MetadataRequest:
        """Return that weights of fit weigh the score, too."""
        request = MetadataRequest(owner=self)
        request.score.add_request(param="sample_weight", alias=True)
        return request
