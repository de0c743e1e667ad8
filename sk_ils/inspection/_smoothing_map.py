"""Where a rule puts the mass that it takes from the true class: the mean target of each class."""

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sk_ils.inspection._heat_map import label_axis, write_numbers
from sk_ils.inspection._style import literal
from sk_ils.metrics._predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["MeanTargets", "plot_map"]

# Sizes of the numbers in points; smaller ones cannot be read. A digit is about 0.6 as wide as it is
# high, and a number has four characters with some room around.
_MAX_FONT, _MIN_FONT, _WIDTH = 8.5, 4.5, 0.6 * 4.6
_TITLE_WIDTH = 30


@dataclass(frozen=True)
class MeanTargets:
    """The mean target of the samples of each class.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Their labels.
    counts : ndarray of shape (n_classes,)
        Number of samples of each class.
    targets : ndarray of shape (n_classes, n_classes)
        Mean target of the samples of a class (row) for each class (column); NaN without a sample.
    """

    classes: NDArray[Any]
    counts: NDArray[np.intp]
    targets: NDArray[np.float64]

    @classmethod
    def of(cls, teacher: Predictions, smoothing: Any) -> "MeanTargets":
        """Return those of a rule for a teacher's probabilities."""
        if not hasattr(smoothing, "targets"):
            raise ValueError(
                "The map shows a rule's targets, so that smoothing must have targets(y, teacher_logits); got "
                f"{smoothing!r} without."
            )
        if getattr(smoothing, "needs_student", False):
            raise ValueError(
                f"The targets of {smoothing!r} depend on the student, not on the teacher: pass kind='curve'."
            )
        n_classes = len(teacher.labels)
        counts = np.bincount(teacher.codes, minlength=n_classes)
        sums = np.zeros((n_classes, n_classes))
        # Logits are defined up to a constant a row; a probability of 0 has none that is finite.
        parts: Iterable[Any] = (
            (codes, np.log(np.maximum(proba, np.finfo(proba.dtype).tiny)))
            for proba, codes, _ in teacher.chunks()
        )
        if getattr(smoothing, "needs_all_rows", False):
            parts = [tuple(map(np.concatenate, zip(*parts, strict=True)))]
        for codes, logits in parts:
            np.add.at(sums, codes, np.asarray(smoothing.targets(codes, logits), dtype=np.float64))
        divisor = np.where(counts > 0, counts, np.nan)[:, None]
        return cls(teacher.labels, counts, sums / divisor)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return a table's columns, one row for each pair of classes."""
        n_classes = len(self.classes)
        return {
            "true_class": np.repeat(self.classes, n_classes),
            "class": np.tile(self.classes, n_classes),
            "count": np.repeat(self.counts, n_classes),
            "mean_target": self.targets.ravel(),
        }


def plot_map(
    mean: MeanTargets, title: str, ax: "Axes | None", kwargs: dict[str, Any]
) -> tuple["Axes", "AxesImage"]:
    """Draw the map, the first true class at the top; return axes and image."""
    import matplotlib.pyplot as plt

    n_classes = len(mean.classes)
    if ax is None:
        side = float(np.clip(0.5 * n_classes, 2.5, 9))
        _, ax = plt.subplots(figsize=(side + 2.3, side + 1.4), layout="constrained")
    wrong = np.ma.masked_invalid(np.where(np.eye(n_classes, dtype=bool), np.nan, mean.targets))
    # Nothing may be smoothed at all.
    limits: dict[str, Any] = {} if "norm" in kwargs else {"vmin": 0, "vmax": wrong.max() or 1}
    style: dict[str, Any] = {"cmap": "cividis"} | limits | kwargs
    image = ax.imshow(wrong, **style)
    ax.set_facecolor("0.93")
    for axis in (ax.xaxis, ax.yaxis):
        label_axis(axis, mean.classes.tolist())
    ax.set(xlabel="Class", ylabel="True class")
    # A rule's representation is longer than a small map is wide.
    ax.set_title(literal(fill(title, _TITLE_WIDTH, break_long_words=False)), fontsize="medium")
    bar = ax.figure.colorbar(image, ax=ax, label="Mean target of a wrong class")
    bar.ax.tick_params(labelsize="small")
    ax.apply_aspect()
    cell = 72 * ax.get_window_extent().width / ax.figure.dpi / n_classes
    fontsize = min(_MAX_FONT, cell / _WIDTH)
    if fontsize >= _MIN_FONT:
        write_numbers(ax, image, mean.targets, np.isnan(mean.targets), _short, fontsize)
    return ax, image


def _short(target: float) -> str:
    """Return a target in four characters, such as .012, or as 1."""
    text = f"{target:.3f}"
    return "1" if text == "1.000" else text.removeprefix("0")
