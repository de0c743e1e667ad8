"""Draws Figs 6, 7 and 11 from the tables of `benchmarks.paper`, run with either teacher.

    python -m benchmarks.paper.figures

writes docs/images/paper_figs6_7.png and docs/images/paper_fig11.png (needs the extra ``plots``).
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.paper.tables import N_BINS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "paper_synthetic"
IMAGES = ROOT / "docs" / "images"

# What fits the paper's own Fig. 6.
PAPER_CURVE = {"P1": 0.811, "P2": 2.12, "cap": 0.2}
TEACHERS = {"Bayes-optimal": "Bayes-optimal teacher (Fig. 6)", "No LS +T": "scaled No LS teacher (Fig. 7)"}
# What the folder of each run ends with.
HEAT_MAPS = {"Teacher: network on hard labels": "", "Teacher: the true probabilities": "_truth"}
ROWS = {"training": ("#0072B2", "o"), "test": ("#D55E00", "s")}


def read(name, folder):
    """Return a table."""
    return pd.read_csv(folder / f"{name}.csv", comment="#")


def quadratic(p, fit):
    """Return the factor of Eq. 3."""
    return np.minimum(fit["P2"] * (p - fit["P1"]) ** 2, fit["cap"])


def draw_best_factors(folder, limit=0.2):
    """Return Figs 6 and 7: the best constant factor of each bin, and Eq. 3 fitted to them."""
    best, fits = read("figs6_7", folder), read("figs6_7_fits", folder)
    grid = np.linspace(0, 1, 301)
    figure, axes = plt.subplots(1, 2, figsize=(9, 5), sharey=True, layout="constrained")
    for ax, (view, title) in zip(axes, TEACHERS.items(), strict=True):
        for rows, (color, marker) in ROWS.items():
            points = best[(best["limit"] == limit) & (best["view"] == view) & (best["rows"] == rows)]
            fit = fits[(fits["limit"] == limit) & (fits["view"] == view) & (fits["rows"] == rows)].iloc[0]
            ax.plot(
                (points["bin"] + 0.5) / N_BINS, points["factor"], marker, color=color, label=f"{rows} rows"
            )
            label = f"Eq. 3 through them: P1 {fit['P1']:.2f}, P2 {fit['P2']:.2f}, cap {fit['cap']:.2f}"
            ax.plot(grid, quadratic(grid, fit), color=color, linewidth=1, label=label)
        label = "Eq. 3 through the paper's Fig. 6"
        ax.plot(grid, quadratic(grid, PAPER_CURVE), "--", color="gray", linewidth=1, label=label)
        ax.set(title=title, xlabel="teacher's probability of the true class", xlim=(-0.02, 1.02))
        ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False)
    axes[0].set_ylabel("best smoothing factor")
    return figure


def draw_heat_map(folder):
    """Return Fig. 11: the test cross-entropy of ILS1 over P1 and P2, for both teachers."""
    folders = {title: folder.with_name(folder.name + end) for title, end in HEAT_MAPS.items()}
    maps = {title: read("fig11", own) for title, own in folders.items()}
    wide = {title: own.pivot(index="curvature", columns="shift", values="CE") for title, own in maps.items()}
    values = np.stack(list(wide.values()))
    limits = {"vmin": values.min(), "vmax": values.max()}
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for ax, (title, own) in zip(axes, wide.items(), strict=True):
        image = ax.imshow(own, origin="lower", aspect="auto", cmap="viridis_r", **limits)
        ax.set_xticks(range(own.shape[1]), [f"{value:g}" for value in own.columns])
        ax.set_yticks(range(own.shape[0]), [f"{value:g}" for value in own.index])
        ax.set(xlabel="P1 (shift)", title=title)
        for (row, column), value in np.ndenumerate(own.to_numpy()):
            color = "white" if value > values.mean() else "black"
            ax.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize="small", color=color)
    axes[0].set_ylabel("P2 (curvature)")
    figure.colorbar(image, ax=axes, label="test cross-entropy of ILS1 in nats")
    return figure


def main():
    """Draw both pictures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper.figures", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=IMAGES)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, draw in {"paper_figs6_7": draw_best_factors, "paper_fig11": draw_heat_map}.items():
        draw(options.results).savefig(options.out / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
