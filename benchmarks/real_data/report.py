"""What the real-data results say: means, ranks, paired differences with intervals, rank diagrams.

    python -m benchmarks.real_data.report [--half reporting] [--pictures DIR]

Reads the CSVs of `benchmarks.real_data` only, and prints Markdown. Seeds are averaged for each table first,
so that a table is one observation, in ranks, intervals and tests alike.
"""

import argparse
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.markdown import markdown_table
from benchmarks.real_data.sets import HALVES, IMAGES, TABLES
from benchmarks.real_data.store import RESULTS

os.environ.setdefault("MPLBACKEND", "Agg")

METRICS = {
    "accuracy": "accuracy",
    "cross_entropy": "cross-entropy",
    "brier": "Brier",
    "ece": "ECE",
    "cwece": "class-wise ECE",
}
#: The twelve methods of the paper's rank diagrams.
PAPER = (
    "ILS",
    "ILS +T",
    "ILS1",
    "ILS2",
    "cLS",
    "Dis",
    "BS_soft",
    "LS",
    "LS +T",
    "Beta",
    "No LS",
    "No LS +T",
)
#: The order of methods where no number gives one.
ORDER = ("No LS", "LS", "ILS1", "ILS2", "ILS", "cLS", "Dis", "BS_soft", "Beta", "Ensemble")
#: A variant that varies no one method: the best candidate of all rules.
ANY_RULE = "Any rule"
#: How the rows of what was chosen on the hold-out of the only fit are named.
ONE_HOLDOUT = ", one hold-out"
N_RESAMPLES = 10_000
LEVEL = 0.95
Z = 1.959964  # its quantile of the standard normal


# --- numbers ----------------------------------------------------------------------------------------------


