"""The scores of all candidates of a search on all splits, as scikit-learn's searches note them."""

import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone
from tqdm.auto import tqdm

from sk_ils._candidates import (
    Fold,
    Group,
    Outcome,
    classifier_metadata,
    classifier_of,
    fit_candidates,
    group_candidates,
    joined,
    prefix_of,
    rows_of,
    with_seed,
)
from sk_ils._validation import check_method_params, score_estimator

Result = dict[str, Any]


@dataclass
class _Part:
    """Rows to score on, with the metadata that the scorers take."""

    X: Any
    y: NDArray[Any]
    params: dict[str, Any]


@dataclass
class Evaluation:
    """How the candidates of one search are fitted and scored.

    Parameters
    ----------
    base : estimator
        What is searched, unfitted and with a seed.
    candidates : list of dict
        Parameters of each candidate.
    seed : int
        For classifiers that a candidate puts in base's place.
    scorers : callable
        As scikit-learn's searches have them.
    metadata, score_params : dict
        What fit and the scorers get besides X and y.
    max_parallel, error_score, return_train_score, verbose
        As of the search.
    """

    base: Any
    candidates: list[dict[str, Any]]
    seed: int
    scorers: Any
    metadata: dict[str, Any]
    score_params: dict[str, Any]
    max_parallel: int | None
    error_score: Any
    return_train_score: bool
    verbose: int
    _warned: bool = field(default=False, init=False)

    def run(self, X: Any, y: NDArray[Any], splits: list[Any]) -> list[Result]:
        """Return a result for each candidate and split, the splits of a candidate together.

        Parameters
        ----------
        X : rows as the user passed them
        y : ndarray of shape (n,)
        splits : list of (train, test) indices

        Returns
        -------
        list of dict
            ``fit_error``, ``fit_time``, ``score_time``, ``n_test_samples``, ``test_scores``, and
            ``train_scores`` if asked for.
        """
        groups = group_candidates(self.candidates, prefix_of(self.base))
        models = [self._model(group) for group in groups]
        epochs = [classifier_of(model).max_epochs for model in models]
        results: list[list[Result]] = [[{}] * len(splits) for _ in self.candidates]
        with _progress_bar(len(splits) * sum(epochs), self.verbose) as bar:
            for number, (train, test) in enumerate(splits):
                bar.set_description(f"fold {number + 1}/{len(splits)}")
                fold = Fold(rows_of(X, train), y[train], check_method_params(X, self.metadata, train))
                parts = [
                    _Part(rows_of(X, rows), y[rows], check_method_params(X, self.score_params, rows))
                    for rows in ((test, train) if self.return_train_score else (test,))
                ]
                for group, model, n_epochs in zip(groups, models, epochs, strict=True):
                    done = _advance(bar, n_epochs)
                    for place, result in self._evaluate(fold, group, model, parts, done):
                        results[place][number] = result
        return [result for of_candidate in results for result in of_candidate]

    def _model(self, group: Group) -> Any:
        return with_seed(clone(self.base).set_params(**clone(group.shared, safe=False)), self.seed)

    def _evaluate(
        self, fold: Fold, group: Group, model: Any, parts: list[_Part], progress: Callable[[float], None]
    ) -> Iterator[tuple[int, Result]]:
        """Fit and score the candidates of a group; yield each one's place and result."""
        clock = _Clock()
        model = clone(model)
        results = {}
        for outcome, estimator in clock.each(self._fit(fold, group, model, progress)):
            results[outcome.position] = self._result(outcome, estimator, parts)
        for position, result in results.items():
            # What the stack took is nobody's alone.
            yield group.numbers[position], {**result, "fit_time": clock.seconds / len(group.numbers)}

    def _fit(
        self, fold: Fold, group: Group, model: Any, progress: Callable[[float], None]
    ) -> Iterator[tuple[Outcome, Any]]:
        """Yield each candidate's outcome with the fitted estimator; what fails all of them, for each."""
        pending = set(range(len(group.numbers)))
        try:
            steps, X = fold.prepare(model, group)
            for outcome in fit_candidates(
                classifier_of(model),
                group.smoothing,
                X,
                fold.y,
                classifier_metadata(model, fold.metadata),
                max_parallel=self.max_parallel,
                progress=progress,
                on_refusal=self._warn_of_refusal,
            ):
                pending.discard(outcome.position)
                yield outcome, None if outcome.net is None else joined(model, steps, outcome.net)
        except Exception as error:
            for position in sorted(pending):
                yield Outcome(position, None, error), None

    def _result(self, outcome: Outcome, estimator: Any, parts: list[_Part]) -> Result:
        if outcome.error is not None:
            if self.error_score == "raise":
                raise outcome.error
            return self._failed(outcome.error, parts)
        start = time.perf_counter()
        scores = [self._score(estimator, part) for part in parts[:1]]
        seconds = time.perf_counter() - start
        scores += [self._score(estimator, part) for part in parts[1:]]
        return _record(None, parts, scores, seconds)

    def _score(self, estimator: Any, part: _Part) -> Any:
        return score_estimator(estimator, part.X, part.y, self.scorers, part.params, self.error_score)

    def _failed(self, error: Exception, parts: list[_Part]) -> Result:
        names = getattr(self.scorers, "_scorers", None)
        score = self.error_score if names is None else dict.fromkeys(names, self.error_score)
        text = "".join(traceback.format_exception(error))
        return _record(text, parts, [score for _ in parts], 0.0)

    def _warn_of_refusal(self, reason: str) -> None:
        if not self._warned:
            warnings.warn(
                f"The candidates are trained one by one, which takes longer: {reason}.", stacklevel=2
            )
        self._warned = True


def _record(fit_error: str | None, parts: list[_Part], scores: list[Any], seconds: float) -> Result:
    names = ("test_scores", "train_scores")
    return {
        "fit_error": fit_error,
        "score_time": seconds,
        "n_test_samples": len(parts[0].y),
        **dict(zip(names, scores, strict=False)),
    }


class _Clock:
    """Counts the seconds that are spent inside, not those between."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *exc: Any) -> None:
        self.seconds += time.perf_counter() - self.start

    def each(self, items: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self:
                item = next(items, None)
            if item is None:
                return
            yield item


def _progress_bar(total: int, verbose: int) -> Any:
    bar_format = "{desc}{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} epochs [{elapsed}<{remaining}]"
    return tqdm(total=total, disable=not verbose, bar_format=bar_format)


def _advance(bar: Any, n_epochs: int) -> Callable[[float], None]:
    return lambda share: bar.update(share * n_epochs)
