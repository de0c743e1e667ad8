"""How time and memory of a classifier grow with rows, classes and columns.

Run ``python -m benchmarks.speed.scale``; Linux only, a CPU, one thread. Prints one table, in a few minutes.
Each line is a process of its own: CPU seconds of ``fit`` (one epoch of teacher and student) and of
``predict_proba`` of the same rows, the peak of the anonymous memory (RssAnon, sampled every 20 ms) of each,
less what there was before with the data made and a small fit done, and beside it the formula of
docs/guide/speed.md. Below each series stand the growth exponents, slopes of log against log: over all of
it, and between its last two lines.
"""

import argparse
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import sklearn
import torch

from benchmarks.speed.large import HIDDEN, HOLD_OUT, new_classifier
from benchmarks.speed.peaks import anonymous_bytes, in_new_process, sampled_peak

BATCH_SIZE = 256
# Class index, row numbers of the split, order of an epoch.
BYTES_A_ROW = 24
# Of the rows' inputs and of the arrays that a rule makes, so much at most is there at a time.
AT_A_TIME = 2**24


@dataclass(frozen=True)
class Case:
    """The size of a problem."""

    rows: int
    classes: int
    columns: int


SERIES = {
    "rows": [Case(n, 3, 20) for n in (1_000, 10_000, 100_000, 1_000_000)],
    "classes": [Case(20_000, k, 20) for k in (2, 10, 100, 1_000)],
    "columns": [Case(5_000, 3, d) for d in (10, 100, 1_000, 10_000)],
}


@dataclass(frozen=True)
class Measured:
    """CPU seconds and bytes of a fit and of a prediction."""

    fit_seconds: float
    predict_seconds: float
    fit_bytes: int
    predict_bytes: int


def fit_formula(case):
    """Return the bytes of a fit beside the data, as docs/guide/speed.md has them."""
    n_train = case.rows - round(HOLD_OUT * case.rows)
    weights = 4 * ((case.columns + 1) * HIDDEN + (HIDDEN + 1) * case.classes)
    outputs = 4 * BATCH_SIZE * (2 * HIDDEN + case.classes)
    parts = 4 * case.rows * case.columns  # training part and hold-out are copies
    targets = 4 * n_train * case.classes
    at_a_time = min(AT_A_TIME, parts + targets) + min(AT_A_TIME, 8 * targets)
    return 2 * 6 * weights + 3 * outputs + parts + targets + BYTES_A_ROW * case.rows + at_a_time


def predict_formula(case):
    """Return the bytes of a prediction: what it returns."""
    return 8 * case.rows * case.classes


def exponent(sizes, values):
    """Return the slope of the least-squares line of log(value) over log(size)."""
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(slope)


def make_data(case):
    """Return noise whose classes lie a little apart, every class equally often."""
    rng = np.random.default_rng(0)
    y = np.arange(case.rows) % case.classes
    X = rng.standard_normal((case.rows, case.columns), dtype=np.float32)
    X[:, 0] += y / case.classes
    return X, y


def run(case, repetitions=1):
    """Measure a case in this process, after a small fit that loads what is loaded late.

    Memory is that of the first repetition, a time the least of all.
    """
    torch.set_num_threads(1)
    new_classifier(BATCH_SIZE).fit(*make_data(Case(200, 2, 5))).predict_proba(np.zeros((10, 5), np.float32))
    X, y = make_data(case)
    fit_seconds, fit_bytes, net = _measured(lambda: new_classifier(BATCH_SIZE).fit(X, y))
    predict_seconds, predict_bytes, _ = _measured(lambda: net.predict_proba(X))
    for _ in range(repetitions - 1):
        fit_seconds = min(fit_seconds, _measured(lambda: new_classifier(BATCH_SIZE).fit(X, y))[0])
        predict_seconds = min(predict_seconds, _measured(lambda: net.predict_proba(X))[0])
    return Measured(fit_seconds, predict_seconds, fit_bytes, predict_bytes)


def _measured(work):
    before, start = anonymous_bytes(), time.process_time()
    with sampled_peak() as peak:
        result = work()
        seconds = time.process_time() - start
    return seconds, peak.bytes - before, result


def size_of(case, name):
    """Return the number that a series varies."""
    return getattr(case, name)


def growth(cases, name, values):
    """Return the exponents over all cases and between the last two, as text."""
    sizes = [size_of(case, name) for case in cases]
    return f"{exponent(sizes, values):.2f} {exponent(sizes[-2:], values[-2:]):.2f}"


def print_series(name, cases, repetitions):
    """Print the lines of a series, and its exponents."""
    found = []
    for case in cases:
        found.append(in_new_process(run, case, repetitions))
        last = found[-1]
        print(
            f"{case.rows:9}{case.classes:8}{case.columns:8}"
            f"{last.fit_seconds:9.2f} s{last.predict_seconds:8.3f} s"
            f"{last.fit_bytes / 1e6:9.0f} MB{fit_formula(case) / 1e6:8.0f} MB"
            f"{last.predict_bytes / 1e6:9.0f} MB{predict_formula(case) / 1e6:8.0f} MB",
            flush=True,
        )
    fit = growth(cases, name, [one.fit_seconds for one in found])
    predict = growth(cases, name, [one.predict_seconds for one in found])
    print(f"  growth in {name}, all and last two: fit {fit}, predict {predict}")


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repetitions", type=int, default=3, help="the least time counts")
    arguments = parser.parse_args()
    print(f"# python -m benchmarks.speed.scale --repetitions {arguments.repetitions}")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    versions += f", scikit-learn {sklearn.__version__}"
    print(f"# {datetime.now(tz=UTC):%Y-%m-%d}, {os.cpu_count()} cores, {versions}")
    print(f"MLP {HIDDEN}, batch {BATCH_SIZE}, float32, one epoch of teacher and student")
    print(f"{'rows':>9}{'classes':>8}{'columns':>8}{'fit':>11}{'predict':>10}", end="")
    print(f"{'fit':>12}{'formula':>11}{'predict':>12}{'formula':>11}")
    for name, cases in SERIES.items():
        print_series(name, cases, arguments.repetitions)


if __name__ == "__main__":
    main()