def load(folder, names, suffix=""):
    """Return the results of some sets as one frame, metrics as numbers; sets without results are left out."""
    files = [Path(folder) / f"{name}{suffix}.csv" for name in names]
    frames = [pd.read_csv(file) for file in files if file.exists()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def table_means(results, metric):
    """Return the mean over seeds, (table, method); tables that lack a method or a seed are an error."""
    counts = results.groupby(["table", "method"])["seed"].nunique().unstack()
    if counts.isna().any(axis=None) or counts.nunique(axis=1).max() > 1:
        raise ValueError(f"The methods of a table have different seeds:\n{counts.to_string()}")
    return results.pivot_table(index="table", columns="method", values=metric, sort=False)


def ranks(means, metric):
    """Return each method's rank on each table, 1 for the best, ties shared."""
    return means.rank(axis=1, ascending=metric != "accuracy")


def bootstrap_interval(differences, *, level=LEVEL, n_resamples=N_RESAMPLES, seed=0):
    """Return the percentile interval of the mean difference over resampled tables.

    With few tables it is too short: normal differences of six tables are held in 87 % of all cases, of twelve
    in 91 % (1.96 sqrt((n - 1) / n) as a quantile of Student's t with n - 1 degrees of freedom).

    Parameters
    ----------
    differences : array of shape (n_tables,)
    level : float, default=0.95
    n_resamples : int, default=10000
    seed : int, default=0

    Returns
    -------
    low, high : float
    """
    values = np.asarray(differences, dtype=float)
    rows = np.random.default_rng(seed).integers(len(values), size=(n_resamples, len(values)))
    tail = (1 - level) / 2
    low, high = np.quantile(values[rows].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def tables_needed(differences):
    r"""Return about how many tables would resolve a mean difference, if it is what it seems.

    .. math:: N = n (1.96 \, \mathrm{se} / \bar d)^2

    at which the half-width of a normal 95 % interval is as large as the mean. At least n + 1; infinity for a
    mean of 0.
    """
    values = np.asarray(differences, dtype=float)
    mean, deviation = values.mean(), values.std(ddof=1)
    if mean == 0:
        return math.inf
    return max(math.ceil((Z * deviation / mean) ** 2), len(values) + 1)


def comparison(means, method, reference):
    """Return one line about a method's paired differences to a reference; less is better."""
    differences = (means[method] - means[reference]).to_numpy()
    low, high = bootstrap_interval(differences)
    wins = int((differences < 0).sum())
    if low > 0 or high < 0:
        verdict = "better" if high < 0 else "worse"
    else:
        needed = tables_needed(differences)
        about = "no number of tables" if math.isinf(needed) else f"about {needed} tables"
        verdict = f"not resolved; {about} would resolve it"
    interval = f"[{low:+.4f}, {high:+.4f}]"
    return [method, reference, f"{differences.mean():+.4f}", interval, f"{wins}/{len(differences)}", verdict]


# --- text -------------------------------------------------------------------------------------------------


def means_text(results):
    """Return the mean of each metric over tables, methods in the order of their cross-entropy."""
    means = pd.DataFrame({metric: table_means(results, metric).mean() for metric in METRICS})
    means = means.sort_values("cross_entropy")
    rows = [
        [method, *(f"{value:.4f}" for value in values)]
        for method, values in zip(means.index, means.values, strict=True)
    ]
    return markdown_table(["method", *METRICS.values()], rows)


def ranks_text(results, methods):
    """Return the mean ranks among some methods, in the order of that of the cross-entropy."""
    chosen = results[results["method"].isin(methods)]
    table = pd.DataFrame({metric: ranks(table_means(chosen, metric), metric).mean() for metric in METRICS})
    table = table.sort_values("cross_entropy")
    rows = [
        [method, *(f"{value:.2f}" for value in values)]
        for method, values in zip(table.index, table.values, strict=True)
    ]
    return markdown_table(["method", *METRICS.values()], rows)


def differences_text(results, pairs):
    """Return the paired differences in cross-entropy of (method, reference) pairs."""
    means = table_means(results, "cross_entropy")
    rows = [comparison(means, *pair) for pair in pairs]
    header = ["method", "against", "mean difference", f"{LEVEL:.0%} interval", "tables better", "verdict"]
    return markdown_table(header, rows)


def scaled(methods):
    """Return the methods with temperature scaling."""
    return [method for method in methods if method.endswith(" +T")]


def method_pairs(methods):
    """Return each method with the references of its form: hard labels, and constant smoothing."""
    pairs = []
    for form in (scaled(methods), [method for method in methods if not method.endswith(" +T")]):
        suffix = " +T" if form and form[0].endswith(" +T") else ""
        references = [f"No LS{suffix}", f"LS{suffix}"]
        pairs += [(m, references[0]) for m in form if m != references[0]]
        pairs += [(m, references[1]) for m in form if m not in references]
    return pairs


def variant_pairs(variants):
    """Return each variant with the method that it varies, which its name begins with.

    "Any rule" varies none; it goes with hard labels and LS of the same hold-out, and of the folds.
    """
    pairs = []
    for variant in variants:
        suffix = " +T" if variant.endswith(" +T") else ""
        method = variant.split(",")[0]
        references = (method,)
        if method == ANY_RULE:
            plain = ("No LS", "LS")
            references = (*(name + ONE_HOLDOUT for name in plain), *plain)
        pairs += [(variant, reference + suffix) for reference in references]
    return pairs


def choices_text(results):
    """Return how often each value of each parameter was chosen, of the scaled forms."""
    rows = []
    for method, group in results[results["method"].isin(scaled(results["method"].unique()))].groupby(
        "method"
    ):
        chosen = pd.DataFrame([json.loads(params) for params in group["params"]])
        for name in chosen.columns.drop(["rule", "members"], errors="ignore"):
            counts = chosen[name].value_counts().sort_index()
            if len(counts) > 1:
                rows.append([method, name, ", ".join(f"{value:g}: {n}" for value, n in counts.items())])
    return markdown_table(["method", "parameter", "value: times chosen"], rows)


# --- rank diagrams ----------------------------------------------------------------------------------------


def draw_ranks(results, methods, title, file):
    """Draw mean ranks with bars over methods that a Nemenyi test at 5 % does not tell apart."""
    import matplotlib.pyplot as plt
    import scikit_posthocs

    panels = {name: label for name, label in METRICS.items() if name != "brier"}
    height = 1.0 + 0.19 * len(methods)
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, height * len(panels)), layout="constrained")
    chosen = results[results["method"].isin(methods)]
    for ax, (metric, label) in zip(axes, panels.items(), strict=True):
        means = table_means(chosen, metric)
        signed = -means if metric == "accuracy" else means
        p_values = scikit_posthocs.posthoc_nemenyi_friedman(signed.to_numpy())
        p_values = p_values.set_axis(means.columns, axis=0).set_axis(means.columns, axis=1)
        scikit_posthocs.critical_difference_diagram(
            ranks(means, metric).mean(),
            p_values,
            ax=ax,
            label_fmt_left="{label}  {rank:.1f} ",
            label_fmt_right=" {rank:.1f}  {label}",
            elbow_props={"color": "0.2"},
            crossbar_props={"color": "#0072B2", "marker": None},
        )
        ax.set_title(label, loc="left", fontsize="medium")
    figure.suptitle(f"{title}: mean ranks over {len(means)} tables, 1 is best")
    figure.savefig(file, dpi=120)
    plt.close(figure)


