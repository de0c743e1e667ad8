"""The search for a smoothing rule, all candidates of a fold trained as one network.

And the ensemble of networks that such a search can end with.
"""

from __future__ import annotations  # help() shows types by their names

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.utils import indexable
from sklearn.utils.validation import check_is_fitted

from sk_ils._labels import distinct
from sk_ils._net.advice import each_once
from sk_ils._net.checkpoint import check_checkpoint
from sk_ils._net.export import MeanProbabilityModule
from sk_ils._net.inputs import check_labels, is_dataset, labels_of
from sk_ils._probabilities import as_numpy
from sk_ils._search.ensemble_file import load_ensemble, members_of, save_ensemble
from sk_ils._search.evaluation import evaluate
from sk_ils._search.members import Members, check_partition
from sk_ils._search.pipelines import (
    check_holds_out,
    check_metadata_names,
    classifier_of,
    pipeline_metadata,
    prefix_of,
    samples_of,
    with_seed,
)
from sk_ils._search.scoring import ABSENT_PROBA, NegCrossEntropyScorer, check_are_scorers
from sk_ils._sklearn_compat import (
    CALLBACK_LEVELS,
    BaseSearchCV,
    CallbackSupportMixin,
    DocLinkMixin,
    FitTask,
    Interval,
    StrOptions,
    check_method_params,
    check_sample_weight,
    insert_error_scores,
    last_words,
    parameter_table,
    routing_enabled,
    validate_parameter_constraints,
    warn_or_raise_about_fit_failures,
    with_callbacks,
)
from sk_ils.inspection._search_cells import SearchResults
from sk_ils.inspection._search_edges import edge_warning, grid_edges
from sk_ils.temperature import log_softmax, softmax

__all__ = ["CrossFittedClassifier", "SmoothingSearchCV", "default_param_grid"]

_DEFAULT_GRID: list[dict[str, list[Any]]] = [
    {"smoothing": ["none"]},
    {"smoothing": ["uniform"], "smoothing__epsilon": [0.01, 0.05, 0.1, 0.2, 0.3]},
    {
        "smoothing": ["ils1"],
        "smoothing__shift": [0.7, 0.85, 1.0],
        "smoothing__curvature": [0.5, 1.0, 2.0],
    },
    {
        "smoothing": ["ils2"],
        "smoothing__epsilon": [0.01, 0.05, 0.1, 0.2, 0.3],
        "smoothing__temperature": [1.0, 3.0, 9.0],
    },
    {
        "smoothing": ["ils"],
        "smoothing__shift": [0.7, 0.85, 1.0],
        "smoothing__curvature": [0.5, 1.0, 2.0],
        "smoothing__temperature": [1.0, 4.0],
    },
    {
        "smoothing": ["distillation"],
        "smoothing__weight": [0.3, 0.6, 0.9],
        "smoothing__temperature": [1.0, 2.0, 4.0],
    },
]


# Every split of an ensemble trains them all: thinned from 15 candidates by a trial on 13 tables of
# the choosing half of benchmarks/comparison, where the 12 were as good as all of them.
_ENSEMBLE_GRID: list[dict[str, list[Any]]] = [
    {"smoothing": ["none"]},
    {"smoothing": ["uniform"], "smoothing__epsilon": [0.02, 0.05, 0.1, 0.2, 0.3]},
    {
        "smoothing": ["ils2"],
        "smoothing__epsilon": [0.05, 0.1, 0.2],
        "smoothing__temperature": [3.0],
    },
    {
        "smoothing": ["ils"],
        "smoothing__shift": [0.7, 0.85],
        "smoothing__curvature": [1.0],
        "smoothing__temperature": [4.0],
    },
    {"smoothing": ["distillation"], "smoothing__weight": [0.6], "smoothing__temperature": [4.0]},
]


