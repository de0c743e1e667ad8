"""What heat maps share: the values at their axes and the numbers in their cells."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sk_ils.inspection._style import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["label_axis", "slanted", "value_label", "write_numbers"]

_MAX_TICKS = 25
_MAX_LABEL = 32


def value_label(value: Any) -> str:
    """Return a parameter's value as it is written at an axis or in a legend."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"


def slanted(values: Sequence[Any]) -> bool:
    """Whether the values' labels are too long to stand side by side."""
    return max(len(value_label(value)) for value in values) > (7 if len(values) <= 12 else 3)


def label_axis(axis: Any, values: Sequence[Any]) -> None:
    """Write the values at the middle of their cells, leaving out some if there are very many."""
    places = range(0, len(values), -(-len(values) // _MAX_TICKS))
    slant: dict[str, Any] = {}
    if axis.axis_name == "x" and slanted(values):
        slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axis.set_ticks(places, [literal(value_label(values[place])) for place in places], **slant)


def write_numbers(
    ax: "Axes",
    image: "AxesImage",
    values: NDArray[Any],
    absent: NDArray[np.bool_],
    form: Callable[[float], str],
    fontsize: float | str,
) -> NDArray[Any]:
    """Write each value into its cell, dark on bright or bright on dark."""
    texts = np.full(values.shape, None, dtype=object)
    for (row, column), value in np.ndenumerate(values):
        if absent[row, column]:
            continue
        red, green, blue, _ = image.cmap(image.norm(value)) if np.isfinite(value) else (1, 1, 1, 1)
        bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": "black" if bright else "white"}
        texts[row, column] = ax.text(column, row, form(value), fontsize=fontsize, **style)
    return texts
