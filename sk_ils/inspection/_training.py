"""The losses of a fit, epoch by epoch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sk_ils._sklearn_compat import validate_parameter_constraints
from sk_ils.inspection._style import curve_style, legend_label, line_keywords, place_legend, single_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

__all__ = ["TrainingCurve", "TrainingDisplay"]

# Group ids of the lines, and of the one marker that each network has.
_CURVE, _BEST = "training curve", "best epoch"

_CONSTRAINTS: dict[str, list[Any]] = {"name": [str, None]}


@dataclass(frozen=True)
class TrainingCurve:
    """The losses of one network in nats; arrays of shape (n_epochs,).

    Parameters
    ----------
    network : {"teacher", "student", "network"}
        Which of an estimator's networks; "network" is the only one.
    train_loss : ndarray
        Mean cross-entropy of the training part against its targets, those of a student smoothed,
        over the steps of the epoch.
    valid_loss : ndarray
        Cross-entropy of the hold-out's hard labels after the epoch, NaN where there was none.
    best_epoch : int or None
        Which epoch was kept, counted from 1; None if it is not known.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ils import TeacherClassifier
    >>> from sk_ils.inspection import TrainingDisplay
    >>> clf = TeacherClassifier(max_epochs=5, random_state=0).fit(*load_iris(return_X_y=True))
    >>> (curve,) = TrainingDisplay.from_estimator(clf).curves
    >>> curve.network, curve.train_loss.shape, curve.best_epoch == clf.best_epoch_
    ('network', (5,), True)
    """

    network: str
    train_loss: NDArray[np.float64]
    valid_loss: NDArray[np.float64]
    best_epoch: int | None

    @property
    def has_hold_out(self) -> bool:
        """Whether some epoch has a validation loss."""
        return bool(np.isfinite(self.valid_loss).any())

    @property
    def marked_loss(self) -> NDArray[np.float64]:
        """The loss on which the best epoch is marked: that of the hold-out, if it had one."""
        best = self.best_epoch
        return self.valid_loss if best and np.isfinite(self.valid_loss[best - 1]) else self.train_loss


class TrainingDisplay:
    """The losses of teacher and student over the epochs.

    Create it with :meth:`from_estimator`.

    A dashed line is the loss of the training part, a solid one that of the hold-out, and a marker
    is at the epoch whose weights were kept. The losses do not tell whether a student is better than
    its teacher: its targets are smoothed, so their own entropy is in its training loss, and that of
    the hold-out is taken before temperature scaling.

    Parameters
    ----------
    curves : list of TrainingCurve
        The networks, a teacher first.
    name : str, default=None
        Name in the legend, before those of the networks.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        For each network the line of the training part, then that of the hold-out if there is one.
    ax_ : matplotlib Axes
        The axes with the picture.
    figure_ : matplotlib Figure
        The figure that holds it.

    See Also
    --------
    sk_ils.classifiers.FitReport : Epochs, temperatures and seconds in numbers.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sk_ils import InstanceSmoothedClassifier
    >>> from sk_ils.inspection import TrainingDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = InstanceSmoothedClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> display = TrainingDisplay.from_estimator(clf)
    >>> [curve.network for curve in display.curves]
    ['teacher', 'student']
    >>> display.frame().columns.tolist()
    ['network', 'epoch', 'train_loss', 'valid_loss', 'is_best']
    >>> plt.show()
    """

    lines_: "list[Line2D]"
    ax_: "Axes"
    figure_: "Figure | SubFigure"

    def __init__(self, curves: list[TrainingCurve], *, name: str | None = None) -> None:
        self.curves = curves
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: "Axes | None" = None, **kwargs: Any
    ) -> Self:
        """Draw the losses of a fitted estimator's networks.

        Parameters
        ----------
        estimator : TeacherClassifier, InstanceSmoothedClassifier or pipeline that ends in one
            Fitted, with its `history`. A teacher that is no network has no losses to show.
        name : str, default=None
            Name in the legend, before those of the networks.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add other networks.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot` for each line, short names such as `lw`,
            too.

        Returns
        -------
        TrainingDisplay
            With `lines_`, `ax_` and `figure_` set.

        Raises
        ------
        TypeError
            If the estimator is no network, such as a search or an ensemble.
        NotFittedError
            If there is no epoch to show: the estimator is not fitted, was trimmed or loaded.
        """
        if isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        if not hasattr(estimator, "history"):
            raise TypeError(
                "from_estimator needs a fitted TeacherClassifier or InstanceSmoothedClassifier, or a "
                f"Pipeline that ends with one; got {type(estimator).__name__}. Of a search pass "
                "best_estimator_, and of an ensemble one of its estimators_: each was trained by itself."
            )
        if not estimator.history:
            raise NotFittedError(
                f"This {type(estimator).__name__} has no history of epochs. Call fit first; what "
                "trim_for_prediction dropped is lost, and load_params loads it by f_history."
            )
        validate_parameter_constraints(_CONSTRAINTS, {"name": name}, caller_name=cls.__name__)
        teacher = getattr(estimator, "teacher_", None)
        teacher = teacher.estimator if isinstance(teacher, FrozenEstimator) else teacher
        curves = [_curve(estimator, "network")]
        if getattr(teacher, "history", None):
            curves = [_curve(teacher, "teacher"), _curve(estimator, "student")]
        return cls(curves, name=name).plot(ax=ax, **kwargs)

    def plot(self, ax: "Axes | None" = None, **kwargs: Any) -> Self:
        """Draw the losses.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Pass a display's `ax_` to add other networks.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot` for each line, short names such as `lw`,
            too.

        Returns
        -------
        TrainingDisplay
            The display itself, with `lines_`, `ax_` and `figure_` set.
        """
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        ax = single_axes(ax)
        keywords = line_keywords(kwargs)
        if ax is None:
            _, ax = plt.subplots(figsize=(5.8, 4.9), layout="constrained")
        self.lines_ = []
        for curve in self.curves:
            self.lines_ += _draw(ax, curve, self._label(curve), keywords)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        ax.set(xlabel="Epoch", ylabel="Cross-entropy (nats)")
        place_legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _label(self, curve: TrainingCurve) -> str:
        parts = [self.name, None if curve.network == "network" else curve.network]
        return " ".join(part for part in parts if part is not None)

    def frame(self) -> "pd.DataFrame":
        """Return the numbers behind the picture.

        Returns
        -------
        pandas.DataFrame
            A row for each epoch of each network with the columns network, epoch (from 1),
            train_loss, valid_loss (NaN without a hold-out) and is_best (whether it was kept).
        """
        import pandas as pd

        frames = []
        for curve in self.curves:
            epoch = np.arange(1, len(curve.train_loss) + 1)
            columns = {"train_loss": curve.train_loss, "valid_loss": curve.valid_loss}
            first = {"network": curve.network, "epoch": epoch}
            frames.append(pd.DataFrame({**first, **columns, "is_best": epoch == curve.best_epoch}))
        return pd.concat(frames, ignore_index=True)


def _curve(net: Any, network: str) -> TrainingCurve:
    """Return the losses that a network has recorded."""
    losses = {
        name: np.array([record.get(name, np.nan) for record in net.history], dtype=np.float64)
        for name in ("train_loss", "valid_loss")
    }
    return TrainingCurve(network, **losses, best_epoch=getattr(net, "best_epoch_", None))


def _draw(ax: "Axes", curve: TrainingCurve, label: str, keywords: dict[str, Any]) -> "list[Line2D]":
    """Add a network's lines with one colour, and a marker at its best epoch; return the lines."""
    style = curve_style(sum(line.get_gid() == _BEST for line in ax.lines))
    epochs = np.arange(1, len(curve.train_loss) + 1)
    own = {
        "gid": _CURVE,
        "color": style["color"],
        # A line of one epoch would be nothing without it.
        "marker": "." if len(epochs) == 1 else "",
    }
    parts = [("training", curve.train_loss, "--", 1.2)]
    if curve.has_hold_out:
        parts.append(("hold-out", curve.valid_loss, "-", 1.8))
    lines = []
    for part, losses, linestyle, width in parts:
        if losses is curve.marked_loss and curve.best_epoch:
            part = f"{part} (epoch {curve.best_epoch} kept)"
        text = legend_label(f"{label}, {part}" if label else part)
        shown = {"linestyle": linestyle, "linewidth": width, "label": text, **own}
        lines += ax.plot(epochs, losses, **{**shown, **keywords})
    _mark(ax, curve, color=lines[-1].get_color(), marker=style["marker"])
    return lines


def _mark(ax: "Axes", curve: TrainingCurve, **style: Any) -> None:
    """Add a marker at the best epoch, an empty one if that is not known: it counts the networks."""
    best = curve.best_epoch
    point = ([best], [curve.marked_loss[best - 1]]) if best else ([], [])
    ax.plot(*point, gid=_BEST, markersize=8, markeredgecolor="white", linestyle="", zorder=3, **style)
