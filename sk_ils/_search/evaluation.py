"""The scores of all candidates on all splits, as scikit-learn's searches note them."""

import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from tqdm.auto import tqdm

from sk_ils._labels import distinct
from sk_ils._net.fit_data import HeldOut
from sk_ils._search.candidates import Group, fit_candidates, group_candidates
from sk_ils._search.members import Members
from sk_ils._search.pipelines import (
    Fold,
    Parameters,
    assemble,
    classifier_metadata,
    classifier_of,
    pipeline_metadata,
    prefix_of,
    resamples,
    samples_of,
    with_seed,
)
from sk_ils._search.training import Candidate, Progress
from sk_ils._sklearn_compat import check_method_params, score_estimator
from sk_ils.classifiers import InstanceSmoothedClassifier

Result = dict[str, Any]


class Search(Protocol):
    """The parameters of a search that say how it is evaluated."""

    max_parallel: int | None
    error_score: Any
    return_train_score: bool
    verbose: int


@dataclass(frozen=True)
class _ScoredPart:
    """Samples to score on, with the metadata that the scorers take."""

    X: Any
    y: NDArray[Any]
    params: Parameters


def evaluate(
    search: Search,
    base: Any,
    candidates: list[Parameters],
    X: Any,
    y: NDArray[Any],
    splits: list[Any],
    *,
    seed: int,
    scorers: Any,
    metadata: Parameters,
    score_params: Parameters,
    members: Members | None = None,
) -> list[Result]:
    """Fit and score every candidate on every split.

    Parameters
    ----------
    search : SmoothingSearchCV
        Has `max_parallel`, `error_score`, `return_train_score` and `verbose`.
    base : estimator
        What is searched, unfitted and with a seed.
    candidates : list of dict
        Parameters of each candidate.
    X : array-like, DataFrame, Tensor or Dataset
    y : ndarray of shape (n_samples,)
    splits : list of (train, test) indices
    seed : int
        For classifiers that a candidate puts in the base's place.
    scorers : callable
        As scikit-learn's searches have them.
    metadata, score_params : dict
        What fit and the scorers get besides X and y.
    members : Members, default=None
        Of an ensemble: each split's test part is the hold-out of its fits, which are kept here.

    Returns
    -------
    list of dict
        One for each candidate and split, the splits of a candidate together: ``fit_error``,
        ``score_error``, ``fit_time``, ``score_time``, ``n_test_samples``, ``test_scores``, and
        ``train_scores`` if asked for.
    """
    groups = group_candidates(candidates, prefix_of(base))
    models = [_model(base, group, seed) for group in groups]
    epochs = [classifier_of(model).max_epochs for model in models]
    results: list[list[Result]] = [[] for _ in candidates]
    warn = _warner()
    with _progress_bar(len(splits) * sum(epochs), search.verbose) as bar:
        for number, (train, test) in enumerate(splits, start=1):
            bar.set_description(f"fold {number}/{len(splits)}")
            parts = [
                _ScoredPart(samples_of(X, index), y[index], check_method_params(X, score_params, index))
                for index in ((test, train) if search.return_train_score else (test,))
            ]
            held_out = None
            if members is not None:
                own = classifier_metadata(base, check_method_params(X, metadata, test))
                held_out = HeldOut(parts[0].X, parts[0].y, own.get("sample_weight"), distinct(y))
            fold = Fold(samples_of(X, train), y[train], check_method_params(X, metadata, train), held_out)
            judge = _Judge(search, scorers, parts, test, members)
            for group, model, n_epochs in zip(groups, models, epochs, strict=True):
                progress = Progress(_counter(bar), n_epochs)
                for index, result in _evaluate_group(judge, fold, group, model, progress, warn).items():
                    results[index].append(result)
            if members is not None:
                members.end_split(test)
    return [result for of_candidate in results for result in of_candidate]


def _model(base: Any, group: Group, seed: int) -> Any:
    return with_seed(clone(base).set_params(**clone(group.shared, safe=False)), seed)


def _evaluate_group(
    judge: "_Judge",
    fold: Fold,
    group: Group,
    model: Any,
    progress: Progress,
    warn: Callable[[str], None],
) -> dict[int, Result]:
    """Fit and score a group on one fold; return the results by candidate index."""
    results = {index: judge.passed_over() for index in group.smoothing if not judge.wants(index)}
    running = Group(group.shared, {i: params for i, params in group.smoothing.items() if judge.wants(i)})
    start = time.perf_counter()
    scoring_time = 0.0
    fit = _fit_whole if resamples(model) else _fit_shared
    for index, fitted in fit(judge.search, fold, running, clone(model), progress, warn):
        scoring = time.perf_counter()
        if isinstance(fitted, Exception):
            results[index] = judge.failed(index, fitted)
        else:
            results[index] = judge.scored(index, fitted)
        scoring_time += time.perf_counter() - scoring
    progress.advance(1)
    # The stack's time cannot be attributed to one candidate: share it out.
    fit_time = (time.perf_counter() - start - scoring_time) / max(len(running.smoothing), 1)
    return {index: {"fit_time": fit_time, **result} for index, result in results.items()}


