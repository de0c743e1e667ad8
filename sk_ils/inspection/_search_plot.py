"""How the scores of a search are drawn: as a heat map, or as lines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sk_ils.inspection._heat_map import label_axis, slanted, value_label, write_numbers
from sk_ils.inspection._search_cells import SearchCell, axis_values, cell_key
from sk_ils.inspection._style import (
    BELOW,
    COLORS,
    curve_style,
    legend_label,
    line_keywords,
    literal,
    place_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["note_edge", "plot_heat_map", "plot_lines", "ring"]

_EDGE_NOTE, _EDGE_RING = "note of an edge", "best at the edge"
# More cells than these have no room for numbers.
_MAX_NUMBERS = 60
# Numbers that span more than this factor get a logarithmic axis.
_LOG_FROM = 100


def plot_heat_map(
    cells: Sequence[SearchCell], score_label: str, sign: int, ax: "Axes | None", kwargs: dict[str, Any]
) -> tuple["Axes", "AxesImage", NDArray[Any] | None]:
    """Draw the cells with y upwards; return the axes, the image, and the numbers' texts or None.

    The sign is 1 if greater is better, else -1.
    """
    import matplotlib.pyplot as plt

    x_values, _ = axis_values([cell.x for cell in cells])
    y_values, _ = axis_values([cell.y for cell in cells])
    scores = np.full((len(y_values), len(x_values)), np.nan)
    absent = np.full(scores.shape, True)
    columns = {cell_key(value): column for column, value in enumerate(x_values)}
    rows = {cell_key(value): row for row, value in enumerate(y_values)}
    for cell in cells:
        place = rows[cell_key(cell.y)], columns[cell_key(cell.x)]
        scores[place], absent[place] = cell.mean_score, False
    if ax is None:
        _, ax = plt.subplots(figsize=_size(x_values, y_values), layout="constrained")
    # Bright is better, for losses, too.
    style = {"cmap": "viridis" if sign > 0 else "viridis_r", "aspect": "auto", "origin": "lower", **kwargs}
    image = ax.imshow(np.ma.masked_invalid(scores), **style)
    ax.set_facecolor("0.93")
    label_axis(ax.xaxis, x_values)
    label_axis(ax.yaxis, y_values)
    bar = ax.figure.colorbar(image, ax=ax, label=score_label)
    bar.ax.tick_params(labelsize="small")
    texts = _write_scores(ax, image, scores, absent) if scores.size <= _MAX_NUMBERS else None
    if np.isfinite(scores).any():
        _outline(ax, scores, sign)
    return ax, image, texts


def _size(x_values: Sequence[Any], y_values: Sequence[Any]) -> tuple[float, float]:
    """Return the figure's size in inches: the cells, and room for labels and colour bar."""
    longest = [max(len(value_label(value)) for value in values) for values in (x_values, y_values)]
    width, height = np.clip(0.75 * len(x_values), 2, 11), np.clip(0.55 * len(y_values), 2.8, 9)
    return width + 1.6 + 0.08 * longest[1], height + 0.6 + (0.06 * longest[0] if slanted(x_values) else 0)


def _write_scores(
    ax: "Axes", image: "AxesImage", scores: NDArray[Any], absent: NDArray[np.bool_]
) -> NDArray[Any]:
    """Write each score into its cell; "nan" if all candidates failed."""
    decimals = _decimals(scores)

    def form(score: float) -> str:
        return f"{score:.{decimals}f}" if np.abs(score) < 1e5 else f"{score:.3g}"

    fontsize = "small" if scores.shape[1] <= 8 else "xx-small"
    return write_numbers(ax, image, scores, absent, form, fontsize)


def _decimals(scores: NDArray[Any]) -> int:
    """Return how many decimals tell the scores apart: three digits of their range, two at least."""
    finite = scores[np.isfinite(scores)]
    spread = np.ptp(finite) if finite.size else 0.0
    return int(np.clip(2 - np.floor(np.log10(spread)), 2, 6)) if spread > 0 else 4


def _outline(ax: "Axes", scores: NDArray[Any], sign: int) -> None:
    from matplotlib.patches import Rectangle

    row, column = np.unravel_index(np.nanargmax(sign * scores), scores.shape)
    corner = float(column) - 0.5, float(row) - 0.5
    best = Rectangle(corner, 1, 1, fill=False, edgecolor=COLORS[1], linewidth=3, clip_on=False, zorder=3)
    ax.add_patch(best)


def plot_lines(
    cells: Sequence[SearchCell], names: Sequence[str | None], ax: "Axes | None", kwargs: dict[str, Any]
) -> tuple["Axes", list[Any]]:
    """Draw mean and standard error over x; return the axes and one errorbar for each line.

    The names are those of the lines, in the order in which the cells have them.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
    x_values, numeric = axis_values([cell.x for cell in cells])
    place = {cell_key(value): i for i, value in enumerate(x_values)}
    names_of_x = [literal(value_label(value)) for value in x_values]
    ticks = np.array(x_values, dtype=np.float64) if numeric else np.array(names_of_x)
    if not numeric:
        # All categories in their order, before a line that has only some of them.
        ax.xaxis.update_units(ticks)  # type: ignore[no-untyped-call, unused-ignore]
    bars = []
    lines, _ = axis_values([cell.line for cell in cells])
    for line, name in zip(lines, names, strict=True):
        chosen = [cell for cell in cells if cell_key(cell.line) == cell_key(line)]
        chosen.sort(key=lambda cell: place[cell_key(cell.x)])
        number = len(ax.containers)
        style = {
            **curve_style(number),
            "linestyle": "-" if numeric else "none",
            "markersize": 4,
            "linewidth": 1,
            "capsize": 2,
            "label": None if name is None else legend_label(name),
            **line_keywords(kwargs),
        }
        bars.append(
            ax.errorbar(
                ticks[[place[cell_key(cell.x)] for cell in chosen]],
                np.array([cell.mean_score for cell in chosen]),
                yerr=np.array([cell.standard_error for cell in chosen]),
                **style,
            )
        )
    if numeric and x_values[0] > 0 and x_values[-1] > _LOG_FROM * x_values[0]:
        ax.set_xscale("log")
    if not numeric:
        ax.margins(x=0.5 / len(x_values))
    if any(name is not None for name in names):
        place_legend(ax)
    return ax, bars


def note_edge(ax: "Axes", text: str | None) -> None:
    """Write a note below the axes, its label, its legend and the notes that are there already."""
    notes = [artist for artist in ax.texts if artist.get_gid() == _EDGE_NOTE]
    if text is not None:
        style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": "small", "color": COLORS[1]}
        below: dict[str, Any] = {"xytext": (0, -2), "textcoords": "offset points", "annotation_clip": False}
        notes.append(ax.annotate(text, (0.5, 0), **below, **style, gid=_EDGE_NOTE))
    legend = ax.get_legend()
    anchor: Any = legend if legend is not None and legend.get_gid() == BELOW else ax.xaxis.label
    # The legend may be a new one since the earlier notes were written.
    for note in notes:
        note.xycoords = anchor  # type: ignore[attr-defined]
        anchor = note


def ring(ax: "Axes", x: float, y: float) -> None:
    """Draw a ring around a point."""
    ax.plot([x], [y], "o", markersize=11, fillstyle="none", color=COLORS[1], gid=_EDGE_RING)