def default_param_grid(prefix: str = "", *, ensemble: bool = False) -> list[dict[str, list[Any]]]:
    """Return the grid that `SmoothingSearchCV` searches if it is given none.

    No LS, LS, ILS1, ILS2 and ILS, on the paper's grids thinned and widened, and self-distillation,
    as real tables suggest (``docs/results/index.md``).

    Parameters
    ----------
    prefix : str, default=""
        Goes before every name: the classifier's step in a Pipeline and "__".
    ensemble : bool, default=False
        Whether it is for ``ensemble=True``: a smaller grid, because each split trains every
        candidate with nearly all rows.

    Returns
    -------
    list of dict
        For ``param_grid=``, of any search.

    Examples
    --------
    >>> from sklearn.model_selection import ParameterGrid
    >>> from sk_ils.model_selection import default_param_grid
    >>> len(ParameterGrid(default_param_grid()))
    57
    >>> len(ParameterGrid(default_param_grid(ensemble=True)))
    12
    >>> default_param_grid("clf__")[0]
    {'clf__smoothing': ['none']}
    """
    grids = _ENSEMBLE_GRID if ensemble else _DEFAULT_GRID
    return [{prefix + name: list(values) for name, values in grid.items()} for grid in grids]


class SmoothingSearchCV(DocLinkMixin, BaseSearchCV):
    """Search over smoothing rules and their parameters at about the cost of a few fits.

    A GridSearchCV for :class:`sk_ils.InstanceSmoothedClassifier`. All candidates of a fold share
    the data, the teacher, the hold-out, the initial weights and the order of rows, and differ only
    in their targets: so they are trained as one network with a candidate axis. Each keeps its own
    best epoch, early stopping and temperature, and its scores are those of GridSearchCV on the same
    estimator with an integer `random_state`, up to round-off.

    Parameters
    ----------
    estimator : InstanceSmoothedClassifier, or Pipeline that ends with one
        The steps of a Pipeline before the classifier are fitted once a fold.
    param_grid : dict, list of dict or None, default=None
        Lists of values by parameter name, as in GridSearchCV. Candidates that differ in anything
        besides ``smoothing`` and ``smoothing__...`` form stacks of their own, so any parameter may
        be searched. None is :func:`default_param_grid`, which asks "which rule, how much". ``{}``
        is the estimator as it is.
    cv : int, splitter or iterable, default=5
        As in GridSearchCV.
    scoring : None, str, callable, list or dict, default=None
        As in GridSearchCV. None is the negative cross-entropy in nats with the estimator's classes:
        a class that a fold's training part lacks is scored with the probability 1e-7, with one
        warning. Candidates are scored after their own temperature scaling, if the estimator scales.
    refit : bool, str or callable, default=True
        As in GridSearchCV. With ``ensemble=True`` nothing is fitted again, and False only leaves
        the ensemble out.
    ensemble : bool, default=False
        Whether the best candidate becomes a :class:`CrossFittedClassifier`, the average of its
        networks of all splits. Then each split's test part is the hold-out of its fits, for best
        epoch, early stopping, `temperature_` and the teacher's temperature, in the place of
        `train_split`. So every row is held out once, and the scores rest on all rows; they are a
        little too good for single networks, since the same rows chose epoch and temperature, and
        too bad for their average (``docs/guide/search.md`` has figures). `cv` must hold every row
        out equally often.
    racing : bool, default=True
        Whether an ensemble's search drops candidates that cannot win: after each split those whose
        mean loss on the rows held out so far exceeds the best one's by a standard error of their
        difference over the rows. Their later scores are nan. Only with ``ensemble=True`` and
        the cross-entropy as score, ``scoring=None`` or ``"neg_log_loss"``.
    max_parallel : int or None, default=None
        Largest number of candidates that are trained as one stack. None takes as many as half of
        the available memory holds, the device's and the main one. A stack that does not fit is
        halved. Without dropout the number does not change the results, but for round-off.
    n_jobs : int or None, default=None
        Processes, threads or other workers of joblib's backend that fit splits at the same time; a
        split with the candidates that share its preprocessing is one task. None is 1, but inside of
        a ``joblib.parallel_config`` what that says; -1 is all processors. The numbers are those of
        ``n_jobs=1`` (``docs/guide/clusters.md``).
    verbose : int, default=0
        1 shows a progress bar: the fold, how many candidates can still win, the epochs of all
        folds.
    error_score : "raise" or float, default=nan
        The score of a candidate whose training fails.
    return_train_score : bool, default=False
        Whether to score the training rows too.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As of GridSearchCV. The fit time is the fold's, with its teacher, over the number of
        candidates that share the stack.
    best_params_ : dict
        Parameters of the best candidate.
    best_score_ : float
        Its mean score over the folds.
    best_index_ : int
        Its place in `cv_results_`.
    best_estimator_ : estimator
        Of `estimator`'s type, fitted on all rows with `best_params_`, if `refit`; with
        ``ensemble=True`` a :class:`CrossFittedClassifier`.
    out_of_fold_proba_ : ndarray of shape (n_samples, n_classes)
        With ``ensemble=True`` and `refit`: each row's probabilities by the networks, one for each
        repetition of `cv`, that were not trained on it, averaged as by CrossFittedClassifier.
    scorer_ : callable or dict
        The scorer or scorers.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds of the last fit, if `refit` and not `ensemble`.
    multimetric_ : bool
        Whether there are several scores.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels, if `refit`.
    n_features_in_ : int
        Number of features, if `refit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if `refit` and X had string ones.

    See Also
    --------
    sk_ils.inspection.SearchDisplay : Draws the scores over one or two parameters.

    Notes
    -----
    A stack is possible if ``torch.func.vmap`` takes the module, the optimizer treats each weight by
    itself (all of torch.optim but LBFGS, Adafactor and the like), no callbacks are set,
    ``compile=False``, ``mixed_precision=None``, and no training method is overridden. If not, the
    candidates are trained one by one, with one warning that says why; they still share the teacher,
    unless a step of a Pipeline has ``fit_resample``: then each candidate fits the whole Pipeline.
    Dropout is drawn anew for each candidate.

    A stack of C candidates takes about ``C (6 W + 3 O + 2 n K b) + 2 n K b`` bytes beside the
    data: n training rows of a fold, K classes, b = 4 bytes (8 in float64), W bytes of
    weights, O bytes of the layers' outputs for one batch (``docs/guide/speed.md``).

    With ``random_state=None``, or a RandomState instance, one seed is drawn for the whole search.

    A UserWarning names each parameter of `param_grid` with at least three numbers of which the best
    is the smallest or largest, if it is better than the next one by more than the standard error of
    their difference over the folds. Zero as the smallest, and the end of the range that the
    estimator allows, are no edges. :func:`default_param_grid` is wide enough to need no warning;
    the display marks its edges.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = InstanceSmoothedClassifier(max_epochs=20, random_state=0)
    >>> model = make_pipeline(StandardScaler(), clf)
    >>> search = SmoothingSearchCV(model, cv=3).fit(X, y)
    >>> len(search.cv_results_["params"])
    57
    >>> search.predict_proba(X).shape
    (150, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{name: BaseSearchCV._parameter_constraints[name] for name in ("scoring", "refit", "cv")},
        "param_grid": [dict, list, None],
        "ensemble": ["boolean"],
        "racing": ["boolean"],
        "max_parallel": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
        "error_score": [StrOptions({"raise"}), Real],
        "return_train_score": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: Any = None,
        *,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        ensemble: bool = False,
        racing: bool = True,
        max_parallel: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.ensemble = ensemble
        self.racing = racing
        self.max_parallel = max_parallel
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.error_score = error_score
        self.return_train_score = return_train_score

    @with_callbacks
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Score every candidate on every split, and fit the best one on all rows.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As the estimator's fit takes it.
        y : array-like of shape (n_samples,), default=None
            Labels of any kind; None for a Dataset that has them.
        **params : dict
            Metadata with one value a row: `sample_weight`, `groups` and `teacher_proba` go to the
            classifier, split with the rows (`groups` for its hold-out), `groups` to the splitter,
            too, and `sample_weight` to the scorers that take it. Parameters of other steps of a
            Pipeline are named ``step__parameter``. With metadata routing enabled, what was
            requested goes where it was.

        Returns
        -------
        self
            The search.

        Raises
        ------
        ValueError
            If every fit fails, or every score is nan. With ``ensemble=True``, if `cv` does not hold
            every row out equally often.
        KeyboardInterrupt
            At Ctrl-C: the search ends, and is not fitted.

        An error in the arguments, which is found before the first candidate is fitted, leaves an
        older fit as it was; any other error leaves the search unfitted.
        """
        self._check_parameters()
        check_checkpoint(classifier_of(self.estimator))
        seed = classifier_of(self.estimator).draw_seed()
        base = with_seed(clone(self.estimator), seed)
        scorers, refit_metric = self._get_scorers()
        X, y = _with_labels(X, y)
        if self.scoring is None:
            scorers = NegCrossEntropyScorer(distinct(y))
        params = check_method_params(X, params)
        routed = self._get_routed_params_for_fit(params)
        metadata = dict(routed.estimator.fit)
        check_metadata_names(base, metadata)
        if not routing_enabled() and params.get("groups") is not None:
            metadata["groups"] = params["groups"]
        candidates = self._candidates(base)
        splits = self._splits(X, y, routed.splitter.split)
        members = None
        if self.ensemble:
            check_partition(splits, len(y), self.cv)
            check_holds_out(base)
            members = self._members(len(candidates), y, routed.scorer.score)
        self._warn_of_absent_classes(y, splits)
        self._warn_of_cut_groups(params.get("groups"), len(y), splits)
        weight = params.get("sample_weight")
        refits = bool(self.refit) and members is None
        task = FitTask.root(self, 1 + refits, lambda: (X, y, weight))
        with each_once(), self._unfitted_on_error():
            searching = task.subtask("search", len(candidates) * len(splits), in_order=False)
            out = evaluate(
                self,
                base,
                candidates,
                X,
                y,
                splits,
                seed=seed,
                scorers=scorers,
                metadata=metadata,
                score_params=dict(routed.scorer.score),
                members=members,
                task=searching,
            )
            searching.end()
            with _silent_of_dropped(members):
                results = self._results(out, candidates, len(splits))
            self._choose(results, refit_metric, out[0]["test_scores"])
            if self.refit:
                best = with_seed(clone(base).set_params(**clone(self.best_params_, safe=False)), seed)
                if members is None:
                    self._refit(best, X, y, metadata, task.subtask("refit-with-best-params"))
                else:
                    self._average(best, members, X, splits)
            self.scorer_ = getattr(scorers, "_scorers", scorers)
            self.n_splits_ = len(splits)
            self.cv_results_ = results
            task.end()
        self._warn_of_edges()
        return self

    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """Return the score of the best estimator on other rows.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As the estimator's predict_proba takes it.
        y : array-like of shape (n_samples,), default=None
            True labels, all of them known to the estimator; None for a Dataset that has them.
        **params : dict
            Metadata for the scorer, with metadata routing enabled.

        Returns
        -------
        float
            By `scoring`, or by `refit` if there are several scores. Greater is better.

        Raises
        ------
        ValueError
            If a label is none of the estimator's classes (``scoring=None``).
        """
        return float(super().score(X, labels_of(X, y), **params))

    def _get_params_html(self, deep: bool = True, doc_link: str = "") -> Any:
        return parameter_table(super()._get_params_html, type(self), doc_link)

    @contextmanager
    def _unfitted_on_error(self) -> Iterator[None]:
        """Forget an older fit; leave nothing of this one unless it comes to its end."""
        self._reset()
        try:
            yield
        except BaseException:
            self._reset()
            raise

    def _reset(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)

    def _check_parameters(self) -> None:
        names = self._parameter_constraints
        validate_parameter_constraints(
            names, {name: getattr(self, name) for name in names}, type(self).__name__
        )

    def _candidates(self, base: Any) -> list[dict[str, Any]]:
        grid = self.param_grid
        if grid is None:
            grid = default_param_grid(prefix_of(base), ensemble=self.ensemble)
        candidates = list(ParameterGrid(grid))
        if not candidates:
            raise ValueError("param_grid holds no candidate: pass names with lists of values, or None.")
        odd = [name for params in candidates for name in params if not isinstance(name, str)]
        if odd:
            raise TypeError(f"param_grid must name parameters by strings, got {odd[0]!r}.")
        return candidates

    def _splits(self, X: Any, y: NDArray[Any], params: dict[str, Any]) -> list[Any]:
        """Return the (train, test) indices of the splits after checking that they are such."""
        expected = f"cv must give pairs (train, test) of indices of the {len(y)} rows"
        try:
            given = list(check_cv(self.cv, y, classifier=True).split(X, y, **params))
            rows = np.arange(len(y))
            splits = [(rows[train], rows[test]) for train, test in given]  # masks become indices
            sizes = [(len(train), len(test)) for train, test in splits]
        except (TypeError, IndexError, ValueError) as error:
            if isinstance(error, ValueError) and "to unpack" not in str(error):
                raise  # the splitter's own
            raise ValueError(f"{expected}; got {self.cv!r}: {error}.") from error
        if not splits or not np.all(sizes):
            raise ValueError(
                f"{expected}, at least one, with rows in both; it gives (train, test) of {sizes} rows."
            )
        return splits

    def _get_scorers(self) -> tuple[Any, Any]:
        if self.scoring is None:
            return NegCrossEntropyScorer(), "score"
        check_are_scorers(self.scoring)
        scorers, refit_metric = super()._get_scorers()
        return scorers, refit_metric

    def _warn_of_absent_classes(self, y: NDArray[Any], splits: list[Any]) -> None:
        """Say once that the default score meets classes that a training part lacks."""
        if self.scoring is not None or self.ensemble:
            return
        absent = set()
        for train, test in splits:
            absent |= set(np.setdiff1d(y[test], y[train]).tolist())
        if absent:
            warnings.warn(
                f"The training part of a split has no row of class {sorted(absent)[:5]}: there its rows are "
                f"scored with the probability {ABSENT_PROBA:g}. Pass a stratified cv, or fewer folds.",
                stacklevel=3 + CALLBACK_LEVELS,
            )

    def _warn_of_cut_groups(self, groups: Any, n_rows: int, splits: list[Any]) -> None:
        """Say once that rows which belong together are trained on and held out at the same time."""
        if groups is None or np.shape(as_numpy(groups)) != (n_rows,):
            return  # the classifier says what is wrong with their number
        try:
            names, codes = np.unique(np.asarray(as_numpy(groups)), return_inverse=True)
        except TypeError:
            return  # and with groups that have no order
        for train, test in splits:
            trains = np.bincount(codes[train], minlength=len(names)) > 0
            if trains[codes[test]].any():
                warnings.warn(
                    f"Rows of one group are on both sides of a split, since cv={self.cv!r} does not keep "
                    "groups together: what is held out looks easier than new groups are. Pass "
                    f"cv=StratifiedGroupKFold({len(splits)}).",
                    stacklevel=3 + CALLBACK_LEVELS,
                )
                return

    def _warn_of_edges(self) -> None:
        """Say if the best candidate, chosen by its score, lies at the edge of the user's grid."""
        if self.param_grid is None or callable(self.refit) or not hasattr(self, "best_index_"):
            return
        edges = grid_edges(SearchResults.of(self, None), self.best_index_, estimator=self.estimator)
        edges = [edge for edge in edges if edge.beyond_noise]
        if edges:
            warnings.warn(edge_warning(edges), stacklevel=3 + CALLBACK_LEVELS)

    def _results(self, out: list[dict[str, Any]], candidates: list[Any], n_splits: int) -> dict[str, Any]:
        """Return cv_results_, or raise if there is nothing to choose from."""
        warn_or_raise_about_fit_failures(out, self.error_score)
        if callable(self.scoring):
            insert_error_scores(out, self.error_score)
            _name_missing_scores(out)
        results: dict[str, Any] = self._format_results(candidates, n_splits, out)
        for name, means in results.items():
            if name.startswith("mean_test_") and np.isnan(means).all():
                raise ValueError(
                    f"All {name.removeprefix('mean_test_')} values are nan: no candidate is better than "
                    f"another. {_first_error(out)}"
                )
        return results

    def _choose(self, results: dict[str, Any], refit_metric: Any, first_scores: Any) -> None:
        """Note the best candidate, as far as `refit` says which one that is."""
        self.multimetric_ = isinstance(first_scores, dict)
        if callable(self.scoring) and self.multimetric_:
            # Only now is known which scores the callable gives.
            self._check_refit_for_multimetric(first_scores)
            refit_metric = self.refit
        if self.multimetric_ and not self.refit:
            return
        self.best_index_ = self._best_index(refit_metric, results)
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _best_index(self, refit_metric: Any, results: dict[str, Any]) -> int:
        if not callable(self.refit):
            return int(self._select_best_index(self.refit, refit_metric, results))
        chosen, n = self.refit(results), len(results["params"])
        if not (isinstance(chosen, Integral) and 0 <= int(chosen) < n):
            raise ValueError(
                f"A callable refit must return the index of a candidate, an int from 0 to {n - 1}; "
                f"got {chosen!r}."
            )
        return int(chosen)

    def _members(self, n_candidates: int, y: NDArray[Any], score_params: dict[str, Any]) -> Members:
        weight = score_params.get("sample_weight")
        return Members(
            n_candidates,
            len(y),
            None if weight is None else check_sample_weight(weight, len(y)),
            racing=self.racing and self.scoring in (None, "neg_log_loss"),
        )

    def _average(self, best: Any, members: Members, X: Any, splits: list[Any]) -> None:
        """Average the best candidate's networks, and note what they say of the rows held out."""
        estimators = members.estimators[self.best_index_]
        if len(estimators) < len(splits):
            raise ValueError(
                f"refit chose candidate {self.best_index_}, which was not fitted on every split: return the "
                "index of a candidate whose scores are finite, or pass racing=False."
            )
        self.best_estimator_ = CrossFittedClassifier(best, cv=self.cv, n_jobs=self.n_jobs)
        _set_members(self.best_estimator_, estimators)
        log_proba = np.zeros((members.n_rows, len(self.best_estimator_.classes_)))
        for estimator, (_, test) in zip(estimators, splits, strict=True):
            log_proba[test] += estimator.predict_log_proba(samples_of(X, test))
        self.out_of_fold_proba_ = softmax(log_proba / members.n_held_out[:, None])
        self._note_feature_names()

    def _refit(self, best: Any, X: Any, y: NDArray[Any], metadata: dict[str, Any], task: FitTask) -> None:
        start = time.perf_counter()
        with task.handed_on_to(best):
            self.best_estimator_ = best.fit(X, y, **pipeline_metadata(best, metadata))
        self.refit_time_ = time.perf_counter() - start
        task.end()
        self._note_feature_names()

    def _note_feature_names(self) -> None:
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


