"""Temperature scaling of any classifier, in the manner of CalibratedClassifierCV."""

from __future__ import annotations  # help() shows types by their names

import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, column_or_1d, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sk_ils._labels import check_label_type, check_not_missing, distinct, positions, shown
from sk_ils._probabilities import as_numbers, as_numpy
from sk_ils._sklearn_compat import (
    DocLinkMixin,
    InvalidParameterError,
    StrOptions,
    check_method_params,
    check_sample_weight,
    routing_enabled,
    safe_indexing,
    validate_parameter_constraints,
)
from sk_ils.temperature._scaling import fit_temperature, log_softmax, softmax

__all__ = ["TemperatureScaledClassifier"]

# In place of a probability of 0, as for teachers; a lower one costs k nearest neighbours much.
_LOG_ZERO = np.log(1e-7)
# Of any other one. A higher bound costs naive Bayes and logistic regression, whose certain rows it
# makes alike; without one the outliers of naive Bayes decide what the temperature is.
_LOG_LOWEST = np.log(1e-30)


class TemperatureScaledClassifier(DocLinkMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    r"""Any classifier, with its probabilities scaled by one temperature for all classes.

    .. math:: p_k \propto q_k^{1 / T}

    with the classifier's probabilities q and the temperature T of :func:`fit_temperature`, from
    rows that the classifier was not fitted on. The order of a classifier's probabilities stays, and
    so do its predictions; only how sure it is changes. Use it in the place of
    :class:`~sklearn.calibration.CalibratedClassifierCV` with ``method="temperature"``, which
    scikit-learn 1.9.1 gets wrong for integer labels other than 0 to K - 1, and which has no prior.

    Parameters
    ----------
    estimator : classifier
        With `predict_proba`. A fitted one in :class:`~sklearn.frozen.FrozenEstimator` is not fitted
        again: then the rows of `fit` must be others than it was fitted on.
    cv : int, cross-validation generator or iterable, default=5
        Which rows are held out. An int is the number of stratified folds. A frozen classifier needs
        none, unless ``ensemble=True``.
    ensemble : bool or "auto", default="auto"
        True: in each split a copy of the classifier is fitted on the training part and scaled on
        the test part, and the copies are averaged. False: the out-of-fold predictions of all splits
        tell one temperature, and the classifier is fitted once more, on all rows. "auto" is False
        for a FrozenEstimator, else True.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels; those of a frozen classifier.
    n_features_in_ : int
        Second dimension of X, if the classifier tells it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if the classifier tells them.
    estimators_ : list of classifiers
        The fitted ones, one for each split if they are averaged, else one.
    temperatures_ : ndarray of shape (n_estimators,)
        The temperature of each of them.

    See Also
    --------
    fit_temperature : The temperature of logits.

    Notes
    -----
    The average is that of the scaled log-probabilities, normalised, not of the probabilities:
    calibrated probabilities whose mean is taken are under-confident, since classifiers that differ
    flatten it, and the normalised mean of logarithms is not.

    Logarithms are taken from `predict_log_proba`, where a classifier has it, because it may be more
    exact than `predict_proba`. A probability counts as 1e-30 at least. One of 0, as votes give,
    counts as 1e-7, or as the smallest other one of its row if that is less, and so does a class
    that is absent from a training part. `decision_function` is not read: it holds log-odds or
    logits for some classifiers, margins or votes for others.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sk_ils.temperature import TemperatureScaledClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = TemperatureScaledClassifier(GaussianNB()).fit(X, y + 1)
    >>> clf.predict(X[:1]), clf.temperatures_.shape
    (array([1]), (5,))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "cv": ["cv_object"],
        "ensemble": ["boolean", StrOptions({"auto"})],
    }

    def __init__(self, estimator: Any, *, cv: Any = 5, ensemble: bool | str = "auto") -> None:
        self.estimator = estimator
        self.cv = cv
        self.ensemble = ensemble

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, **fit_params: Any) -> Self:
        """Fit the classifier and its temperature.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            As the classifier takes it.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, for the temperature, and for the classifier if its `fit` takes
            them (with metadata routing: if it asks for them).
        **fit_params : dict
            Passed to the classifier's `fit`; with metadata routing to the splitter, too.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            If the classifier has no probabilities, a parameter is outside its range, labels are
            missing, or a frozen classifier does not know them.
        """
        self._check_parameters()
        X, y = indexable(X, y)
        labels = column_or_1d(as_numpy(y), warn=True)
        check_not_missing(labels, "y")
        check_label_type(labels, "y")
        classes = self.estimator.classes_ if self._is_frozen() else distinct(labels)
        codes = positions(labels, classes, "y")
        weight = None if sample_weight is None else check_sample_weight(sample_weight, len(labels))
        params = self._routed(sample_weight, fit_params)
        parts = list(self._held_out(X, labels, classes, params))
        _warn_of_absent_classes([estimator for estimator, _, _ in parts], classes)
        if not self._averages():
            _, logits, rows = zip(*parts, strict=True)
            whole = self._fitted(X, labels, np.arange(len(labels)), params)
            parts = [(whole, np.concatenate(logits), np.concatenate(rows))]
        temperatures = [
            fit_temperature(logits, codes[rows], None if weight is None else weight[rows])
            for _, logits, rows in parts
        ]
        self.classes_, self.temperatures_ = classes, np.array(temperatures)
        self.estimators_ = [estimator for estimator, _, _ in parts]
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimators_[0], name):
                setattr(self, name, getattr(self.estimators_[0], name))
        return self

    def _check_parameters(self) -> None:
        parameters = {"cv": self.cv, "ensemble": self.ensemble}
        validate_parameter_constraints(self._parameter_constraints, parameters, type(self).__name__)
        if isinstance(self.estimator, type) or not hasattr(self.estimator, "predict_proba"):
            raise InvalidParameterError(
                f"estimator must be a classifier with predict_proba, got {self.estimator!r}. A classifier "
                "with decision_function alone gets probabilities by CalibratedClassifierCV(method='sigmoid')."
            )
        if self._is_frozen():
            check_is_fitted(self.estimator)

    def _is_frozen(self) -> bool:
        return isinstance(self.estimator, FrozenEstimator)

    def _averages(self) -> bool:
        return not self._is_frozen() if self.ensemble == "auto" else bool(self.ensemble)

    def _routed(self, sample_weight: ArrayLike | None, fit_params: dict[str, Any]) -> Bunch:
        """Return the parameters of the classifier's fit and of the splitter's split."""
        if routing_enabled():
            return process_routing(self, "fit", sample_weight=sample_weight, **fit_params)
        if sample_weight is not None and has_fit_parameter(self.estimator, "sample_weight"):
            fit_params = {**fit_params, "sample_weight": sample_weight}
        elif sample_weight is not None and not self._is_frozen():
            warnings.warn(
                f"{type(self.estimator).__name__}.fit takes no sample_weight: the weights count in the "
                "temperature only.",
                stacklevel=3,
            )
        return Bunch(estimator=Bunch(fit=fit_params), splitter=Bunch(split={}))

    def _held_out(
        self, X: Any, labels: NDArray[Any], classes: NDArray[Any], params: Bunch
    ) -> Iterator[tuple[Any, NDArray[np.float64], NDArray[np.intp]]]:
        """Yield fitted classifiers, each with the logits of rows that it was not fitted on."""
        if self._is_frozen() and not self._averages():
            splits: Any = [(np.arange(len(labels)),) * 2]
        else:
            splits = check_cv(self.cv, labels, classifier=True).split(X, labels, **params.splitter.split)
        for train, test in splits:
            estimator = self._fitted(X, labels, train, params)
            yield estimator, _logits(estimator, safe_indexing(X, test), classes), test

    def _fitted(self, X: Any, labels: NDArray[Any], rows: NDArray[np.intp], params: Bunch) -> Any:
        own = check_method_params(X, params.estimator.fit, indices=rows)
        return clone(self.estimator).fit(safe_indexing(X, rows), labels[rows], **own)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the scaled log-probabilities, averaged and normalised.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In nats; columns in the order of `classes_`.
        """
        check_is_fitted(self)
        scaled = [
            log_softmax(_logits(estimator, X, self.classes_), temperature)
            for estimator, temperature in zip(self.estimators_, self.temperatures_, strict=True)
        ]
        return log_softmax(np.mean(scaled, axis=0))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the scaled probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1.
        """
        return softmax(self.predict_log_proba(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class with the highest probability.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        best = self.predict_log_proba(X).argmax(axis=1)
        predicted: NDArray[Any] = self.classes_[best]
        return predicted

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the metadata that the classifier's fit and the splitter ask for.

        Returns
        -------
        MetadataRouter
            See scikit-learn's guide to metadata routing.
        """
        fit_to = {callee: MethodMapping().add(caller="fit", callee=callee) for callee in ("fit", "split")}
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self.estimator, method_mapping=fit_to["fit"])
            .add(splitter=self.cv, method_mapping=fit_to["split"])
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = get_tags(self.estimator).input_tags.sparse
        return tags


def _logits(estimator: Any, X: Any, classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return a fitted classifier's log-probabilities of some classes; NaN stays, -inf does not."""
    with np.errstate(divide="ignore"):
        if hasattr(estimator, "predict_log_proba"):
            known = as_numbers(estimator.predict_log_proba(X), "predict_log_proba's result", np.float64)
        else:
            known = np.log(as_numbers(estimator.predict_proba(X), "predict_proba's result", np.float64))
    logits = np.full((len(known), len(classes)), -np.inf)
    logits[:, positions(estimator.classes_, classes, "classes_")] = known
    impossible = logits == -np.inf
    np.maximum(logits, _LOG_LOWEST, out=logits)
    lowest = np.where(impossible, 0, logits).min(axis=1, keepdims=True)
    np.copyto(logits, np.minimum(lowest, _LOG_ZERO), where=impossible)
    return logits


def _warn_of_absent_classes(estimators: list[Any], classes: NDArray[Any]) -> None:
    absent = [label for label in classes.tolist() if any(label not in e.classes_ for e in estimators)]
    if absent:
        warnings.warn(
            f"The training part of a split has no row of class {shown(absent)}: there it has the probability "
            "1e-7. Pass more rows of it, or fewer folds.",
            stacklevel=3,
        )
