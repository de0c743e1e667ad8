"""
Smoothing rules on the digits data
==================================

The main job on real data: the same network and seeds with every smoothing rule, with and without temperature
scaling; and the one call that chooses among them and averages the networks of five folds. Prints one table
(test data, mean and standard error over seeds) and writes one picture.

Run ``make demo``, or ``python examples/demo_digits.py [--seeds N] [--picture FILE]``.
"""

import argparse
from tempfile import TemporaryDirectory
from time import perf_counter

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV
from sk_ils.metrics import classwise_calibration_error, expected_calibration_error

RULES = {"No LS": "none", "LS": "uniform", "ILS1": "ils1", "ILS2": "ils2", "ILS": "ils"}
ENSEMBLE = "ensemble"
SCORES = {
    "accuracy": accuracy_score,
    "cross-entropy": log_loss,
    "ECE": expected_calibration_error,
    "class-wise ECE": classwise_calibration_error,
}


def scores_of(clf, X, y):
    """Return accuracy, cross-entropy in nats, 15-bin ECE and class-wise ECE."""
    proba = clf.predict_proba(X)
    predicted = clf.classes_[proba.argmax(axis=1)]
    return [score(y, predicted if name == "accuracy" else proba) for name, score in SCORES.items()]


def run(seed, memory):
    """Return {method: scores} for one split of the data and one seed of the networks."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=seed)
    results = {}
    for name, rule in RULES.items():
        # With memory= the three rules that ask a teacher share one.
        clf = InstanceSmoothedClassifier(smoothing=rule, random_state=seed, memory=memory)
        results[f"{name} +T"] = scores_of(clf.fit(X_train, y_train), X_test, y_test)
        clf.temperature_ = 1.0
        results[name] = scores_of(clf, X_test, y_test)
    search = SmoothingSearchCV(InstanceSmoothedClassifier(random_state=seed), ensemble=True)
    results[ENSEMBLE] = scores_of(search.fit(X_train, y_train), X_test, y_test)
    return results


def print_table(results):
    """Print mean and standard error over seeds."""
    print(f"{'method':<10}" + "".join(f"{name:>22}" for name in SCORES))
    for method, values in results.items():
        mean = values.mean(axis=0)
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        print(f"{method:<10}" + "".join(f"{m:>13.4f} ± {e:.4f}" for m, e in zip(mean, error, strict=True)))


def draw(results, file):
    """Draw cross-entropy, ECE and class-wise ECE of each rule, raw and scaled."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
    places = np.arange(1, len(RULES) + 1)[::-1]
    for ax, column in zip(axes, (1, 2, 3), strict=True):
        for suffix, marker, color, shift in (("", "o", "#0072B2", 0.1), (" +T", "s", "#D55E00", -0.1)):
            values = np.array([results[name + suffix][:, column] for name in RULES])
            error = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
            label = "with temperature scaling" if suffix else "raw"
            ax.errorbar(values.mean(axis=1), places + shift, xerr=error, fmt=marker, color=color, label=label)
        values = results[ENSEMBLE][:, column]
        error = values.std(ddof=1) / np.sqrt(len(values))
        ax.errorbar(values.mean(), 0, xerr=error, fmt="D", color="#009E73", label="five folds, rule chosen")
        ax.set_title(list(SCORES)[column] + (" (nats)" if column == 1 else ""))
        ax.set_xlim(left=0)
        ax.grid(axis="x", alpha=0.3)
    axes[0].set_yticks([*places, 0], [*RULES, ENSEMBLE])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    n_seeds = len(next(iter(results.values())))
    figure.suptitle(f"Digits, test data: mean and standard error over {n_seeds} seeds; less is better")
    figure.savefig(file, dpi=120)


def main():
    """Run all seeds, print the table, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", default="demo_digits.png")
    arguments = parser.parse_args()
    start = perf_counter()
    with TemporaryDirectory() as memory:
        runs = [run(seed, memory) for seed in range(arguments.seeds)]
    order = [name + suffix for name in RULES for suffix in ("", " +T")] + [ENSEMBLE]
    results = {method: np.array([run[method] for run in runs]) for method in order}
    print(
        f"Digits, {arguments.seeds} seeds, test data: mean ± standard error; cross-entropy in nats, 15 bins"
    )
    print_table(results)
    draw(results, arguments.picture)
    print(f"Picture: {arguments.picture} ({perf_counter() - start:.0f} s in all)")


if __name__ == "__main__":
    main()
