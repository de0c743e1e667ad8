"""Parts of a training loop: its state, best epoch, meter of an epoch, logits."""

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from sk_ils.batches import SampleSet, Targets

DTYPES = {"float32": torch.float32, "float64": torch.float64}
# Data go to the GPU once, as a whole, if they take less than this share of its free memory.
_RESIDENT_SHARE = 0.5


class NonFiniteLossError(ArithmeticError, ValueError):
    """The training or validation loss became NaN or infinite."""

    @classmethod
    def of(cls, prefix: str, *, epoch: int, loss: float, lr: float) -> Self:
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

        Returns
        -------
        NonFiniteLossError
            To be raised.
        """
        return cls(
            f"The {prefix} loss of epoch {epoch} is {loss}. Lower lr (now {lr}), scale the features (for "
            "example with StandardScaler), or clip gradients (skorch's GradientNormClipping)."
        )


@dataclass(frozen=True)
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
    """

    device: torch.device
    order: torch.Generator
    has_gradient_hook: bool

    def place(self, samples: SampleSet, dtype: str | None) -> SampleSet:
        """Return the samples with their tensors on the device, if they fit there as a whole."""
        target: Any = self.device
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            target = self.device if samples.n_bytes() < _RESIDENT_SHARE * free else "cpu"
        return samples.to(target, DTYPES.get(dtype or ""))


@dataclass(frozen=True)
class FitResult:
    """What a training in a stack came to: the best epoch's state, and all losses."""

    state: dict[str, Tensor]
    train_loss: list[float]
    valid_loss: list[float]


def check_logits(output: Any, n_classes: int) -> Tensor:
    """Return the logits in a module's output after checking their shape.

    Parameters
    ----------
    output : Tensor of shape (n_samples, n_classes) or tuple with it in the first place
    n_classes : int

    Returns
    -------
    Tensor
    """
    logits: Tensor = output[0] if isinstance(output, tuple) else output
    if logits.ndim != 2 or logits.shape[1] != n_classes:
        raise ValueError(
            f"The module must return one logit per class, shape (n, {n_classes}); it returned "
            f"{tuple(logits.shape)}. Name n_classes in its __init__ to get the size from the data."
        )
    return logits


class BestEpoch:
    """Remembers the module's state at the lowest validation loss."""

    def __init__(self, module: nn.Module, *, enabled: bool) -> None:
        self.module = module
        self.enabled = enabled
        self.loss = math.inf
        self.age = 0  # epochs since the best one
        self.state: dict[str, Any] | None = None

    def update(self, loss: float | None) -> None:
        self.age += 1
        if self.enabled and loss is not None and loss < self.loss:
            self.loss, self.age = loss, 0
            self.state = {name: value.detach().clone() for name, value in self.module.state_dict().items()}

    def age_exceeds(self, patience: int | None) -> bool:
        return self.enabled and patience is not None and self.age >= patience

    def restore(self) -> None:
        if self.state is not None:
            self.module.load_state_dict(self.state)


class Meter:
    """Collects the losses and hits of an epoch's batches without waiting for the device."""

    def __init__(self, prefix: str, *, with_accuracy: bool) -> None:
        self.prefix = prefix
        self.with_accuracy = with_accuracy
        self.values: list[tuple[Any, ...]] = []

    def add(self, step: dict[str, Any], targets: Targets) -> None:
        size = len(targets.y_encoded) if targets.weight is None else targets.weight.sum()
        values: tuple[Any, ...] = (step["loss"].detach(), size)
        if self.with_accuracy:
            logits = step["y_pred"][0] if isinstance(step["y_pred"], tuple) else step["y_pred"]
            hits = logits.argmax(dim=1) == targets.y_encoded.to(logits.device)
            weight = torch.ones_like(hits, dtype=torch.float32) if targets.weight is None else targets.weight
            weight = weight.to(hits.device)
            tiny = torch.finfo(weight.dtype).tiny  # a batch of weight 0 counts nothing, but must not give NaN
            values = (*values, (hits * weight).sum() / weight.sum().clamp_min(tiny))
        self.values.append(values)

    def _record(self, values: tuple[float, ...]) -> dict[str, float]:
        names = (f"{self.prefix}_loss", f"{self.prefix}_batch_size", f"{self.prefix}_acc")
        return dict(zip(names, values, strict=False))

    def last(self) -> dict[str, float]:
        """Return the record of the last batch, now."""
        return self._record(tuple(map(float, self.values[-1])))

    def records(self) -> list[dict[str, float]]:
        """Return the records of all batches, with one transfer from the device for each column."""
        columns = []
        for column in zip(*self.values, strict=True):
            tensors = isinstance(column[0], Tensor)
            columns.append(torch.stack(column).tolist() if tensors else list(column))
        return [self._record(values) for values in zip(*columns, strict=True)]


def weighted_mean(records: list[dict[str, float]], prefix: str) -> float:
    total = sum(record[f"{prefix}_batch_size"] for record in records)
    losses = (record[f"{prefix}_loss"] * record[f"{prefix}_batch_size"] for record in records)
    return sum(losses) / total if total else math.nan
