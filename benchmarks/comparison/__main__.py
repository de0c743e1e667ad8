"""Fit every method on every table, and keep what it comes to.

    python -m benchmarks.comparison --data-dir DIR --half reporting
    python -m benchmarks.comparison --data-dir DIR --half choosing --methods ours

DIR holds the tables of PMLB (the Penn Machine Learning Benchmarks) as ``<name>.tsv.gz``. A table, a seed and
a method are one row of ``results/comparison/results.csv``; what is there is not run again. At most 2,000
training and 4,000 test rows, stratified; classes with fewer than 10 training rows are left out. Nominal
columns are one-hot for what knows no categories, and categories for the rest. One thread; CPU seconds are
those of fit and prediction together, after a fit on a small table, which loads what is loaded once. Methods
that take about 30 CPU seconds a fit or more have the first seed only, unless ``--seeds`` is given.

The rivals need ``pip install --constraint constraints.txt -e ".[rivals]"``.
"""

import argparse
import csv
import json
import sys
import time
import warnings
from datetime import date
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from benchmarks.comparison.methods import METHODS, OURS, RIVALS
from benchmarks.comparison.tables import HALVES, TABLES, Task, load_task
from benchmarks.real_data.store import read_rows, shortened, versions
from sk_ils.metrics import classwise_calibration_error, expected_calibration_error

RESULTS = Path(__file__).parents[1] / "results" / "comparison"
COLUMNS = (
    "table",
    "seed",
    "method",
    "log_loss",
    "brier",
    "accuracy",
    "classwise_ece",
    "ece",
    "out_of_fold_log_loss",
    "cpu_seconds",
    "date",
)
#: Methods with one seed, since a fit takes about 30 CPU seconds or more.
SLOW = {
    "one network, any rule tuned +T",
    "RealMLP-TD, as it comes +T",
    "RealMLP-TD, LS, by cross-entropy, five folds +T",
    "TabM-D, by cross-entropy +T",
    "CatBoost",
}
GROUPS = {"ours": tuple(OURS), "rivals": tuple(RIVALS), "all": tuple(METHODS)}


def row_of(name, seed, method, task):
    """Return one method's row of the results."""
    warm_up(method)
    return {"table": name, "seed": seed, "method": method, **measured(method, task, seed)}


def measured(method, task, seed):
    """Return what a method comes to on test rows, and what it costs."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prediction = METHODS[method](task, seed)
    seconds = time.process_time() - start
    # Rivals give float32 rows, which sum to 1 up to its round-off.
    proba = np.asarray(prediction.proba, dtype=np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    y, labels = task.y_test, np.arange(proba.shape[1])
    held_out = prediction.out_of_fold
    return {
        "log_loss": log_loss(y, proba, labels=labels),
        "brier": brier_score_loss(y, proba, labels=labels, scale_by_half=False),
        "accuracy": accuracy_score(y, proba.argmax(axis=1)),
        "classwise_ece": classwise_calibration_error(y, proba),
        "ece": expected_calibration_error(y, proba),
        "out_of_fold_log_loss": "" if held_out is None else log_loss(task.y_train, held_out, labels=labels),
        "cpu_seconds": seconds,
        "date": date.today().isoformat(),
    }


@cache
def warm_up(method):
    """Load what a method loads once, by a fit on a small table of its own."""
    X, y = make_classification(n_samples=200, n_features=5, random_state=0)
    frame = pd.DataFrame(X.astype(np.float32)).add_prefix("x").assign(c=pd.Categorical(y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        METHODS[method](Task(frame, y, frame, y), 0)


def append(file, row):
    """Add a row to a CSV of results."""
    is_new = not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(shortened(row))


def note_run(file, command):
    """Note beside a CSV of results by which command, when and with what its rows came."""
    header = file.with_suffix(".json")
    runs = json.loads(header.read_text()) if header.exists() else []
    run = {"command": command, "date": date.today().isoformat(), "versions": versions() | rival_versions()}
    if run not in runs:
        file.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(json.dumps([*runs, run], indent=1) + "\n")


def rival_versions():
    """Return the versions of the rivals that are installed."""
    return {name: version(name) for name in ("catboost", "lightgbm", "pytabkit") if find_spec(name)}


def parse_arguments(arguments=None):
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--half", choices=HALVES, default="both")
    parser.add_argument("--tables", nargs="+", choices=TABLES, metavar="TABLE")
    parser.add_argument("--methods", default="all", help="ours, rivals, all, or a part of a method's name")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--results", type=Path, default=RESULTS / "results.csv")
    return parser.parse_args(arguments)


def run(options):
    """Run what is not in the results yet; seeds are the outermost loop, so that an early stop is balanced."""
    torch.set_num_threads(1)
    known = GROUPS.get(options.methods, [name for name in METHODS if options.methods in name])
    if not known:
        raise ValueError(f"No method's name has {options.methods!r} in it; there are {', '.join(METHODS)}.")
    rows = read_rows(options.results) if options.results.exists() else []
    done = {(row["table"], int(row["seed"]), row["method"]) for row in rows}
    for seed in options.seeds or (0, 1, 2):
        for name in options.tables or HALVES[options.half]:
            task = load_task(name, seed, options.data_dir)
            for method in known:
                is_wanted = options.seeds or seed == 0 or method not in SLOW
                if is_wanted and (name, seed, method) not in done:
                    row = row_of(name, seed, method, task)
                    append(options.results, row)
                    print(
                        f"{name:<24}{seed:>2}  {method:<50}{row['log_loss']:8.4f}{row['cpu_seconds']:8.1f} s",
                        flush=True,
                    )


if __name__ == "__main__":
    parsed = parse_arguments()
    # Where the data lie is nobody's business.
    words = [word for word in sys.argv[1:] if word not in ("--data-dir", str(parsed.data_dir))]
    note_run(parsed.results, " ".join(["python -m benchmarks.comparison --data-dir DIR", *words]))
    run(parsed)
