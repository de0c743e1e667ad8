"""What an ensemble's race costs and saves, by how many standard errors it drops candidates.

    python -m benchmarks.comparison.race --data-dir DIR

Fits the default grid of an ensemble's search without a race on the tables of the choosing half, one seed;
then replays the race on the losses of the held-out rows. Prints one line for each limit: the winner's
test log loss beside that of the ensemble on hard labels, with Student's t interval over tables, and the
share of the fits that the race leaves. ``results/comparison/race.csv`` keeps what each table came to;
that is not run again.
"""

import argparse
import csv
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.comparison.__main__ import RESULTS
from benchmarks.comparison.methods import encoded, student
from benchmarks.comparison.report import comparison_cells
from benchmarks.comparison.tables import CHOOSING, load_task
from sk_ils import SmoothingSearchCV
from sk_ils.temperature import log_softmax

#: None is no race.
LIMITS = (1.0, 1.5, 2.0, 3.0, None)
COLUMNS = ("table", "limit", "log_loss", "hard_labels", "share_of_fits")


class Recorder:
    """A scorer that notes each fit's losses of held-out rows, and log-probabilities of test rows."""

    def __init__(self, X_test):
        self.X_test = X_test
        self.losses, self.log_proba = [], []

    def __call__(self, estimator, X, y):
        """Return the mean log-probability of the true class."""
        own = estimator.predict_log_proba(X)[np.arange(len(y)), np.searchsorted(estimator.classes_, y)]
        self.losses.append(-own)
        self.log_proba.append(estimator.predict_log_proba(self.X_test))
        return own.mean()


def replayed(losses, limit):
    """Return which candidate wins a race, and the share of the fits that it leaves.

    Parameters
    ----------
    losses : list of ndarray of shape (n_candidates, n_rows)
        Of the rows that each fold holds out, in nats.
    limit : float or None
        Standard errors behind the best one at which a candidate leaves.
    """
    n_candidates = len(losses[0])
    running, n_fits = np.arange(n_candidates), 0
    for number in range(1, len(losses) + 1):
        n_fits += len(running)
        seen = np.concatenate([fold[running] for fold in losses[:number]], axis=1)
        means = seen.mean(axis=1)
        if limit is not None:
            behind = seen - seen[means.argmin()]
            errors = behind.std(axis=1) / np.sqrt(behind.shape[1])
            kept = behind.mean(axis=1) <= limit * errors
            running, means = running[kept], means[kept]
    return running[means.argmin()], n_fits / (n_candidates * len(losses))


def lines_of(name, data_dir):
    """Return a table's lines: the winner of each limit, beside hard labels."""
    task = load_task(name, 0, data_dir)
    X_train, X_test = encoded(task)
    recorder = Recorder(X_test)
    search = SmoothingSearchCV(
        student(0), ensemble=True, racing=False, scoring=recorder, error_score="raise", refit=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X_train, task.y_train)
    candidates = search.cv_results_["params"]
    n, n_folds = len(candidates), search.n_splits_
    losses = [np.array(recorder.losses[fold * n : (fold + 1) * n]) for fold in range(n_folds)]
    log_proba = np.array(recorder.log_proba).reshape(n_folds, n, len(X_test), -1)
    averages = [log_softmax(log_proba[:, candidate].mean(axis=0)) for candidate in range(n)]
    on_test = [-own[np.arange(len(X_test)), task.y_test].mean() for own in averages]
    hard = on_test[[params["smoothing"] for params in candidates].index("none")]
    lines = []
    for limit in LIMITS:
        winner, share = replayed(losses, limit)
        values = (name, limit, on_test[winner], hard, share)
        lines.append(dict(zip(COLUMNS, values, strict=True)))
    return lines


def main(arguments=None):
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison.race",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--tables", nargs="+", choices=CHOOSING, default=CHOOSING, metavar="TABLE")
    parser.add_argument("--results", type=Path, default=RESULTS / "race.csv")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = list(csv.DictReader(options.results.read_text().splitlines())) if options.results.exists() else []
    for name in options.tables:
        if options.data_dir is None or name in {row["table"] for row in rows}:
            continue
        rows += lines_of(name, options.data_dir)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        with options.results.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    print(report(rows))


def report(rows):
    """Return the table of the limits as text."""
    lines = [f"{'standard errors':<18}{'log loss beside hard labels':<40}{'share of the fits':>18}"]
    for limit in LIMITS:
        own = [row for row in rows if row["limit"] in (limit, "" if limit is None else str(limit))]
        ratios = np.log([float(row["log_loss"]) / float(row["hard_labels"]) for row in own])
        change, interval, better = comparison_cells(pd.Series(ratios))
        share = np.exp(np.mean(np.log([float(row["share_of_fits"]) for row in own])))
        text = f"{change} {interval}, better on {better}"
        lines.append(f"{limit or 'no race':<18}{text:<40}{share:>18.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
