"""The scores of all candidates on all splits, as scikit-learn's searches note them.

A task is one split with the candidates that share its preprocessing; joblib may run it elsewhere.
"""

import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from sk_ils._labels import distinct
from sk_ils._net.fit_data import HeldOut
from sk_ils._search.candidates import Group, fit_candidates, group_candidates
from sk_ils._search.members import Members, row_losses
from sk_ils._search.pipelines import (
    Fold,
    Parameters,
    assemble,
    classifier_metadata,
    classifier_of,
    pipeline_metadata,
    prefix_of,
    preprocessing_key,
    samples_of,
    why_fitted_whole,
    with_seed,
)
from sk_ils._search.training import Candidate, Progress
from sk_ils._sklearn_compat import NO_TASK, FitTask, check_method_params, score_estimator
from sk_ils.classifiers import InstanceSmoothedClassifier

Result = dict[str, Any]


class Search(Protocol):
    """The parameters of a search that say how it is evaluated."""

    max_parallel: int | None
    error_score: Any
    return_train_score: bool
    n_jobs: int | None
    verbose: int


@dataclass(frozen=True)
class _Job:
    """What is the same for all tasks of a search."""

    base: Any
    seed: int
    scorers: Any
    metadata: Parameters
    score_params: Parameters
    classes: NDArray[Any]
    for_ensemble: bool
    racing: bool
    max_parallel: int | None
    error_score: Any
    return_train_score: bool
    n_workers: int


@dataclass(frozen=True)
class _Split:
    """The rows of a split."""

    number: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


@dataclass(frozen=True)
class _Task:
    """One split with groups of candidates that share its preprocessing."""

    split: _Split
    groups: list[Group]


@dataclass
class _Outcome:
    """What a task came to, by candidate index."""

    results: dict[int, Result] = field(default_factory=dict)
    # Of an ensemble: the fitted estimators, and with a race their losses of the rows held out.
    members: dict[int, tuple[Any, NDArray[np.float64] | None]] = field(default_factory=dict)
    # Why candidates were trained one by one.
    refusals: list[str] = field(default_factory=list)


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
    task: FitTask = NO_TASK,
) -> list[Result]:
    """Fit and score every candidate on every split.

    Parameters
    ----------
    search : SmoothingSearchCV
        Has `max_parallel`, `error_score`, `return_train_score`, `n_jobs` and `verbose`.
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
    task : FitTask, default=NO_TASK
        Has the fits of all candidates on all splits as its parts, of which it is told when the
        candidates that are trained together are finished.

    Returns
    -------
    list of dict
        One for each candidate and split, the splits of a candidate together: ``fit_error``,
        ``score_error``, ``fit_time``, ``score_time``, ``n_test_samples``, ``test_scores``, and
        ``train_scores`` if asked for.
    """
    job = _Job(
        base=base,
        seed=seed,
        scorers=scorers,
        metadata=metadata,
        score_params=score_params,
        classes=distinct(y),
        for_ensemble=members is not None,
        racing=members is not None and members.racing,
        max_parallel=search.max_parallel,
        error_score=search.error_score,
        return_train_score=search.return_train_score,
        n_workers=effective_n_jobs(search.n_jobs),
    )
    groups = group_candidates(candidates, prefix_of(base))
    models = [_model(job, group) for group in groups]
    numbered = [_Split(number, *split) for number, split in enumerate(splits, start=1)]
    results: list[list[Result]] = [[] for _ in candidates]
    warn = _warner()
    # After each split candidates may be dropped, so no more are begun than there are workers.
    size = len(splits) if members is None else job.n_workers
    waves = [numbered[start : start + size] for start in range(0, len(splits), size)]
    progress = _Bar(models, len(splits), len(candidates), search.verbose)
    with progress as bar, _workers(job, search.n_jobs, bar) as run:
        for wave in waves:
            bundles = _bundles(_running(groups, members), base)
            outcomes = run([_Task(split, bundle) for split in wave for bundle in bundles], X, y)
            for split in wave:
                for outcome in islice(outcomes, len(bundles)):
                    _note(outcome, split, results, members)
                    _tell(task.with_data(_Rows(X, y, metadata, split.train)), outcome, split, len(splits))
                    for reason in outcome.refusals:
                        warn(reason)
                _pass_over_missing(results, job, split)
                if members is not None:
                    members.end_split(split.test)
                bar.end_split(split, len(candidates) if members is None else int(members.is_running.sum()))
            # joblib's workers are free again once the end was asked for.
            assert next(outcomes, None) is None
    return [result for of_candidate in results for result in of_candidate]


def _running(groups: list[Group], members: Members | None) -> list[Group]:
    """Return the groups without the candidates that cannot win any more."""
    if members is None:
        return groups
    kept = [
        Group(group.shared, {i: params for i, params in group.smoothing.items() if members.is_running[i]})
        for group in groups
    ]
    return [group for group in kept if group.smoothing]


