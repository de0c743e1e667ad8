"""How a reliability diagram is drawn: in one panel, or in a grid of them."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sk_ils.inspection._curves import ReliabilityCurve
from sk_ils.inspection._style import (
    TITLE_PAD,
    axes_list,
    curve_style,
    draw_histogram,
    histogram_axes,
    legend_label,
    line_keywords,
    literal,
    n_histograms,
    place_legend,
    single_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_grid", "plot_models", "plot_panel", "share_one_axes"]

# More models than these hide each other in one axes.
_MAX_MODELS = 4
# A bin with fewer rows than these has a hollow marker: its interval is half a unit wide or wider.
_FEW = 10

# Group ids of the artists, for whoever looks for them in a figure.
_CURVE, _DIAGONAL, _HOLLOW = "reliability curve", "perfect calibration", "few rows"


def share_one_axes(curves: Sequence[ReliabilityCurve], ax: Any) -> bool:
    """Return whether the models are few enough for one axes, and no more are given."""
    return len(curves) <= _MAX_MODELS and (ax is None or len(axes_list(ax)) == 1)


def plot_panel(
    curves: Sequence[ReliabilityCurve],
    axis_labels: tuple[str, str, str],
    ax: Any,
    kwargs: dict[str, Any],
) -> "Axes":
    """Draw curves in one axes and return it; the labels are those of x, y and the error."""
    import matplotlib.pyplot as plt

    panel = single_axes(ax)
    if panel is None:
        _, panel = plt.subplots(figsize=(4.8, 6.1), layout="constrained")
    xlabel, ylabel, error = axis_labels
    for curve in curves:
        _draw(panel, curve, _label(curve.name, error, curve.error), kwargs)
    panel.set(xlabel=literal(xlabel), ylabel=literal(ylabel))
    place_legend(panel)
    return panel


def plot_models(
    curves: Sequence[ReliabilityCurve],
    axis_labels: tuple[str, str, str],
    ax: Any,
    kwargs: dict[str, Any],
) -> NDArray[Any]:
    """Draw each model in an axes of its own and return them."""
    axes, frame = _grid_axes(len(curves), ax, "models", "")
    xlabel, ylabel, error = axis_labels
    for panel, curve in zip(axes, curves, strict=True):
        _draw(panel, curve, _label(curve.name, error, curve.error), kwargs, small=True)
        panel.set_title(literal(f"{curve.name}\n{error} {curve.error:.4f}"), pad=TITLE_PAD, fontsize="small")
        if frame is None:
            panel.set(xlabel=literal(xlabel), ylabel=literal(ylabel))
    _label_outer(axes)
    if frame is not None:
        frame.supxlabel(literal(xlabel), fontsize="medium")
        frame.supylabel(literal(ylabel), fontsize="medium")
    return axes


def plot_grid(
    curves: Sequence[ReliabilityCurve],
    errors: Mapping[str | None, float],
    title: str,
    ax: Any,
    kwargs: dict[str, Any],
) -> NDArray[Any]:
    """Draw each class in an axes of its own and return them."""
    panels = [list(group) for _, group in groupby(curves, key=lambda curve: curve.label)]
    if len(errors) > _MAX_MODELS:
        return _plot_matrix(panels, errors, title, ax, kwargs)
    room = f", or max_classes={0 if ax is None else len(axes_list(ax))}"
    axes, frame = _grid_axes(len(panels), ax, "classes", room, n_lines=len(errors))
    lines: dict[str, Any] = {}
    for panel, of_class in zip(axes, panels, strict=True):
        if panel.get_title() not in ("", literal(f"{of_class[0].label}")):
            raise ValueError(
                f"An axes for class {of_class[0].label!r} already shows {panel.get_title()!r}: pass the "
                "classes as a list, kind=[curve.label for curve in display.curves]."
            )
        for curve in of_class:
            name = _label(curve.name, "class-wise ECE", errors[curve.name])
            lines[name] = _draw(panel, curve, name, kwargs, small=True, log=True)
            _note_error(panel, curve.error, lines[name].get_color())
        panel.set_title(literal(f"{of_class[0].label}"), pad=TITLE_PAD, fontsize="medium")
    _label_outer(axes)
    if frame is not None:
        frame.supxlabel("Probability of the class", fontsize="medium")
        frame.supylabel("Frequency of the class", fontsize="medium")
        frame.legend(lines.values(), lines.keys(), title=title, loc="outside upper center")
    return axes


def _plot_matrix(
    panels: Sequence[Sequence[ReliabilityCurve]],
    errors: Mapping[str | None, float],
    title: str,
    ax: Any,
    kwargs: dict[str, Any],
) -> NDArray[Any]:
    """Draw each class of each model in an axes of its own, a row a model, and return them."""
    n_classes = len(panels)
    what = f"curves, {n_classes} classes of {len(errors)} models,"
    axes, frame = _grid_axes(n_classes * len(errors), ax, what, "", n_columns=n_classes)
    curves = [curve for row in zip(*panels, strict=True) for curve in row]
    for panel, curve in zip(axes, curves, strict=True):
        text = f"{curve.name}, {curve.label}\n{curve.error:.4f}"
        _draw(panel, curve, text, kwargs, small=True, log=True)
        panel.set_title(literal(text), pad=TITLE_PAD, fontsize="small")
    _label_outer(axes)
    if frame is not None:
        for panel, error in zip(axes[::n_classes], errors.values(), strict=True):
            panel.set_ylabel(f"class-wise ECE {error:.4f}", fontsize="small")
        frame.supxlabel("Probability of the class", fontsize="medium")
        frame.supylabel("Frequency of the class", fontsize="medium")
        frame.suptitle(title, fontsize="medium")
    return axes


def _grid_axes(
    n_panels: int, ax: Any, what: str, hint: str, *, n_columns: int = 4, n_lines: int = 1
) -> tuple[NDArray[Any], Any]:
    """Return the axes and, if they have been made here, the (sub)figure for title and legend."""
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        axes = np.array(axes_list(ax), dtype=object)
        if len(axes) < n_panels:
            raise ValueError(
                f"ax holds {len(axes)} axes, but {n_panels} {what} are to be shown: pass as many axes, one "
                f"axes to be divided{hint}."
            )
        return axes[:n_panels], None
    n_columns = min(n_columns, n_panels)
    n_rows = ceil(n_panels / n_columns)
    if ax is None:
        size = 2.4 * n_columns + 0.8, 2.8 * n_rows + 0.9 + 0.2 * n_lines
        frame: Any = plt.figure(figsize=size, layout="constrained")
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


def _label_outer(axes: NDArray[Any]) -> None:
    """Leave the labels of ticks to the axes at the left, and to the last of each column."""
    for number, panel in enumerate(axes):
        panel.label_outer()
        place = panel.get_subplotspec()
        if place is not None and number + place.get_gridspec().ncols >= len(axes):
            panel.tick_params(labelbottom=True)


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
    text = f"{error_name} {error:.4f}"
    return text if name is None else legend_label(f"{name} ({text})")


def _draw(
    ax: "Axes",
    curve: ReliabilityCurve,
    label: str,
    kwargs: dict[str, Any],
    *,
    small: bool = False,
    log: bool = False,
) -> Any:
    """Draw one curve, with the next free colour and marker, and return its line."""
    from matplotlib.colors import to_rgba

    number = n_histograms(ax)
    if number == 0:
        ax.plot([0, 1], [0, 1], color="0.5", linestyle=":", linewidth=1, gid=_DIAGONAL)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="auto" if small else "equal")
    style = {
        **curve_style(number),
        "gid": _CURVE,
        "markersize": 3 if small else 4,
        "linewidth": 0.7 if small else 1,
        "label": label,
        **line_keywords(kwargs),
    }
    (line,) = ax.plot(curve.mean_proba, curve.frequency, **style)
    few = curve.count < _FEW
    _hollow(ax, line, few)
    color = line.get_color()
    faded = [to_rgba(color, 0.4) if hollow else to_rgba(color) for hollow in few]
    ax.vlines(curve.mean_proba, curve.low, curve.high, colors=faded, linewidth=0.8)
    even = np.linspace(0, 1, len(curve.histogram) + 1)
    # For one class of many nearly all samples lie in the first bin, hence the logarithm; and small
    # panels have no room for numbers.
    draw_histogram(histogram_axes(ax), curve.histogram, even, color, log=log, numbers=not small)
    return line


def _hollow(ax: "Axes", line: Any, few: NDArray[np.bool_]) -> None:
    """Draw the markers of bins with few rows in white, within the line's own colour."""
    x, y = line.get_data()
    ax.plot(
        x[few],
        y[few],
        linestyle="none",
        marker=line.get_marker(),
        markersize=line.get_markersize(),
        markeredgecolor=line.get_markeredgecolor(),
        markerfacecolor="white",
        alpha=line.get_alpha(),
        zorder=line.get_zorder() + 0.1,
        gid=_HOLLOW,
    )
