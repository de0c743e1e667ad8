"""How the scores of a search are drawn: as a heat map, or as lines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sk_ils.inspection._search_cells import SearchCell, axis_values, cell_key
from sk_ils.inspection._style import COLORS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["plot_heat_map", "plot_lines", "value_label"]

# More cells than these have no room for numbers.
_MAX_NUMBERS = 60
_MAX_TICKS = 25
_MAX_LABEL = 32
# Numbers that span more than this factor get a logarithmic axis.
_LOG_FROM = 100


def value_label(value: Any) -> str:
    """Return a parameter's value as it is written at an axis or in a legend."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"


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
    _label_axis(ax.xaxis, x_values)
    _label_axis(ax.yaxis, y_values)
    bar = ax.figure.colorbar(image, ax=ax, label=score_label)
    bar.ax.tick_params(labelsize="small")
    texts = _write_numbers(ax, image, scores, absent) if scores.size <= _MAX_NUMBERS else None
    if np.isfinite(scores).any():
        _outline(ax, scores, sign)
    return ax, image, texts


def _size(x_values: Sequence[Any], y_values: Sequence[Any]) -> tuple[float, float]:
    """Return the figure's size in inches: the cells, and room for labels and colour bar."""
    longest = [max(len(value_label(value)) for value in values) for values in (x_values, y_values)]
    width, height = np.clip(0.75 * len(x_values), 2, 11), np.clip(0.55 * len(y_values), 2.8, 9)
    return width + 1.6 + 0.08 * longest[1], height + 0.6 + (0.06 * longest[0] if _slanted(x_values) else 0)


def _slanted(values: Sequence[Any]) -> bool:
    """Whether the values' labels are too long to stand side by side."""
    return max(len(value_label(value)) for value in values) > (7 if len(values) <= 12 else 3)


def _label_axis(axis: Any, values: Sequence[Any]) -> None:
    """Write the values at the middle of their cells, leaving out some if there are very many."""
    places = range(0, len(values), -(-len(values) // _MAX_TICKS))
    slant: dict[str, Any] = {}
    if axis.axis_name == "x" and _slanted(values):
        slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axis.set_ticks(places, [value_label(values[place]) for place in places], **slant)


def _write_numbers(
    ax: "Axes", image: "AxesImage", scores: NDArray[Any], absent: NDArray[Any]
) -> NDArray[Any]:
    """Write each score into its cell, dark on bright or bright on dark; "nan" if all failed."""
    decimals = _decimals(scores)
    texts = np.full(scores.shape, None, dtype=object)
    for (row, column), score in np.ndenumerate(scores):
        if absent[row, column]:
            continue
        red, green, blue, _ = image.cmap(image.norm(score)) if np.isfinite(score) else (1, 1, 1, 1)
        bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        texts[row, column] = ax.text(
            column,
            row,
            f"{score:.{decimals}f}" if np.abs(score) < 1e5 else f"{score:.3g}",
            ha="center",
            va="center",
            color="black" if bright else "white",
            fontsize="small" if scores.shape[1] <= 8 else "xx-small",
        )
    return texts


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
    ticks = np.array(x_values, dtype=np.float64) if numeric else np.array(list(map(value_label, x_values)))
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
            "color": COLORS[number % len(COLORS)],
            "marker": MARKERS[number % len(MARKERS)],
            "linestyle": "-" if numeric else "none",
            "markersize": 4,
            "linewidth": 1,
            "capsize": 2,
            "label": name,
            **kwargs,
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
        ax.legend(fontsize="small")
    return ax, bars