def _bundles(groups: list[Group], base: Any) -> list[list[Group]]:
    """Return the groups by what they share before the classifier, which is fitted once for them."""
    if not isinstance(base, Pipeline):
        return [[group] for group in groups]
    bundles: dict[Any, list[Group]] = {}
    for group in groups:
        bundles.setdefault(preprocessing_key(base, group.shared), []).append(group)
    return list(bundles.values())


def _note(outcome: _Outcome, split: _Split, results: list[list[Result]], members: Members | None) -> None:
    """Add what a task came to, but for candidates that an earlier split of its wave has dropped."""
    for index, result in outcome.results.items():
        if members is not None and not members.is_running[index]:
            continue
        results[index].append(result)
        if members is None:
            continue
        if index in outcome.members:
            members.add(index, *outcome.members[index], split.test)
        else:
            members.drop(index)


@dataclass(frozen=True)
class _Rows:
    """What callbacks are given, if they ask for it: the training part of a split."""

    X: Any
    y: NDArray[Any]
    metadata: Parameters
    index: NDArray[np.intp]

    def __call__(self) -> tuple[Any, NDArray[Any], Any]:
        weight = self.metadata.get("sample_weight")
        weight = None if weight is None else np.asarray(weight)[self.index]
        return samples_of(self.X, self.index), self.y[self.index], weight


def _tell(task: FitTask, outcome: _Outcome, split: _Split, n_splits: int) -> None:
    """Tell callbacks which fits are done, under the numbers that GridSearchCV gives them."""
    for index in outcome.results:
        number = index * n_splits + split.number - 1
        task.subtask("candidate-split-evaluation", number=number).end()


def _pass_over_missing(results: list[list[Result]], job: _Job, split: _Split) -> None:
    """Give candidates that were not fitted on a split, because they cannot win, scores of nan."""
    for of_candidate in results:
        if len(of_candidate) < split.number:
            of_candidate.append({"fit_time": 0.0, **_without_fit(job, len(split.test), np.nan)})


@contextmanager
def _workers(job: _Job, n_jobs: int | None, bar: "_Bar") -> Iterator[Callable[..., Iterator[_Outcome]]]:
    """Yield what runs tasks, one after the other or by joblib's backend, and keeps their order."""
    if job.n_workers == 1:
        yield lambda tasks, X, y: (evaluate_task(job, X, y, task, bar.update) for task in tasks)
        return
    # X and y are arguments of their own: so joblib maps them into memory, or scatters them, once.
    with _parallel(n_jobs) as parallel:
        yield lambda tasks, X, y: iter(parallel(delayed(evaluate_task)(job, X, y, task) for task in tasks))


def _parallel(n_jobs: int | None) -> Any:
    try:
        return Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # Ray's backend has lists only
        return Parallel(n_jobs=n_jobs)


def evaluate_task(
    job: _Job, X: Any, y: NDArray[Any], task: _Task, count: Callable[[float], object] | None = None
) -> _Outcome:
    """Fit and score the candidates of one task.

    Parameters
    ----------
    job : _Job
    X : array-like, DataFrame, Tensor or Dataset
    y : ndarray of shape (n_samples,)
    task : _Task
    count : callable, default=None
        Told of epochs as they are done.

    Returns
    -------
    _Outcome
    """
    train, test = task.split.train, task.split.test
    parts = [
        _ScoredPart(samples_of(X, index), y[index], check_method_params(X, job.score_params, index))
        for index in ((test, train) if job.return_train_score else (test,))
    ]
    held_out = None
    if job.for_ensemble:
        own = classifier_metadata(job.base, check_method_params(X, job.metadata, test))
        held_out = HeldOut(parts[0].X, parts[0].y, own.get("sample_weight"), job.classes)
    fold = Fold(samples_of(X, train), y[train], check_method_params(X, job.metadata, train), held_out)
    outcome = _Outcome()
    judge = _Judge(job, parts, outcome)
    for group in task.groups:
        model = _model(job, group)
        progress = Progress(count or _ignore, classifier_of(model).max_epochs)
        _evaluate_group(judge, fold, group, model, progress)
    return outcome


def _ignore(done: float) -> None:
    """Count nothing: the process that shows a bar is another one."""


def _model(job: _Job, group: Group) -> Any:
    return with_seed(clone(job.base).set_params(**clone(group.shared, safe=False)), job.seed)


def _evaluate_group(judge: "_Judge", fold: Fold, group: Group, model: Any, progress: Progress) -> None:
    """Fit and score a group on one fold."""
    job, outcome = judge.job, judge.outcome
    start = time.perf_counter()
    scoring_time = 0.0
    fit = _fit_whole if why_fitted_whole(model) else _fit_shared
    for index, fitted in fit(job, fold, group, clone(model), progress, outcome.refusals.append):
        scoring = time.perf_counter()
        if isinstance(fitted, Exception):
            outcome.results[index] = judge.failed(fitted)
        else:
            outcome.results[index] = judge.scored(index, fitted)
        scoring_time += time.perf_counter() - scoring
    progress.advance(1)
    # The stack's time cannot be attributed to one candidate: share it out.
    fit_time = (time.perf_counter() - start - scoring_time) / len(group.smoothing)
    for index in group.smoothing:
        outcome.results[index] = {"fit_time": fit_time, **outcome.results[index]}


