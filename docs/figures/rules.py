"""The targets that each rule gives three rows of digits: ``python docs/figures/rules.py``."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from programs import run, save_figure

from sk_ils.inspection import SmoothingCurveDisplay
from sk_ils.smoothing import resolve_rule

NAMES = ("none", "uniform", "ils1", "ils2", "ils", "class", "distillation", "bootstrap")
# The height at which bars are cut, so that small shares can be seen.
_CUT = 0.25
_OF_LABEL, _OF_OTHERS = "#E69F00", "#0072B2"


def bars(ax: Axes, values: NDArray[Any], label: int) -> None:
    """Draw a bar for each class; those that are cut have their value beside them."""
    colors = [_OF_LABEL if place == label else _OF_OTHERS for place in range(len(values))]
    ax.bar(range(len(values)), np.minimum(values, _CUT), color=colors)
    for place in np.flatnonzero(values > _CUT):
        ax.text(place, _CUT, f"{values[place]:.2f}", ha="center", va="bottom", fontsize=7)
    ax.set_xticks(range(len(values)))
    ax.set_yticks([0, 0.1, 0.2])
    ax.set_ylim(0, 1.15 * _CUT)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Draw the rows with the teacher's view of them, then each rule's targets."""
    names = run("rules")
    rows, y, logits = names["rows"], names["y"], names["logits"]
    titles = [f"{name}: label {y[row]}" for name, row in rows.items()]
    plt.close("all")
    _, axes = plt.subplots(1, 6, figsize=(11, 2), layout="constrained", width_ratios=(1, 3) * 3)
    for picture, ax, title, row in zip(axes[::2], axes[1::2], titles, rows.values(), strict=True):
        picture.imshow(names["X"][row].reshape(8, 8), cmap="gray_r")
        picture.axis("off")
        bars(ax, np.exp(logits[row]), y[row])
        ax.set_title(title, fontsize=9)
    save_figure(1, "rules_teacher")
    for name in NAMES:
        plt.close("all")
        rule = resolve_rule(name)
        targets = rule.targets(y, logits, student_logits=logits)
        with_curve = name in ("ils1", "ils")
        _, axes = plt.subplots(
            1, 3 + with_curve, figsize=(9 + 2.8 * with_curve, 2 + 0.7 * with_curve), layout="constrained"
        )
        for ax, title, row in zip(axes, titles, rows.values(), strict=False):
            bars(ax, targets[row], y[row])
            ax.set_title(title, fontsize=9)
        axes[0].set_ylabel("target", fontsize=9)
        if with_curve:
            SmoothingCurveDisplay.from_predictions(y, np.exp(logits), smoothing=rule, ax=axes[3])
            given = np.exp([logits[row, y[row]] for row in rows.values()])
            axes[3].plot(given, rule.smoothing_factor(given), "o", color=_OF_LABEL)
            axes[3].get_legend().remove()
            axes[3].set_xlabel("teacher's probability of the label", fontsize=9)
            axes[3].set_ylabel("smoothing factor", fontsize=9)
        save_figure(1, f"rules_{name}")


if __name__ == "__main__":
    main()
