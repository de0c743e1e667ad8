"""How a reliability diagram is drawn: in one panel, or in a grid of them."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sk_ils.inspection._curves import ReliabilityCurve
from sk_ils.inspection._style import COLORS, MARKERS, TITLE_PAD, draw_histogram, histogram_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_grid", "plot_panel"]

# Group ids of the artists: a second call finds by them what the first one has drawn.
_CURVE, _DIAGONAL = "reliability curve", "perfect calibration"


def plot_panel(
    curves: Sequence[ReliabilityCurve],
    axis_labels: tuple[str, str, str],
    ax: "Axes | None",
    kwargs: dict[str, Any],
) -> "Axes":
    """Draw curves in one axes and return it; the labels are those of x, y and the error."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(4.8, 5.6), layout="constrained")
    xlabel, ylabel, error = axis_labels
    for curve in curves:
        _draw(ax, curve, _label(curve.name, error, curve.error), kwargs)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="best", fontsize="small")
    return ax


def plot_grid(
    curves: Sequence[ReliabilityCurve],
    errors: Mapping[str | None, float],
    title: str,
    ax: Any,
    kwargs: dict[str, Any],
) -> NDArray[Any]:
    """Draw each class in an axes of its own and return them."""
    panels = [list(group) for _, group in groupby(curves, key=lambda curve: curve.label)]
    axes, frame = _grid_axes(len(panels), ax)
    lines: dict[str, Any] = {}
    for panel, of_class in zip(axes, panels, strict=True):
        if panel.get_title() not in ("", f"{of_class[0].label}"):
            raise ValueError(
                f"An axes for class {of_class[0].label!r} already shows {panel.get_title()!r}: pass the "
                "classes as a list, kind=[curve.label for curve in display.curves]."
            )
        for curve in of_class:
            name = _label(curve.name, "class-wise ECE", errors[curve.name])
            lines[name] = _draw(panel, curve, name, kwargs, small=True)
            _note_error(panel, curve.error, lines[name].get_color())
        panel.set_title(f"{of_class[0].label}", pad=TITLE_PAD, fontsize="medium")
        panel.label_outer()
    if frame is not None:
        frame.supxlabel("Probability of the class", fontsize="medium")
        frame.supylabel("Frequency of the class", fontsize="medium")
        frame.legend(lines.values(), lines.keys(), title=title, loc="outside upper center")
    return axes


def _grid_axes(n_panels: int, ax: Any) -> tuple[NDArray[Any], Any]:
    """Return the axes and, if they have been made here, the (sub)figure for title and legend."""
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        axes = np.ravel(ax)
        if len(axes) < n_panels:
            raise ValueError(
                f"ax holds {len(axes)} axes, but {n_panels} classes are to be shown: pass as many "
                f"axes, one axes to be divided, or max_classes={len(axes)}."
            )
        return axes[:n_panels], None
    n_columns = min(4, n_panels)
    n_rows = ceil(n_panels / n_columns)
    if ax is None:
        frame: Any = plt.figure(figsize=(2.4 * n_columns + 0.8, 2.8 * n_rows + 1.1), layout="constrained")
    else:
        place = ax.get_subplotspec()
        if place is None:
            raise ValueError("Only an axes made by plt.subplots can be divided into a grid.")
        frame = ax.figure.add_subfigure(place)
        ax.set_axis_off()
    axes = frame.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for unused in axes[n_panels:]:
        unused.remove()
    return axes[:n_panels], frame


def _note_error(ax: "Axes", error: float, color: str) -> None:
    """Write a curve's error into its panel, below those of the curves before it."""
    ax.annotate(
        f"{error:.4f}",
        (0.04, 0.97),
        xycoords="axes fraction",
        xytext=(0, -10 * len(ax.texts)),
        textcoords="offset points",
        va="top",
        fontsize="small",
        color=color,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
    )


def _label(name: str | None, error_name: str, error: float) -> str:
    return f"{error_name} {error:.4f}" if name is None else f"{name} ({error_name} {error:.4f})"


def _draw(
    ax: "Axes", curve: ReliabilityCurve, label: str, kwargs: dict[str, Any], *, small: bool = False
) -> Any:
    """Draw one curve, with the next free colour and marker, and return its line."""
    gids = [line.get_gid() for line in ax.lines]
    if _DIAGONAL not in gids:
        ax.plot([0, 1], [0, 1], color="0.5", linestyle=":", linewidth=1, gid=_DIAGONAL)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="auto" if small else "equal")
    number = gids.count(_CURVE)
    style = {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 3 if small else 4,
        "linewidth": 0.7 if small else 1,
        "label": label,
        **kwargs,
    }
    (line,) = ax.plot(curve.mean_proba, curve.frequency, gid=_CURVE, **style)
    ax.vlines(curve.mean_proba, curve.low, curve.high, color=line.get_color(), linewidth=0.8)
    even = np.linspace(0, 1, len(curve.histogram) + 1)
    # For one class of many nearly all samples lie in the first bin, hence the logarithm; and small
    # panels have no room for numbers.
    draw_histogram(histogram_axes(ax), curve.histogram, even, line.get_color(), log=small, numbers=not small)
    return line
