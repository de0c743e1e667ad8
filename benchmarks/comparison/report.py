"""What the results say: ratios of log loss over tables, with intervals, other measures, and the time.

    python -m benchmarks.comparison.report --half reporting
    python -m benchmarks.comparison.report --half reporting --picture docs/images/comparison.png
    python -m benchmarks.comparison.report --images

Prints Markdown. A table's ratio of two methods is the geometric mean over the seeds that both have; other
measures are means over seeds. Intervals are Student's t over tables, of the logarithms, 95 %: they hold for
tables like these, not for other splits of the same ones.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t

from benchmarks.comparison.__main__ import RESULTS
from benchmarks.comparison.methods import METHODS, OURS, REFERENCE
from benchmarks.comparison.tables import HALVES
from benchmarks.markdown import markdown_table

LEVEL = 0.95
ENSEMBLE = "five folds, any rule tuned +T"
DEFAULT = "one network, default +T"
#: What the ensemble and the untuned default are compared with, beside the reference.
PAIRS = [
    (ENSEMBLE, "RealMLP-TD, LS, by cross-entropy +T"),
    (ENSEMBLE, "RealMLP-TD, LS, by cross-entropy, five folds +T"),
    (ENSEMBLE, "CatBoost"),
    (ENSEMBLE, "LightGBM, CCCV"),
    (ENSEMBLE, "five folds, hard labels +T"),
    (ENSEMBLE, "five folds, LS tuned +T"),
    (ENSEMBLE, "deep ensemble of five +T"),
    (DEFAULT, "RealMLP-TD, as it comes +T"),
    (DEFAULT, "one network, hard labels +T"),
]
#: What is shown table by table.
SHOWN = (
    ENSEMBLE,
    "RealMLP-TD, LS, by cross-entropy +T",
    "RealMLP-TD, LS, by cross-entropy, five folds +T",
    "CatBoost",
    "HistGradientBoosting, CCCV",
    "RandomForest 500, CCCV",
)
_MEASURES = ("brier", "accuracy", "classwise_ece", "ece")


def load(file, half):
    """Return the results of the tables of a half."""
    frame = pd.read_csv(file)
    return frame[frame["table"].isin(HALVES[half])]


def log_ratios(frame, method, reference, column="log_loss"):
    """Return for each table the mean over common seeds of the logarithm of a ratio."""
    both = frame[frame["method"].isin([method, reference])].pivot_table(
        index=["table", "seed"], columns="method", values=column
    )
    if not {method, reference} <= set(both.columns):
        return pd.Series(dtype=float)
    logs = np.log(both.dropna())
    return (logs[method] - logs[reference]).groupby("table").mean()


def t_interval(values):
    """Return the mean of values, and Student's t interval of their expectation."""
    values = np.asarray(values)
    mean = values.mean()
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return mean, mean - half, mean + half


def percent(log_ratio):
    """Return a ratio's logarithm as a change in percent."""
    return f"{100 * np.expm1(log_ratio):+.1f} %"


def comparison_cells(ratios):
    """Return the cells of a comparison: change, interval, tables on which it is better."""
    if ratios.empty:
        return ["not run", "", ""]
    mean, low, high = t_interval(ratios)
    return [percent(mean), f"[{percent(low)}, {percent(high)}]", f"{int((ratios < 0).sum())}/{len(ratios)}"]


def overview(frame):
    """Return the rows of the table of all methods, the best first."""
    rows = []
    for method in METHODS:
        own = frame[frame["method"] == method]
        if own.empty:
            continue
        ratios = log_ratios(frame, method, REFERENCE)
        means = own.groupby("table")[list(_MEASURES)].mean().mean()
        seconds = np.exp(np.log(own.groupby("table")["cpu_seconds"].mean()).mean())
        cells = comparison_cells(ratios) if method != REFERENCE else ["0", "", ""]
        rows.append(
            (
                ratios.mean(),
                [
                    method,
                    *cells,
                    *(f"{means[name]:.4f}" for name in _MEASURES),
                    f"{seconds:.1f}",
                    own["seed"].nunique(),
                ],
            )
        )
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def optimism(frame):
    """Return by how much the out-of-fold log loss is below that of test rows: mean and interval, in nats."""
    own = frame[frame["method"] == ENSEMBLE].dropna(subset=["out_of_fold_log_loss"])
    gaps = (own["log_loss"] - own["out_of_fold_log_loss"]).groupby(own["table"]).mean()
    return t_interval(gaps), len(gaps)


def by_table(frame, half):
    """Return for each table the geometric means over seeds of some methods' log loss, in nats."""
    shown = frame[frame["method"].isin(SHOWN)]
    logs = np.log(shown["log_loss"]).groupby([shown["table"], shown["method"]]).mean()
    return [
        [table, *(f"{np.exp(logs[table, name]):.4f}" if (table, name) in logs else "" for name in SHOWN)]
        for table in HALVES[half]
        if table in logs
    ]


