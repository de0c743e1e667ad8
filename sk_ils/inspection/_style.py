"""What the displays share: colours, and the histogram above an axes."""

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType

__all__ = ["COLORS", "MARKERS", "TITLE_PAD", "draw_histogram", "histogram_axes", "short_count"]

# Okabe and Ito (2008), "Color Universal Design": the colours differ for any colour vision. Their
# yellow is left out, because it is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_HISTOGRAM = "histogram"
# Height of the strip and its distance from the axes in inches: the layout engine reserves room for
# artists of a fixed size. TITLE_PAD, in points, puts a title above the strip.
_HEIGHT, _GAP = 0.5, 0.07
TITLE_PAD = 72 * (_HEIGHT + _GAP) + 4


def histogram_axes(ax: "Axes") -> "Axes":
    """Return the strip above the axes for a histogram, made at the first call."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    for child in ax.child_axes:
        if child.get_label() == _HISTOGRAM:
            return cast("Axes", child)
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
    strip.margins(y=0.3)
    strip.yaxis.set_major_formatter(lambda count, _: short_count(count))
    if log:
        # The lower limit is half the smallest count, so that even a single sample has a bar.
        lower = counts[counts > 0].min() / 2
        strip.set_ylim(bottom=lower if first else min(lower, strip.get_ylim()[0]))
        strip.yaxis.set_major_locator(LogLocator(numticks=3))
        strip.yaxis.set_minor_locator(NullLocator())
    else:
        strip.set_ylim(bottom=0)
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