# --- the report -------------------------------------------------------------------------------------------


def half_text(half, results):
    """Return the sections about the tables of one half."""
    methods = sorted(set(results["method"]), key=lambda method: ORDER.index(method.removesuffix(" +T")))
    names = [name for name in TABLES if name in set(results["table"])]
    return "\n".join(
        [
            f"## {half}: {len(names)} tables ({', '.join(names)}), {results['seed'].nunique()} seeds\n",
            "### Means over tables\n",
            means_text(results),
            f"### Mean ranks among all {len(methods)} methods\n",
            ranks_text(results, methods),
            "### Mean ranks among the scaled methods\n",
            ranks_text(results, scaled(methods)),
            "### Mean ranks among the paper's methods\n",
            ranks_text(results, PAPER),
            "### Differences in cross-entropy (nats; negative is better)\n",
            differences_text(results, method_pairs(methods)),
            "### Parameters chosen\n",
            choices_text(results),
        ]
    )


def variants_text(what, methods, variants):
    """Return a section about variants, each against the method that it varies."""
    # The methods of the same tables and seeds.
    runs = variants[["table", "seed"]].drop_duplicates()
    both = pd.concat([methods.merge(runs), variants])
    pairs = variant_pairs(dict.fromkeys(variants["method"]))
    names = sorted(set(variants["table"]))
    title = f"## {what}: {len(names)} tables ({', '.join(names)}), {variants['seed'].nunique()} seeds\n\n"
    return title + differences_text(both, pairs)


def images_text(folder, name):
    """Return the section about one network on Fashion-MNIST, whose seeds are all that there is."""
    results = load(folder, [name])
    n_seeds = results["seed"].nunique()
    mean = results.groupby("method", sort=False)[list(METRICS)].mean().sort_values("cross_entropy")
    error = results.groupby("method")[list(METRICS)].sem()

    def cell(method, metric):
        value = f"{mean.loc[method, metric]:.4f}"
        return value if n_seeds == 1 else f"{value} ± {error.loc[method, metric]:.4f}"

    rows = [[method, *(cell(method, metric) for metric in METRICS)] for method in mean.index]
    what = "one seed" if n_seeds == 1 else f"{n_seeds} seeds, mean ± standard error over seeds"
    return f"## {name}: {what}\n\n" + markdown_table(["method", *METRICS.values()], rows)


def main():
    """Print the report, draw the pictures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_data.report",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--half", choices=HALVES, nargs="+", default=list(HALVES))
    parser.add_argument("--pictures", type=Path, help="folder for the rank diagrams")
    options = parser.parse_args()
    for half in options.half:
        results = load(options.results, HALVES[half])
        if results.empty:
            print(f"## {half}: no results\n")
            continue
        print(half_text(half, results))
        if options.pictures is not None:
            draw_ranks(
                results,
                scaled(set(results["method"])),
                "Scaled methods",
                options.pictures / f"ranks_scaled_{half}.png",
            )
            draw_ranks(results, PAPER, "The paper's methods", options.pictures / f"ranks_paper_{half}.png")
    for suffix, what in {"_variants": "Variants", "_holdout": "Chosen on the hold-out"}.items():
        for half in options.half:
            variants = load(options.results, HALVES[half], suffix)
            if not variants.empty:
                methods = load(options.results, HALVES[half])
                print(variants_text(f"{what}, {half}", methods, variants))
    for name in IMAGES:
        if (options.results / f"{name}.csv").exists():
            print(images_text(options.results, name))


if __name__ == "__main__":
    main()
