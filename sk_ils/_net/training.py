"""Parts of a training loop: its state, best epoch, meter of an epoch, logits."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import BatchScoring, EpochScoring, PassthroughScoring
from skorch.dataset import Dataset as SkorchDataset
from torch import Tensor, nn

from sk_ils._net.inputs import name_item_not_finite
from sk_ils._samples import SampleSet, Targets
from sk_ils._sklearn_compat import NO_TASK, FitTask
from sk_ils.temperature import fit_temperature

DTYPES = {"float32": torch.float32, "float64": torch.float64}
# Data go to the GPU once, as a whole, if they take less than this share of its free memory.
_RESIDENT_SHARE = 0.5
# The logit of a class that cannot be, at any temperature.
_IMPOSSIBLE = -1e30


class NonFiniteLossError(ArithmeticError, ValueError):
    """The training or validation loss became NaN or infinite.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ils import TeacherClassifier
    >>> from sk_ils.classifiers import NonFiniteLossError
    >>> try:
    ...     TeacherClassifier(lr=1e30, random_state=0).fit(*load_iris(return_X_y=True))
    ... except NonFiniteLossError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    The valid loss of epoch 1 is nan. Lower lr (now 1e+30), scale the features ...
    """

    @classmethod
    def of(cls, prefix: str, *, epoch: int, loss: float, lr: float, cause: str = "") -> Self:
        """Return the error that says which loss it was, and what to do.

        Parameters
        ----------
        prefix : {"train", "valid"}
            Which loss.
        epoch : int
            Counted from 1.
        loss : float
            NaN or infinite.
        lr : float
            The learning rate.
        cause : str, default=""
            A sentence on bad data, if that is why.

        Returns
        -------
        NonFiniteLossError
            To be raised.
        """
        cure = (
            f"Lower lr (now {lr}), scale the features (for example with StandardScaler), or clip gradients "
            "(skorch's GradientNormClipping)."
        )
        return cls(f"The {prefix} loss of epoch {epoch} is {loss}. {cause or cure}")


@dataclass
class TrainingState:
    """What exists while a network is trained, and no longer.

    Parameters
    ----------
    device : torch.device
        Where the network is.
    order : torch.Generator
        Draws the order of the samples.
    has_gradient_hook : bool
        Whether someone has a hook for ``on_grad_computed``.
    held_out : SampleSet or None
        What the temperature is found on.
    may_rebuild : bool
        Whether a parameter that changes now builds the network anew.
    checkpoint : Checkpoint or None
        Keeps where the training is.
    best_epoch : int or None
        Which epoch of the history was kept, once that is known.
    task : FitTask
        What scikit-learn's callbacks are told of.
    """

    device: torch.device
    order: torch.Generator
    has_gradient_hook: bool
    held_out: SampleSet | None = None
    may_rebuild: bool = False
    checkpoint: Any = None
    best_epoch: int | None = None
    task: FitTask = NO_TASK

    def place(self, samples: SampleSet, dtype: str | None, *, as_a_whole: bool = True) -> SampleSet:
        """Return the samples with their tensors on the device, if they may and can be there."""
        target: Any = self.device if as_a_whole else "cpu"
        if as_a_whole and self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            target = self.device if samples.n_bytes() < _RESIDENT_SHARE * free else "cpu"
        return samples.to(target, DTYPES.get(dtype or ""))


@dataclass(frozen=True)
class FitResult:
    """What a training in a stack came to: the best epoch's state, and all losses."""

    state: dict[str, Tensor]
    train_loss: list[float]
    valid_loss: list[float]

    @property
    def best_epoch(self) -> int:
        """Which epoch was kept, counted from 1; the last one without a hold-out."""
        losses = self.valid_loss
        return losses.index(min(losses)) + 1 if losses else len(self.train_loss)


class LabelledSamples(SampleSet, SkorchDataset):
    """Samples as callbacks see them: a Dataset of skorch's, with `X` and the user's labels `y`."""

    def __init__(self, samples: SampleSet, classes: NDArray[Any]) -> None:
        SampleSet.__init__(self, samples.X, samples.y_encoded, samples.soft, samples.weight)
        self._classes = classes

    @property
    def y(self) -> NDArray[Any]:
        """Labels, made when someone asks: of many rows they take memory."""
        labels: NDArray[Any] = self._classes[self.y_encoded.cpu().numpy()]
        return labels