def _fit_shared(
    search: Search,
    fold: Fold,
    group: Group,
    model: Any,
    progress: Progress,
    warn: Callable[[str], None],
) -> Iterator[tuple[int, Any]]:
    """Yield each candidate's index and fitted estimator, or its error; what can be is shared."""
    if not group.smoothing:
        return
    try:
        steps, X, held_out = fold.prepare(model, group.shared)
    except Exception as error:
        yield from ((index, error) for index in group.smoothing)
        return
    candidates = fit_candidates(
        classifier_of(model),
        group.smoothing,
        X,
        fold.y,
        classifier_metadata(model, fold.metadata),
        held_out=held_out,
        max_parallel=search.max_parallel,
        progress=progress,
        on_refusal=warn,
    )
    for candidate in candidates:
        yield candidate.index, candidate.error or assemble(model, steps, _net_of(candidate))


def _net_of(candidate: Candidate) -> InstanceSmoothedClassifier:
    assert candidate.net is not None
    return candidate.net


def _fit_whole(
    search: Search,
    fold: Fold,
    group: Group,
    model: Any,
    progress: Progress,
    warn: Callable[[str], None],
) -> Iterator[tuple[int, Any]]:
    """Do what `_fit_shared` does for a Pipeline whose steps change the rows, by its own fit."""
    warn("a step of the Pipeline resamples the rows, so that each candidate fits all steps")
    metadata = pipeline_metadata(model, fold.metadata)
    for index, params in group.smoothing.items():
        try:
            own = {f"{prefix_of(model)}{name}": value for name, value in params.items()}
            whole = clone(model).set_params(**clone(own, safe=False))
            fitted = whole.fit(fold.X, fold.y, **metadata)
        except Exception as error:
            fitted = error
        progress.advance(1 / len(group.smoothing))
        yield index, fitted


class _Judge:
    """Scores what was fitted on one split, and keeps what may become a member of an ensemble."""

    def __init__(
        self,
        search: Search,
        scorers: Any,
        parts: list[_ScoredPart],
        test: NDArray[np.intp],
        members: Members | None,
    ) -> None:
        self.search = search
        self.scorers = scorers
        self.parts = parts
        self.test = test
        self.members = members

    def wants(self, index: int) -> bool:
        """Return whether a candidate can still win."""
        return self.members is None or bool(self.members.is_running[index])

    def passed_over(self) -> Result:
        """Return the result of a candidate that is not fitted any more."""
        return {"fit_time": 0.0, **self._record(self._without_fit(np.nan))}

    def scored(self, index: int, estimator: Any) -> Result:
        """Return the result of a fitted candidate; keep it if it may be a member."""
        errors: list[str] = []

        def score(part: _ScoredPart) -> Any:
            return score_estimator(
                estimator, part.X, part.y, self.scorers, part.params, self.search.error_score, errors.append
            )

        start = time.perf_counter()
        scores = [score(self.parts[0])]
        seconds = time.perf_counter() - start
        scores += [score(part) for part in self.parts[1:]]
        if self.members is not None:
            self.members.add(index, estimator, self.parts[0].X, self.parts[0].y, self.test)
        return self._record(scores, seconds=seconds, score_error=errors[0] if errors else None)

    def failed(self, index: int, error: Exception) -> Result:
        """Return the result of a candidate whose training failed; it is no member."""
        if self.search.error_score == "raise":
            raise error
        if self.members is not None:
            self.members.drop(index)
        text = "".join(traceback.format_exception(error))
        return self._record(self._without_fit(self.search.error_score), fit_error=text)

    def _without_fit(self, score: float) -> list[Any]:
        names = getattr(self.scorers, "_scorers", None)
        return [score if names is None else dict.fromkeys(names, score) for _ in self.parts]

    def _record(
        self,
        scores: list[Any],
        *,
        seconds: float = 0.0,
        fit_error: str | None = None,
        score_error: str | None = None,
    ) -> Result:
        names = ("test_scores", "train_scores")
        return {
            "fit_error": fit_error,
            "score_error": score_error,
            "score_time": seconds,
            "n_test_samples": len(self.parts[0].y),
            **dict(zip(names, scores, strict=False)),
        }


def _warner() -> Callable[[str], None]:
    """Return a function that warns of candidates that cannot be stacked, once."""
    reasons: list[str] = []

    def warn(reason: str) -> None:
        if not reasons:
            warnings.warn(
                f"The candidates are trained one by one, which takes longer: {reason}.", stacklevel=2
            )
        reasons.append(reason)

    return warn


def _progress_bar(total: int, verbose: int) -> Any:
    bar_format = "{desc}{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} epochs [{elapsed}<{remaining}]"
    return tqdm(total=total, disable=not verbose, bar_format=bar_format)


def _counter(bar: Any) -> Callable[[float], object]:
    """Return a bar's update that round-off does not carry beyond its end."""
    return lambda done: bar.update(min(done, bar.total - bar.n))
