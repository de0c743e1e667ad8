"""The cross-fitted networks of each candidate, and which candidates can still win."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sk_ils._labels import positions

# A candidate leaves the race if its mean loss exceeds the best one's by so many standard errors of
# their difference. On 18 tables the winner's test log loss was 13.4 % below that of hard labels at
# 1, and 12.8 at 1.5, 2, 3 and without a race; of the fits .39, .47, .59, .77 and all were left
# (`python -m benchmarks.comparison.race`).
_STANDARD_ERRORS = 1.0
# In nats, that of probability 1e-15, so that one row does not decide the race.
_LARGEST_LOSS = 34.5


class Members:
    """What the splits have come to so far: a fitted estimator of each candidate and split.

    Parameters
    ----------
    n_candidates : int
    n_rows : int
        Of all samples.
    sample_weight : ndarray of shape (n_rows,) or None
        Of the samples in the race.
    racing : bool
        Whether a candidate is dropped once another is better beyond doubt.
    """

    def __init__(
        self, n_candidates: int, n_rows: int, sample_weight: NDArray[np.floating] | None, *, racing: bool
    ) -> None:
        self.estimators: list[list[Any]] = [[] for _ in range(n_candidates)]
        self.n_rows = n_rows
        self.racing = racing
        # How many were dropped because they were behind.
        self.n_dropped = 0
        self.is_running = np.ones(n_candidates, dtype=bool)
        self.weight = np.ones(n_rows) if sample_weight is None else sample_weight
        self.n_held_out = np.zeros(n_rows)
        # In nats, summed over the times that a row was held out.
        self.losses = np.zeros((n_candidates if racing else 0, n_rows))

    def add(
        self, candidate: int, estimator: Any, losses: NDArray[np.float64] | None, test: NDArray[np.intp]
    ) -> None:
        """Keep a candidate's estimator of a split, and in a race its losses of held-out rows."""
        self.estimators[candidate].append(estimator)
        if losses is not None:
            self.losses[candidate, test] += losses

    def drop(self, candidate: int) -> None:
        """Let go of a candidate, which cannot win."""
        self.is_running[candidate] = False
        self.estimators[candidate] = []

    def end_split(self, test: NDArray[np.intp]) -> None:
        """Count the rows of a split; with `racing`, drop the candidates that are behind."""
        self.n_held_out[test] += 1
        if not self.racing:
            return
        running = np.flatnonzero(self.is_running)
        if len(running) < 2:
            return
        seen = np.flatnonzero(self.n_held_out)
        losses = self.losses[np.ix_(running, seen)] / self.n_held_out[seen]
        weight = self.weight[seen] / self.weight[seen].sum()
        best = losses[np.argmin(losses @ weight)]
        for candidate, own in zip(running.tolist(), losses, strict=True):
            difference = own - best
            mean = difference @ weight
            # The variance of a weighted mean of independent rows.
            error = np.sqrt(((difference - mean) ** 2) @ weight**2)
            if mean > _STANDARD_ERRORS * error:
                self.drop(candidate)
                self.n_dropped += 1


def row_losses(estimator: Any, X: Any, y: NDArray[Any]) -> NDArray[np.float64]:
    """Return a fitted classifier's cross-entropy of each row, in nats, at most that of 1e-15."""
    column = positions(y, estimator.classes_, "y")
    log_proba = estimator.predict_log_proba(X)[np.arange(len(y)), column]
    losses: NDArray[np.float64] = np.minimum(-log_proba, _LARGEST_LOSS)
    return losses


def check_partition(splits: list[tuple[Any, Any]], n_rows: int, cv: Any) -> None:
    """Raise ValueError unless the splits hold out every row equally often, from training, too."""
    counts = np.zeros(n_rows, dtype=int)
    for train, test in splits:
        rows = np.arange(n_rows)
        held_out = rows[test]
        if len(np.unique(held_out)) < len(held_out) or np.isin(rows[train], held_out).any():
            raise ValueError(
                f"ensemble=True needs splits whose test rows are no training rows; {cv!r} mixes them."
            )
        counts[held_out] += 1
    if counts.min() != counts.max():
        raise ValueError(
            "ensemble=True needs a cv that holds every row out equally often, such as StratifiedKFold, "
            f"GroupKFold or RepeatedStratifiedKFold; {cv!r} holds rows out {counts.min()} to {counts.max()} "
            "times."
        )
