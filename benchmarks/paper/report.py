"""Prints the results of a run of `benchmarks.paper` as Markdown, beside the paper's numbers.

    python -m benchmarks.paper.report [--results DIR]

Reads the CSVs only; DIR is the run's folder. What it prints is committed as report.md beside them.
"""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.markdown import markdown_table
from benchmarks.paper.figures import RESULTS, read
from benchmarks.paper.tables import PAPER_FIG11

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
    return markdown_table([*header, *(f"CE minus {rival}" for rival in RIVALS)], rows)


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
    return markdown_table(["method", "epsilon", "paper", "P1", "P2", "T", "paper"], rows)


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
    return markdown_table(["measure", "variant", "cross-entropy", reference], rows)


def heat_map_text(table):
    """Return Fig. 11 at the paper's settings and at our best one."""
    cells = table.set_index(["shift", "curvature"])
    rows = [
        [
            f"{setting[0]:g}, {setting[1]:g}",
            with_error(own["CE"], own["se"]),
            number(own["paper"], 3),
            with_error(own["minus best"], own["se minus best"], "+"),
        ]
        for setting in sorted({*PAPER_FIG11, cells["CE"].idxmin()})
        for own in [cells.loc[setting]]
    ]
    return markdown_table(["P1, P2", "cross-entropy", "paper", "minus our best"], rows)


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
    return markdown_table(["largest factor", "teacher", "rows", "P1", "P2", "cap", "rmse"], rows)


def table_vi_text(table):
    """Return Table VI."""
    rows = [
        [row["measure"], row["method"], with_error(row["mean"], row["se"]), number(row["paper"])]
        for row in table.to_dict("records")
    ]
    return markdown_table(["measure", "teacher", "ours", "paper"], rows)


SECTIONS = {
    "table_v": ("Table V", table_v_text),
    "table_v_choices": ("Table V, what was chosen", choices_text),
    "fig11": ("Fig. 11: cross-entropy of ILS1", heat_map_text),
    "eq3": ("Variants of Eq. 3", eq3_text),
    "figs6_7_fits": ("Figs 6 and 7: fitted quadratics", fits_text),
    "table_vi": ("Table VI", table_vi_text),
}
# A run with the truth as teacher has none of these.
OF_THE_NETWORK = ("figs6_7_fits", "table_vi")


def report(folder):
    """Return the whole report on the folder of a run."""
    sections = []
    for name, (title, text) in SECTIONS.items():
        if name not in OF_THE_NETWORK or (folder / f"{name}.csv").exists():
            sections.append(f"## {title}\n\n{text(read(name, folder))}")
    return "\n".join(sections)


def main():
    """Print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper.report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    print(report(parser.parse_args().results), end="")


if __name__ == "__main__":
    main()