def report(file, half):
    """Return the report as Markdown."""
    frame = load(file, half)
    n = frame["table"].nunique()
    header = [
        "method",
        "log loss",
        "95 % interval",
        "better on",
        "Brier",
        "accuracy",
        "class-wise ECE",
        "ECE",
        "CPU s",
        "seeds",
    ]
    parts = [
        f"## The {half} half: {n} tables\n",
        f"Log loss relative to '{REFERENCE}'; CPU s is a geometric mean over tables.\n",
        markdown_table(header, overview(frame)),
        "## Pairs\n",
        markdown_table(
            ["method", "against", "log loss", "95 % interval", "better on"],
            [[method, other, *comparison_cells(log_ratios(frame, method, other))] for method, other in PAIRS],
        ),
    ]
    (mean, low, high), n_tables = optimism(frame)
    if n_tables:
        parts.append(
            f"The out-of-fold log loss of the ensemble's choice is below its test log loss by {mean:.4f} "
            f"nats [{low:.4f}, {high:.4f}] ({n_tables} tables).\n"
        )
    parts += ["## Log loss by table, in nats\n", markdown_table(["table", *SHOWN], by_table(frame, half))]
    return "\n".join(parts)


def image_report(file):
    """Return the tables of Fashion-MNIST as Markdown: means over seeds and their standard deviations."""
    frame = pd.read_csv(file)
    columns = ["log_loss", *_MEASURES]
    parts = []
    for name, own in frame.groupby("table", sort=False):
        by_method = own.groupby("method")[columns]
        means, deviations = by_method.mean().sort_values("log_loss"), by_method.std()
        rows = [
            [method, *(f"{means.at[method, c]:.4f} ± {deviations.at[method, c]:.4f}" for c in columns)]
            for method in means.index
        ]
        parts += [
            f"## {name}: {own['seed'].nunique()} seeds\n",
            markdown_table(
                ["method", "log loss", "Brier", "accuracy", "class-wise ECE", "ECE"],
                rows,
            ),
        ]
    return "\n".join(parts)


def dots(frame):
    """Return (log-loss ratio's logarithm, CPU seconds, method) of every method, the best first."""
    found = []
    for method in METHODS:
        own = frame[frame["method"] == method]
        if not own.empty:
            seconds = np.log(own.groupby("table")["cpu_seconds"].mean()).mean()
            found.append((log_ratios(frame, method, REFERENCE).mean(), np.exp(seconds), method))
    return sorted(found)


def draw(file, half, picture):
    """Save a picture: log loss against CPU seconds, a numbered dot for each method."""
    frame = load(file, half)
    figure, axes = plt.subplots(figsize=(9, 4.6), layout="constrained")
    drawn = []
    for number, (ratio, seconds, method) in enumerate(dots(frame), start=1):
        color = "#0072B2" if method in OURS else "#D55E00"
        change = 100 * np.expm1(ratio)
        axes.plot(seconds, change, "o", color=color, markersize=7, alpha=0.85, label=f"{number}  {method}")
        # Of two dots that nearly cover each other the second one has its number on the other side.
        is_close = any(abs(np.log(seconds / s)) < 0.15 and abs(change - c) < 1.2 for s, c in drawn)
        drawn.append((seconds, change))
        axes.annotate(
            str(number),
            (seconds, change),
            (-6 if is_close else 6, 0),
            textcoords="offset points",
            ha="right" if is_close else "left",
            va="center_baseline",
            color=color,
            fontsize=9,
        )
    axes.set(
        xscale="log",
        xlabel="CPU seconds of fit and prediction, one thread",
        ylabel="log loss beside one network\non hard labels, %",
        title=f"{frame['table'].nunique()} tables, at most 2,000 training rows; blue: sk-ils",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axhline(0, color="0.8", linewidth=1, zorder=0)
    axes.grid(alpha=0.2)
    legend = figure.legend(
        loc="outside right upper", fontsize=8, handlelength=0, handletextpad=0, frameon=False
    )
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        handle.set_visible(False)
        text.set_color(handle.get_color())
    figure.savefig(picture, dpi=150)


def main(arguments=None):
    """Print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--half", choices=HALVES, default="reporting")
    parser.add_argument("--results", type=Path, default=RESULTS / "results.csv")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--images", action="store_true", help="Fashion-MNIST instead of the tables")
    options = parser.parse_args(arguments)
    if options.images:
        print(image_report(RESULTS / "images.csv"))
        return
    mpl.use("agg")
    print(report(options.results, options.half))
    if options.picture:
        draw(options.results, options.half, options.picture)


if __name__ == "__main__":
    main()