def _fit_shared(
    job: _Job,
    fold: Fold,
    group: Group,
    model: Any,
    progress: Progress,
    warn: Callable[[str], None],
) -> Iterator[tuple[int, Any]]:
    """Yield each candidate's index and fitted estimator, or its error; what can be is shared."""
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
        max_parallel=job.max_parallel,
        n_workers=job.n_workers,
        progress=progress,
        on_refusal=warn,
    )
    for candidate in candidates:
        yield candidate.index, candidate.error or assemble(model, steps, _net_of(candidate))


def _net_of(candidate: Candidate) -> InstanceSmoothedClassifier:
    assert candidate.net is not None
    return candidate.net


def _fit_whole(
    job: _Job,
    fold: Fold,
    group: Group,
    model: Any,
    progress: Progress,
    warn: Callable[[str], None],
) -> Iterator[tuple[int, Any]]:
    """Do what `_fit_shared` does by the estimator's own fit, where nothing can be shared."""
    warn(why_fitted_whole(model) or "")
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
    """Scores what was fitted in one task, and keeps what may become a member of an ensemble."""

    def __init__(self, job: _Job, parts: list[_ScoredPart], outcome: _Outcome) -> None:
        self.job = job
        self.parts = parts
        self.outcome = outcome

    def scored(self, index: int, estimator: Any) -> Result:
        """Return the result of a fitted candidate; keep it if it may be a member."""
        errors: list[str] = []
        job, own = self.job, self.parts[0]

        def score(part: _ScoredPart) -> Any:
            return score_estimator(
                estimator, part.X, part.y, job.scorers, part.params, job.error_score, errors.append
            )

        start = time.perf_counter()
        scores = [score(own)]
        seconds = time.perf_counter() - start
        scores += [score(part) for part in self.parts[1:]]
        if job.for_ensemble:
            losses = row_losses(estimator, own.X, own.y) if job.racing else None
            self.outcome.members[index] = estimator, losses
        return _record(len(own.y), scores, seconds=seconds, score_error=errors[0] if errors else None)

    def failed(self, error: Exception) -> Result:
        """Return the result of a candidate whose training failed."""
        if self.job.error_score == "raise":
            raise error
        text = "".join(traceback.format_exception(error))
        return _without_fit(self.job, len(self.parts[0].y), self.job.error_score, fit_error=text)


def _without_fit(job: _Job, n_test: int, score: float, fit_error: str | None = None) -> Result:
    """Return the result of a candidate that was not fitted."""
    names = getattr(job.scorers, "_scorers", None)
    n_parts = 2 if job.return_train_score else 1
    scores = [score if names is None else dict.fromkeys(names, score) for _ in range(n_parts)]
    return _record(n_test, scores, fit_error=fit_error)


def _record(
    n_test: int,
    scores: list[Any],
    *,
    seconds: float = 0.0,
    fit_error: str | None = None,
    score_error: str | None = None,
) -> Result:
    return {
        "fit_error": fit_error,
        "score_error": score_error,
        "score_time": seconds,
        "n_test_samples": n_test,
        **dict(zip(("test_scores", "train_scores"), scores, strict=False)),
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


class _Bar:
    """The bar of a search: the epochs of all groups and splits, the fold, the candidates left."""

    def __init__(self, models: list[Any], n_splits: int, n_candidates: int, verbose: int) -> None:
        self.n_splits = n_splits
        self.n_candidates = n_candidates
        self.epochs_of_split = sum(classifier_of(model).max_epochs for model in models)
        self.bar = tqdm(
            total=n_splits * self.epochs_of_split,
            disable=not verbose,
            bar_format="{desc}{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} epochs [{elapsed}<{remaining}]",
        )

    def __enter__(self) -> Self:
        self._name(1, self.n_candidates)
        return self

    def __exit__(self, *args: object) -> None:
        self.bar.close()

    def update(self, done: float) -> None:
        """Count epochs; round-off does not carry the bar beyond its end."""
        self.bar.update(min(done, self.bar.total - self.bar.n))

    def _name(self, number: int, n_candidates: int) -> None:
        number = min(number, self.n_splits)
        self.bar.set_description(f"fold {number}/{self.n_splits}, candidates {n_candidates}")

    def end_split(self, split: _Split, n_left: int) -> None:
        """Count what is left of a split: what cannot win, or was fitted by other processes."""
        self.update(max(0.0, split.number * self.epochs_of_split - self.bar.n))
        self._name(split.number + 1, n_left)