def check_monitors(callbacks: list[tuple[str, Any]], *, has_hold_out: bool) -> None:
    """Raise if a callback monitors what is recorded on a hold-out only, and there is none.

    Parameters
    ----------
    callbacks : list of (name, callback)
        Initialized ones.
    has_hold_out : bool
    """
    if has_hold_out:
        return
    on_hold_out = {"valid_loss", "valid_acc"} | {
        getattr(callback, "name_", callback.name)
        for _, callback in callbacks
        if isinstance(callback, (BatchScoring, EpochScoring, PassthroughScoring)) and not callback.on_train
    }
    for name, callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor.removesuffix("_best") in on_hold_out:
            raise ValueError(
                f"The callback {name!r} ({type(callback).__name__}) monitors {monitor!r}, which is recorded "
                "on a hold-out, and this training has none (train_split=None, partial_fit, or fewer than 10 "
                "rows to hold out). Let it monitor 'train_loss', train with a hold-out, or leave it out."
            )


def explain_unknown_monitor(
    error: KeyError, callbacks: list[tuple[str, Any]], record: dict[str, Any]
) -> None:
    """Raise what an error means if some callback monitors what is not recorded.

    Parameters
    ----------
    error : KeyError
        Raised while callbacks were told of the end of an epoch.
    callbacks : list of (name, callback)
        Initialized ones.
    record : dict
        The history's last epoch.

    Raises
    ------
    ValueError
        If that is so.
    """
    for name, callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor in str(error) and monitor not in record:
            known = ", ".join(key for key in record if key != "batches")
            raise ValueError(
                f"The callback {name!r} ({type(callback).__name__}) monitors {monitor!r}, which the history "
                f"does not record. It records: {known}."
            ) from error


def check_has_gradient(logits: Tensor) -> None:
    """Raise if nothing can be trained by logits of a training step."""
    if torch.is_grad_enabled() and not logits.requires_grad:
        raise ValueError(
            "The module's logits have no gradient, so that nothing can be trained: let its forward return "
            "them without detach(), no_grad() or a way through NumPy, and let some of its parameters require "
            "a gradient."
        )


def check_rows(output: Any, n_rows: int) -> None:
    """Raise unless a module's output has one row for each sample.

    Parameters
    ----------
    output : Tensor of shape (n_rows, ...) or tuple with it in the first place
    n_rows : int
    """
    first = output[0] if isinstance(output, tuple) else output
    if isinstance(first, Tensor) and first.shape[:1] != (n_rows,):
        raise ValueError(
            f"The module must return one row for each sample; it returned shape {tuple(first.shape)} for a "
            f"batch of {n_rows} samples."
        )


def check_finite(logits: NDArray[np.floating], X: Any = None) -> None:
    """Raise if some row of logits is no prediction; -inf, a class that cannot be, is allowed.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
    X : Dataset or Tensor, default=None
        What they were computed from, to name a bad item.
    """
    if np.isfinite(logits.min()) and np.isfinite(logits.max()):
        return
    bad = np.flatnonzero(~np.isfinite(logits.max(axis=1)))
    if len(bad):
        cure = (
            "Look for a module that computes something else in evaluation mode, and for a training that "
            "diverged (lower lr, or train with a hold-out)."
        )
        raise ValueError(
            f"The module returned NaN or infinite logits for {len(bad)} of {len(logits)} rows, the first is "
            f"row {bad[0]}. {name_item_not_finite(X) or cure}"
        )


def held_out_temperature(
    logits: NDArray[np.floating], y_encoded: NDArray[np.int64], weight: NDArray[np.floating] | None
) -> float:
    """Return the temperature of samples that a network was not trained on.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
        A class that cannot be may have -inf.
    y_encoded : ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    float
        See :func:`sk_ils.temperature.fit_temperature`, which takes finite logits only.
    """
    if not (logits > _IMPOSSIBLE).all():
        logits = np.maximum(logits.astype(np.float64), _IMPOSSIBLE)
    return fit_temperature(logits, y_encoded, weight)