class CrossFittedClassifier(DocLinkMixin, CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    r"""Average of networks, each of which holds another part of the rows out of its training.

    .. math:: p(x) \propto \exp \frac{1}{M} \sum_{m=1}^{M} \ln p_m(x)

    with the calibrated probabilities :math:`p_m` of network m. For each split of `cv` the estimator
    is fitted on the training part, with the test part as its hold-out: for the best epoch, for
    early stopping, and for the temperature, that of the teacher, too; `train_split` is not asked.
    So every row trains networks, and every row is held out.

    The mean of logarithms is a little sharper than the mean of probabilities, which is
    under-confident where the networks differ (``docs/guide/search.md``).

    ``SmoothingSearchCV(ensemble=True)`` ends with one as `best_estimator_`, without fitting it
    again.

    Parameters
    ----------
    estimator : InstanceSmoothedClassifier, or Pipeline that ends with one
        Fitted once for each split.
    cv : int, splitter or iterable, default=5
        Must hold every row out equally often.
    n_jobs : int or None, default=None
        Workers of joblib's backend that fit splits at the same time, as of SmoothingSearchCV.

    Attributes
    ----------
    estimators_ : list of estimators
        The members, of `estimator`'s type, in the order of the splits.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had string ones.

    See Also
    --------
    SmoothingSearchCV : Chooses the smoothing as well.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ils import InstanceSmoothedClassifier
    >>> from sk_ils.model_selection import CrossFittedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> member = InstanceSmoothedClassifier(max_epochs=20, random_state=0)
    >>> model = CrossFittedClassifier(member, cv=3).fit(X, y)
    >>> len(model.estimators_), model.predict_proba(X).shape
    (3, (150, 3))
    """

    def __init__(self, estimator: Any, *, cv: Any = 5, n_jobs: int | None = None) -> None:
        self.estimator = estimator
        self.cv = cv
        self.n_jobs = n_jobs

    @with_callbacks
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit a network for each split.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As the estimator's fit takes it.
        y : array-like of shape (n_samples,), default=None
            Labels of any kind; None for a Dataset that has them.
        **params : dict
            Metadata with one value a row, as :meth:`SmoothingSearchCV.fit` takes it.

        Returns
        -------
        self
            The fitted ensemble.
        """
        task = FitTask.root(self, 1, lambda: (X, y, params.get("sample_weight")))
        search, members = self._search(), task.subtask("fit-members")
        with members.handed_on_to(search):
            search.fit(X, y, **params)
        members.end()
        _set_members(self, search.best_estimator_.estimators_)
        task.end(dict)
        return self

    def _search(self) -> SmoothingSearchCV:
        return SmoothingSearchCV(
            self.estimator, {}, cv=self.cv, ensemble=True, error_score="raise", n_jobs=self.n_jobs
        )

    def get_metadata_routing(self) -> Any:
        """Return what fit passes on, as SmoothingSearchCV does."""
        return self._search().get_metadata_routing()

    def __sklearn_tags__(self) -> Any:
        return self._search().__sklearn_tags__()

    def _mean_log_proba(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        total: NDArray[np.float64] = sum(member.predict_log_proba(X) for member in self.estimators_)
        return total / len(self.estimators_)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of the average.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1.
        """
        return softmax(self._mean_log_proba(X))

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return logarithms of the probabilities, also where those underflow.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In nats, at most 0; columns in the order of `classes_`.
        """
        return log_softmax(self._mean_log_proba(X))

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return log-probabilities in nats, or log-odds of the second class if there are two.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Columns in the order of `classes_`.
        """
        log_proba = self._mean_log_proba(X)
        if len(self.classes_) == 2:
            return log_proba[:, 1] - log_proba[:, 0]
        return log_softmax(log_proba)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        winners = self._mean_log_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[winners]
        return labels

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, the share of samples whose most probable class is the true one.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.
        y : array-like of shape (n_samples,), default=None
            True labels; None for a Dataset that has them.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        float
            Between 0 and 1 (best).
        """
        return float(super().score(X, labels_of(X, y), sample_weight=sample_weight))

    def to_torch(self) -> torch.nn.Module:
        """Return a torch module that gives the probabilities: the members' and their average.

        For use without this package, by ``torch.export`` or ``torch.onnx.export``.

        Returns
        -------
        torch module
            As of :meth:`sk_ils.InstanceSmoothedClassifier.to_torch`.

        Raises
        ------
        TypeError
            If the members are Pipelines, whose other steps are no torch modules.
        """
        check_is_fitted(self)
        return MeanProbabilityModule([member.to_torch() for member in members_of(self, "to_torch")])

    def save(self, path: Any) -> None:
        """Save the fitted ensemble to a file without code: safetensors with JSON.

        As :meth:`sk_ils.InstanceSmoothedClassifier.save`, with all members in one file.

        Parameters
        ----------
        path : str or path
            A file there is replaced as a whole, or not at all.

        Raises
        ------
        OSError
            If the path cannot be written.
        TypeError
            If the members are Pipelines or of a subclass, and for labels that are no strings,
            numbers or booleans.
        """
        check_is_fitted(self)
        save_ensemble(self, path)

    @classmethod
    def load(cls, path: Any, **params: Any) -> Self:
        """Return the fitted ensemble of a file of `save`, without running what is in the file.

        Parameters
        ----------
        path : str or path
            Of the file.
        **params : dict
            Parameters in the place of those of the file: `cv` and `n_jobs`, and those of the
            members, such as ``module=MyNet``; see :meth:`sk_ils.InstanceSmoothedClassifier.load`.

        Returns
        -------
        self
            A new ensemble. With a warning, what `save` left out and you do not pass, such as a
            splitter as `cv`, has its default.

        Raises
        ------
        ValueError
            If the file is damaged, or no file of an ensemble, or if the networks are not those of
            `module`.
        OSError
            If there is no file that can be read.
        """
        own, estimator, members = load_ensemble(cls, path, params)
        ensemble = cls(estimator, **own)
        _set_members(ensemble, members)
        return ensemble


def _set_members(ensemble: CrossFittedClassifier, estimators: list[Any]) -> None:
    ensemble.estimators_ = estimators
    ensemble.classes_ = estimators[0].classes_
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(estimators[0], name):
            setattr(ensemble, name, getattr(estimators[0], name))


@contextmanager
def _silent_of_dropped(members: Members | None) -> Iterator[None]:
    """Let scikit-learn not warn of scores that a race left out."""
    with warnings.catch_warnings():
        if members is not None and members.n_dropped:
            warnings.filterwarnings("ignore", message="One or more of the (test|train) scores are non-finite")
        yield


def _name_missing_scores(out: list[dict[str, Any]]) -> None:
    """Give fits that were left out nan by the names of a callable's scores, if they have names."""
    for kind in ("test_scores", "train_scores"):
        named = [result[kind] for result in out if isinstance(result.get(kind), dict)]
        for result in out:
            if named and kind in result and not isinstance(result[kind], dict):
                result[kind] = dict.fromkeys(named[0], np.nan)


def _first_error(out: list[dict[str, Any]]) -> str:
    """Return a sentence about the first fit or score that failed."""
    texts = [text for result in out for text in (result["fit_error"], result["score_error"]) if text]
    if not texts:
        return "No fit failed: `scoring` itself gave nan."
    return f"The first error, whose traceback error_score='raise' shows, was {last_words(texts[0])}"


def _with_labels(X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
    if is_dataset(X):
        return X, check_labels(labels_of(X, y), len(X))
    if X is None:
        raise ValueError("SmoothingSearchCV requires X, an array-like, a DataFrame, a Tensor or a Dataset.")
    if isinstance(X, torch.Tensor) and (X.is_nested or X.layout != torch.strided):
        X = as_numpy(X)  # such tensors have no rows to index
    X, y = indexable(X, y)
    return X, check_labels(y, X.shape[0] if hasattr(X, "shape") else len(X))
