"""Small parts of a training loop: the best epoch, the meter of an epoch, seeds."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from sklearn.utils import check_random_state
from torch import Tensor, nn

from sk_ils.batches import Targets


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
    """Collects the losses, weights and hits of an epoch's batches without waiting for the device."""

    def __init__(self, prefix: str, *, with_accuracy: bool) -> None:
        self.prefix = prefix
        self.with_accuracy = with_accuracy
        self.values: list[tuple[Any, ...]] = []

    def add(self, step: dict[str, Any], targets: Targets) -> None:
        assert targets.codes is not None
        size = len(targets.codes) if targets.weight is None else targets.weight.sum()
        values: tuple[Any, ...] = (step["loss"].detach(), size)
        if self.with_accuracy:
            logits = step["y_pred"][0] if isinstance(step["y_pred"], tuple) else step["y_pred"]
            hits = logits.argmax(dim=1) == targets.codes.to(logits.device)
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


@contextmanager
def seeded(seed: int, device: Any) -> Iterator[None]:
    """Seed torch inside the block, and leave its global generators as they were.

    ``torch.manual_seed`` would also seed the GPUs that are not forked.
    """
    cuda = device is not None and torch.device(device).type == "cuda"
    index = torch.device(device).index if cuda else None
    index = torch.cuda.current_device() if cuda and index is None else index
    with torch.random.fork_rng(devices=[index] if cuda else []):
        torch.default_generator.manual_seed(seed)
        with torch.cuda.device(index) if cuda else nullcontext():
            if cuda:
                torch.cuda.manual_seed(seed)
            yield


def draw_seed(random_state: Any) -> int:
    """Return a seed for torch out of scikit-learn's random_state."""
    return int(check_random_state(random_state).randint(2**31 - 1))