def check_logits(output: Any, n_classes: int, n_rows: int | None = None) -> Tensor:
    """Return the logits in a module's output after checking their shape.

    Parameters
    ----------
    output : Tensor of shape (n_samples, n_classes) or tuple with it in the first place
    n_classes : int
    n_rows : int or None
        Samples of the batch, if they are to be compared.

    Returns
    -------
    Tensor
    """
    logits = output[0] if isinstance(output, tuple) and output else output
    if not (isinstance(logits, Tensor) and logits.layout == torch.strided and logits.is_floating_point()):
        found = f"{logits.dtype} {logits.layout}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            "The module must return a dense float Tensor of raw logits, or a tuple with it in the first "
            f"place; it returned {found}. Return the logits alone from its forward."
        )
    if logits.ndim != 2 or logits.shape[1] != n_classes:
        raise ValueError(
            f"The module must return one logit per class, shape (n, {n_classes}); it returned "
            f"{tuple(logits.shape)}. Name n_classes in its __init__ to get the size from the data."
        )
    if n_rows is not None:
        check_rows(logits, n_rows)
    return logits


class BestEpoch:
    """Remembers the state of what is trained at the lowest validation loss."""

    def __init__(self, parts: dict[str, nn.Module], *, enabled: bool) -> None:
        self.parts = parts
        self.enabled = enabled
        self.loss = math.inf
        self.age = 0  # epochs since the best one
        self.n_epochs = 0
        self.state: dict[str, dict[str, Any]] | None = None

    @property
    def epoch(self) -> int:
        """Which epoch is kept, counted from 1; the last one if they do not compare."""
        return self.n_epochs - self.age if self.enabled else self.n_epochs

    def update(self, loss: float | None) -> None:
        self.n_epochs += 1
        self.age += 1
        if self.enabled and loss is not None and loss < self.loss:
            self.loss, self.age = loss, 0
            self.state = {name: _copied(part.state_dict()) for name, part in self.parts.items()}

    def age_exceeds(self, patience: int | None) -> bool:
        return self.enabled and patience is not None and self.age >= patience

    def restore(self) -> None:
        for name, state in (self.state or {}).items():
            self.parts[name].load_state_dict(state)


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else value for name, value in state.items()
    }


class Meter:
    """Collects the losses and hits of an epoch's batches without waiting for the device."""

    def __init__(self, prefix: str, *, with_accuracy: bool) -> None:
        self.prefix = prefix
        self.with_accuracy = with_accuracy
        self.values: list[tuple[Any, ...]] = []

    def add(self, step: dict[str, Any], targets: Targets) -> None:
        whole, weight = targets.whole, targets.weight
        size = len(targets.y_encoded) if weight is None else weight.sum() if whole is None else whole.weight
        values: tuple[Any, ...] = (step["loss"].detach(), size)
        if self.with_accuracy:
            logits = step["y_pred"][0] if isinstance(step["y_pred"], tuple) else step["y_pred"]
            hits = logits.argmax(dim=1) == targets.y_encoded.to(logits.device)
            weight = torch.ones_like(hits, dtype=torch.float32) if weight is None else weight.to(hits.device)
            total = weight.sum() if whole is None else whole.weight.to(hits.device)
            tiny = torch.finfo(weight.dtype).tiny  # a batch of weight 0 counts nothing, but must not give NaN
            values = (*values, (hits * weight).sum() / total.clamp_min(tiny))
        # Of a share of a batch the processes' mean is still to be taken.
        self.values.append(values if whole is not None else tuple(map(_number_if_at_hand, values)))

    def _record(self, values: tuple[float, ...]) -> dict[str, float]:
        names = (f"{self.prefix}_loss", f"{self.prefix}_batch_size", f"{self.prefix}_acc")
        return dict(zip(names, values, strict=False))

    def last(self) -> dict[str, float]:
        """Return the record of the last batch, now."""
        return self._record(tuple(map(float, self.values[-1])))

    def records(self, mean: Callable[[Tensor], Tensor]) -> list[dict[str, float]]:
        """Return the records of all batches, with one transfer from the device for each column.

        Parameters
        ----------
        mean : callable
            Takes the mean over the processes that have a share of each batch.

        Returns
        -------
        list of dict
        """
        columns = []
        for column in zip(*self.values, strict=True):
            tensors = isinstance(column[0], Tensor)
            columns.append(mean(torch.stack(column)).tolist() if tensors else list(column))
        return [self._record(values) for values in zip(*columns, strict=True)]


def _number_if_at_hand(value: Any) -> Any:
    """Return a number as Python's, unless that would mean waiting for a device."""
    return value.item() if isinstance(value, Tensor) and value.device.type == "cpu" else value


def weighted_mean(records: list[dict[str, float]], prefix: str) -> float:
    total = sum(record[f"{prefix}_batch_size"] for record in records)
    losses = (record[f"{prefix}_loss"] * record[f"{prefix}_batch_size"] for record in records)
    return sum(losses) / total if total else math.nan
