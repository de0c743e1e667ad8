"""What the displays share: axes, colours, texts, legends, and the histogram above an axes."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from matplotlib.typing import ColorType

__all__ = [
    "BELOW",
    "COLORS",
    "TITLE_PAD",
    "axes_list",
    "curve_style",
    "draw_histogram",
    "histogram_axes",
    "legend_label",
    "line_keywords",
    "literal",
    "n_histograms",
    "place_legend",
    "short_count",
    "single_axes",
]

# Okabe and Ito (2008), "Color Universal Design": the colours differ for any colour vision. Their
# yellow is left out, because it is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_HISTOGRAM = "histogram"
# Group id of a legend below its axes.
BELOW = "below the axes"
# Height of the strip and its distance from the axes in inches: the layout engine reserves room for
# artists of a fixed size. TITLE_PAD, in points, puts a title above the strip.
_HEIGHT, _GAP = 0.5, 0.07
TITLE_PAD = 72 * (_HEIGHT + _GAP) + 4
# How far below an axes its legend begins, in inches: below the ticks and the label of the x-axis.
_LEGEND_DROP = 0.55
# Room for numbers above the highest bar of the strip, as a share of its height.
_HEADROOM = 0.3


def axes_list(ax: Any) -> "list[Axes]":
    """Return the axes in an array or list of any shape, or the single one."""
    from matplotlib.axes import Axes

    found = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, dtype=object)))
    strangers = [item for item in found if not isinstance(item, Axes)]
    if strangers:
        raise ValueError(
            f"ax must be a matplotlib Axes, or an array of them where several are drawn; got "
            f"{type(strangers[0]).__name__}."
        )
    return found


def single_axes(ax: Any) -> "Axes | None":
    """Return the axes to draw into; an array of exactly one will do."""
    if ax is None:
        return None
    found = axes_list(ax)
    if len(found) != 1:
        raise ValueError(f"One axes is drawn into, but ax holds {len(found)}: pass one of them.")
    return found[0]


def line_keywords(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return keywords of a line by their full names, such as "color" for "c"."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    full: dict[str, Any] = normalize_kwargs(kwargs, Line2D)
    return full


def curve_style(number: int) -> dict[str, Any]:
    """Return the colour and marker of the curve with this number; the first 49 pairs differ."""
    turn, place = divmod(number, len(COLORS))
    return {"color": COLORS[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def literal(text: str) -> str:
    """Return a text that is drawn as it is: a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def legend_label(text: str) -> str:
    """Return a text that a legend draws as it is; it leaves out those that begin with "_"."""
    return literal(f" {text}" if text.startswith("_") else text)


def place_legend(ax: "Axes") -> None:
    """Add the legend where it covers no data: below the axes if the figure makes room for it.

    That is what a layout engine does. Without one a corner without data is taken if there is any.
    """
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    if ax.figure.get_layout_engine() is None:
        ax.apply_aspect()  # as drawing will: the axes may become smaller
        for corner in ("upper left", "lower right", "lower left", "upper right"):
            if not _covers_data(ax, ax.legend(loc=corner, fontsize="small")):
                return
    bottom = ScaledTranslation(0, 0, ax.transAxes)  # type: ignore[arg-type]  # as in histogram_axes
    legend = ax.legend(
        loc="upper center",
        fontsize="small",
        borderaxespad=0,
        bbox_to_anchor=(0.5, -_LEGEND_DROP),
        bbox_transform=blended_transform_factory(ax.transAxes, ax.figure.dpi_scale_trans + bottom),
    )
    legend.set_gid(BELOW)


def _covers_data(ax: "Axes", legend: "Legend") -> bool:
    """Return whether a legend lies over a point of a line, or over an interval."""
    box = legend.get_window_extent()
    paths = [line.get_path().transformed(line.get_transform()) for line in ax.lines]
    for bars in ax.collections:
        paths += [path.transformed(bars.get_transform()) for path in bars.get_paths()]
    return any(path.intersects_bbox(box, filled=False) for path in paths)


def histogram_axes(ax: "Axes") -> "Axes":
    """Return the strip above the axes for a histogram, made at the first call."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    for strip in _strips(ax):
        return strip
    top = ScaledTranslation(0, 1, ax.transAxes)  # type: ignore[arg-type]  # the stubs ask for too much
    inches_from_top = ax.figure.dpi_scale_trans + top
    strip = ax.inset_axes(
        (0, _GAP, 1, _HEIGHT),
        transform=blended_transform_factory(ax.transAxes, inches_from_top),
        sharex=ax,
        label=_HISTOGRAM,
    )
    strip.tick_params(labelbottom=False)
    strip.spines[["top", "right"]].set_visible(False)
    return strip


def _strips(ax: "Axes") -> "list[Axes]":
    return [cast("Axes", child) for child in ax.child_axes if child.get_label() == _HISTOGRAM]


def n_histograms(ax: "Axes") -> int:
    """Return how many histograms the strip above an axes has, one for each curve that was drawn."""
    return sum(len(strip.containers) for strip in _strips(ax))


def draw_histogram(
    strip: "Axes",
    counts: NDArray[np.float64],
    edges: NDArray[np.float64],
    color: "ColorType",
    *,
    log: bool = False,
    numbers: bool = True,
) -> None:
    """Add the counts in bins, with numbers over the bars if it is the only histogram."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    first = not strip.patches
    bars = strip.bar(
        edges[:-1],
        counts,
        np.diff(edges),
        align="edge",
        color=(color, 0.35),
        edgecolor=color,
        linewidth=0.8,
        log=log,
    )
    # Those of all curves in this axes.
    shown = np.array([bar.get_height() for bar in strip.patches])  # type: ignore[attr-defined]
    highest = shown.max()
    strip.yaxis.set_major_formatter(lambda count, _: short_count(count))
    if log:
        # The lower limit is half the smallest count, so that even a single sample has a bar.
        lower = shown[shown > 0].min() / 2
        strip.set_ylim(lower, lower * (highest / lower) ** (1 + _HEADROOM))
        strip.yaxis.set_major_locator(LogLocator(numticks=3))
        strip.yaxis.set_minor_locator(NullLocator())
    else:
        strip.set_ylim(0, highest * (1 + _HEADROOM))
        strip.yaxis.set_major_locator(MaxNLocator(2, prune="lower"))
    for text in list(strip.texts):
        text.remove()
    if first and numbers:
        labels = [short_count(count) if count else "" for count in counts]
        strip.bar_label(bars, labels, fontsize="xx-small", padding=1)


def short_count(count: float) -> str:
    """Return a count in at most four characters, such as 950, 1.2k, 35k or 1M."""
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            scaled = count / unit
            return f"{scaled:.2g}{suffix}" if scaled < 9.95 else f"{scaled:.0f}{suffix}"
    return f"{count:.3g}"
