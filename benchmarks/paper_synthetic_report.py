"""Prints the results of `paper_synthetic.py` as Markdown, beside the paper's numbers.

    python benchmarks/paper_synthetic_report.py [--results DIR]

Reads the CSVs only. What it prints is committed as report.md beside them.
"""

import argparse
from pathlib import Path

import pandas as pd
from paper_synthetic_figures import RESULTS, read
from paper_synthetic_tables import PAPER_FIG11
from real_data_report import markdown

SHOWN = {"acc": "accuracy", "acc sparse": "sparse", "CE": "cross-entropy", "ECE": "ECE"}
RIVALS = ("LS", "No LS +T")


def number(value, digits=4):
    """Return a number as text; nothing for one that is missing."""
    return "" if pd.isna(value) else f"{value:.{digits}f}"


def with_error(value, error, sign=""):
    """Return a mean and its standard error."""
    return f"{value:{sign}.4f} ± {error:.4f}"


def table_v_text(table):
    """Return Table V: ours and the paper's, and the differences in cross-entropy from two methods."""
    cells = table.set_index(["measure", "method"])
    rows = []
    for method in table["method"].unique():
        row = [method]
        for measure in SHOWN:
            own = cells.loc[measure, method]
            row += [number(own["mean"]), number(own["paper"])]
        own = cells.loc["CE", method]
        for rival in RIVALS:
            same = method == rival
            row.append("" if same else with_error(own[f"minus {rival}"], own[f"se minus {rival}"], "+"))
        rows.append(row)
    header = ["method", *(word for name in SHOWN.values() for word in (name, "paper"))]
    return markdown([*header, *(f"CE minus {rival}" for rival in RIVALS)], rows)


def choices_text(choices):
    """Return what was chosen in the mean over data sets, and the temperatures."""
    rows = [
        [
            row["method"],
            number(row["epsilon"], 3),
            number(row["paper epsilon"], 4),
            number(row["shift"], 3),
            number(row["curvature"], 2),
            number(row["T"], 3),
            number(row["paper T"], 3),
        ]
        for row in choices.to_dict("records")
        if row["method"] != "Bayes-optimal"
    ]
    return markdown(["method", "epsilon", "paper", "P1", "P2", "T", "paper"], rows)


def eq3_text(table):
    """Return the variants of Eq. 3."""
    reference = "minus two-sided, cap 0.2"
    rows = [
        [
            row["measure"],
            row["method"],
            with_error(row["mean"], row["se"]),
            with_error(row[reference], row[f"se {reference}"], "+"),
        ]
        for row in table.to_dict("records")
    ]
    return markdown(["measure", "variant", "cross-entropy", reference], rows)


def heat_map_text(own, truth):
    """Return Fig. 11 at the paper's settings and at our best ones."""
    key = ["shift", "curvature"]
    both = own.merge(truth, on=key, suffixes=("", " truth")).set_index(key)
    best = {both["CE"].idxmin(), both["CE truth"].idxmin()}
    rows = [
        [
            f"{setting[0]:g}, {setting[1]:g}",
            with_error(both.loc[setting, "CE"], both.loc[setting, "se"]),
            with_error(both.loc[setting, "CE truth"], both.loc[setting, "se truth"]),
            number(PAPER_FIG11.get(setting), 3),
        ]
        for setting in sorted({*PAPER_FIG11, *best})
    ]
    return markdown(["P1, P2", "teacher: hard-label network", "teacher: the truth", "paper"], rows)


def fits_text(fits):
    """Return Eq. 3 fitted to the best factors."""
    rows = [
        [
            f"{row['limit']:g}",
            row["view"],
            row["rows"],
            number(row["P1"], 3),
            number(row["P2"], 2),
            number(row["cap"], 2),
            number(row["rmse"], 3),
        ]
        for row in fits.to_dict("records")
    ]
    return markdown(["largest factor", "teacher", "rows", "P1", "P2", "cap", "rmse"], rows)


def table_vi_text(table):
    """Return Table VI."""
    rows = [
        [row["measure"], row["method"], with_error(row["mean"], row["se"]), number(row["paper"])]
        for row in table.to_dict("records")
    ]
    return markdown(["measure", "teacher", "ours", "paper"], rows)


def report(folder):
    """Return the whole report on a folder of results."""
    sections = {
        "Table V": table_v_text(read("table_v", folder)),
        "Table V, what was chosen": choices_text(read("table_v_choices", folder)),
        "Table V with the truth as teacher": table_v_text(read("table_v_truth", folder)),
        "Table V with the truth as teacher, what was chosen": choices_text(
            read("table_v_truth_choices", folder)
        ),
        "Fig. 11: cross-entropy of ILS1": heat_map_text(read("fig11", folder), read("fig11_truth", folder)),
        "Variants of Eq. 3": eq3_text(read("eq3", folder)),
        "Figs 6 and 7: fitted quadratics": fits_text(read("figs6_7_fits", folder)),
        "Table VI": table_vi_text(read("table_vi", folder)),
    }
    return "\n".join(f"## {title}\n\n{text}" for title, text in sections.items())


def main():
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    print(report(parser.parse_args().results), end="")


if __name__ == "__main__":
    main()
