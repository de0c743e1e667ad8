"""Defaults by evidence: what a fixed setting, or one search over several rules, gives on each table.

    python -m benchmarks.real_data.defaults --half choosing
    python -m benchmarks.real_data.defaults --half reporting

Reads the ``*_candidates.csv`` and method CSVs of `benchmarks.real_data` only, and prints Markdown. On the
choosing half it ranks every fixed setting, and searches over several sets of rules: from this the package's
default rule and default grid were taken. On the reporting half it tests just these two, as the package has
them now, against tuned LS +T, hard labels +T and a deep ensemble.
"""

import argparse
import json
from pathlib import Path

import pandas as pd
from sklearn.model_selection import ParameterGrid

from benchmarks.markdown import markdown_table
from benchmarks.real_data.methods import described
from benchmarks.real_data.report import comparison, load, table_means
from benchmarks.real_data.sets import HALVES
from benchmarks.real_data.store import RESULTS
from sk_ils import InstanceSmoothedClassifier
from sk_ils.model_selection import default_param_grid
from sk_ils.smoothing import resolve_rule

#: Sets of rules whose joint search was considered.
RULE_SETS = {
    "none, LS": ("No LS", "LS"),
    "none, ILS1": ("No LS", "ILS1"),
    "none, ILS2": ("No LS", "ILS2"),
    "none, ILS": ("No LS", "ILS"),
    "none, Dis": ("No LS", "Dis"),
    "none, LS, ILS2": ("No LS", "LS", "ILS2"),
    "none, LS, ILS2, Dis": ("No LS", "LS", "ILS2", "Dis"),
    "none, LS, ILS1, ILS2, ILS": ("No LS", "LS", "ILS1", "ILS2", "ILS"),
    "none, LS, ILS1, ILS2, ILS, Dis": ("No LS", "LS", "ILS1", "ILS2", "ILS", "Dis"),
    "all but cLS": ("No LS", "LS", "ILS1", "ILS2", "ILS", "Dis", "BS_soft"),
    "all": ("No LS", "LS", "ILS1", "ILS2", "ILS", "Dis", "BS_soft", "cLS"),
}
#: What a default is measured against.
REFERENCES = ("No LS +T", "LS +T", "Ensemble", "Ensemble +T")
N_SHOWN = 15


def load_candidates(folder, half):
    """Return the scaled test and inner scores of all candidates, with their rule's name and parameters."""
    frame = load(folder, HALVES[half], "_candidates")
    if frame.empty:
        raise FileNotFoundError(
            f"There are no results of the {half} half in {folder}: run benchmarks.real_data."
        )
    return frame.assign(rule=frame["method"].str.removesuffix(" +T"))


def fixed_settings(candidates):
    """Return the cross-entropy of every setting, (table, setting), the mean over seeds."""
    return candidates.pivot_table(index="table", columns="params", values="cross_entropy", sort=False)


def searched(candidates):
    """Return the test cross-entropy, mean over seeds by table, of the best candidate by the inner folds."""
    best = candidates.loc[candidates.groupby(["table", "seed"], sort=False)["cv_cross_entropy"].idxmin()]
    return best.groupby("table", sort=False)["cross_entropy"].mean()


def short(params):
    """Return a setting as the code that makes its rule."""
    own = json.loads(params)
    rule = own.pop("rule")
    return f"{rule}({', '.join(f'{name}={value:g}' for name, value in own.items())})"


def settings_text(settings, n_shown=None):
    """Return settings in the order of their mean rank, with their difference to hard labels."""
    hard = next(params for params in settings if json.loads(params)["rule"] == "NoSmoothing")
    ranks = settings.rank(axis=1).mean().sort_values()
    rows = []
    for params in ranks.index[:n_shown]:
        difference = settings[params] - settings[hard]
        rows.append(
            [
                short(params),
                f"{ranks[params]:.1f}",
                f"{settings[params].mean():.4f}",
                f"{difference.mean():+.4f}",
                f"{difference.max():+.4f}",
                f"{(difference < 0).sum()}/{len(difference)}",
            ]
        )
    header = ["setting", "mean rank", "cross-entropy", "minus No LS +T", "at worst", "better on"]
    return markdown_table(header, rows)


def best_of_each_rule(candidates):
    """Return the fixed settings with the best mean rank of each rule."""
    settings = fixed_settings(candidates)
    ranks = settings.rank(axis=1).mean()
    rules = candidates.drop_duplicates("params").set_index("params")["rule"]
    return settings[[ranks[rules.index[rules == rule]].idxmin() for rule in rules.unique()]]


def searches(candidates):
    """Return the cross-entropy of a search over each set of rules, (table, set)."""
    return pd.DataFrame(
        {name: searched(candidates[candidates["rule"].isin(rules)]) for name, rules in RULE_SETS.items()}
    )


def searches_text(candidates, methods):
    """Return the searches over sets of rules, each against hard labels +T."""
    means = searches(candidates)
    means["No LS +T"] = table_means(methods, "cross_entropy")["No LS +T"]
    ranks = means.rank(axis=1).mean()
    rows = []
    for name in means.columns.drop("No LS +T"):
        _, _, difference, interval, wins, _ = comparison(means, name, "No LS +T")
        rows.append([name, f"{ranks[name]:.1f}", f"{means[name].mean():.4f}", difference, interval, wins])
    header = ["rules", "mean rank", "cross-entropy", "minus No LS +T", "95 % interval", "better on"]
    return markdown_table(header, rows)


def package_defaults(candidates):
    """Return the cross-entropy by table of the package's default rule and of a search of its default grid.

    Raises
    ------
    ValueError
        If the benchmark has not tried one of them.
    """
    rule = resolve_rule(InstanceSmoothedClassifier().smoothing)
    grid = [
        resolve_rule(params.pop("smoothing")).set_params(
            **{name.removeprefix("smoothing__"): value for name, value in params.items()}
        )
        for params in ParameterGrid(default_param_grid())
    ]
    known = {described({"net__smoothing": own}): own for own in (rule, *grid)}
    missing = sorted(set(known) - set(candidates["params"]))
    if missing:
        raise ValueError(f"benchmarks.real_data has not tried these defaults: {missing}")
    in_grid = candidates["params"].isin([described({"net__smoothing": own}) for own in grid])
    settings = fixed_settings(candidates)
    untuned = {"net__smoothing": rule}
    return {
        f"searched default +T ({len(grid)} candidates)": searched(candidates[in_grid]),
        f"untuned default +T, {short(described(untuned))}": settings[described(untuned)],
    }


def defaults_text(candidates, methods):
    """Return the paired differences of the package's defaults."""
    means = table_means(methods, "cross_entropy")
    defaults = package_defaults(candidates)
    for name, values in defaults.items():
        means[name] = values
    rows = [comparison(means, name, reference) for name in defaults for reference in REFERENCES]
    rows.append(comparison(means, "LS +T", "No LS +T"))
    rows.append(comparison(means, "LS +T", "Ensemble"))
    header = ["method", "minus", "mean difference", "95 % interval", "better on", "verdict"]
    by_table = means[[*defaults, *REFERENCES]]
    tables = [[table, *(f"{value:.4f}" for value in values)] for table, values in by_table.iterrows()]
    return markdown_table(header, rows) + "\n" + markdown_table(["table", *by_table.columns], tables)


def main():
    """Print what the half is for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_data.defaults",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--half", choices=HALVES, required=True)
    options = parser.parse_args()
    candidates = load_candidates(options.results, options.half)
    methods = load(options.results, HALVES[options.half])
    if options.half != "reporting":
        print("## Fixed settings, all scaled: the best\n")
        # cLS was no rule of the package when its defaults were chosen.
        print(settings_text(fixed_settings(candidates[candidates["rule"] != "cLS"]), N_SHOWN))
        print("## Fixed settings: the best of each rule\n")
        print(settings_text(best_of_each_rule(candidates)))
        print("## One search over several rules\n")
        print(searches_text(candidates, methods))
    print(f"## The package's defaults on the {options.half} half (cross-entropy in nats)\n")
    print(defaults_text(candidates, methods))


if __name__ == "__main__":
    main()
