"""Labelled samples: what training needs of each, and of a share of a batch."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Subset

# Row numbers that are Python's integers at a time.
_LISTED = 2**12


class Whole(NamedTuple):
    """The batch that some samples are a share of.

    Parameters
    ----------
    n_rows : int
        Its samples.
    weight : Tensor of shape ()
        Sum of their weights.
    """

    n_rows: int
    weight: Tensor


class Targets(NamedTuple):
    """What the loss needs of the samples of a batch.

    Parameters
    ----------
    y_encoded : int64 Tensor of shape (batch,)
        Class indices.
    soft : Tensor of shape (batch, n_classes), default=None
        The rule's targets; None means hard labels.
    weight : Tensor of shape (batch,), default=None
        Weights; None means equal ones.
    whole : Whole, default=None
        The batch that these samples are one process's share of; None means that they are all.

    Examples
    --------
    >>> import torch
    >>> from sk_ils.batches import Targets
    >>> Targets(torch.tensor([2, 0])).soft is None
    True
    """

    y_encoded: Tensor
    soft: Tensor | None = None
    weight: Tensor | None = None
    whole: Whole | None = None


class Share(NamedTuple):
    """Which rows of every batch are those of one process, if several train one network.

    Parameters
    ----------
    rank : int
        Number of the process, from 0.
    world : int
        How many there are.
    """

    rank: int
    world: int

    def rows(self, n: int) -> tuple[Tensor, int]:
        """Return the places of a batch's rows that this process takes, and how many of them count.

        Every `world`-th row counts. Others fill up, so that all processes have equally many rows,
        none of them none, and BatchNorm two.

        Parameters
        ----------
        n : int
            Rows of the batch.

        Returns
        -------
        rows : int64 Tensor
            Those that count come first.
        n_counting : int
            How many count.
        """
        number = torch.arange(max(-(-n // self.world), min(n, 2)))
        rows = self.rank + self.world * number
        n_counting = int((rows < n).sum())
        filling = (self.rank + 1 + number - n_counting) % n
        return torch.where(rows < n, rows, filling), n_counting

    def targets(self, whole: Targets) -> Targets:
        """Return the targets of this process's rows of a batch.

        Their weights are such that the mean over all processes of sum(weight * loss) / total is
        the loss of the whole batch.

        Parameters
        ----------
        whole : Targets
            Of the batch.

        Returns
        -------
        Targets
            Of the rows that this process takes; those that only fill up have the weight 0.
        """
        n_rows = len(whole.y_encoded)
        rows, n_counting = self.rows(n_rows)
        rows = rows.to(whole.y_encoded.device)
        given = torch.ones(n_rows, device=rows.device) if whole.weight is None else whole.weight
        weight = given[rows] * self.world
        weight[n_counting:] = 0
        soft = None if whole.soft is None else whole.soft[rows]
        return Targets(whole.y_encoded[rows], soft, weight, Whole(n_rows, given.sum()))


class SampleSet(Dataset[Any]):
    """Inputs, either one tensor or a user's Dataset, with class indices, soft targets and weights.

    Parameters
    ----------
    X : Tensor of shape (n_samples, ...) or Dataset
        A Dataset yields ``(x, y)``; its y is not used, because the labels are in `y_encoded`.
    y_encoded : int64 Tensor of shape (n_samples,), default=None
        Class indices. None, in prediction, stands for zeros.
    soft : Tensor of shape (n_samples, n_classes), default=None
        The targets that training compares with; None means hard labels.
    weight : Tensor of shape (n_samples,), default=None
        Weights; None means equal ones.

    Examples
    --------
    >>> import torch
    >>> from sk_ils.batches import SampleSet
    >>> samples = SampleSet(torch.rand(3, 2), torch.tensor([2, 0, 1]))
    >>> len(samples), samples.targets(torch.tensor([2, 0])).y_encoded.tolist()
    (3, [1, 2])
    """

    def __init__(
        self,
        X: Tensor | Dataset[Any],
        y_encoded: Tensor | None = None,
        soft: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> None:
        self.X = X
        if y_encoded is None:
            # One zero that is looked at n_samples times: it takes no memory.
            y_encoded = torch.zeros((), dtype=torch.int64).expand(len(X))  # type: ignore[arg-type]
        self.y_encoded = y_encoded
        self.soft = soft
        self.weight = weight

    def __len__(self) -> int:
        return len(self.X)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.X, Tensor):
            return self.X[index], self.y_encoded[index]
        return self.X[index]

    def targets(self, index: Tensor | slice) -> Targets:
        """Return the targets of some samples.

        Parameters
        ----------
        index : int64 Tensor or slice
            Which samples.

        Returns
        -------
        Targets
            Of these samples, in the order of the index.
        """
        soft = None if self.soft is None else self.soft[index]
        weight = None if self.weight is None else self.weight[index]
        return Targets(self.y_encoded[index], soft, weight)

    def take(self, index: Any) -> "SampleSet":
        """Return some samples.

        Parameters
        ----------
        index : array-like of int
            Which samples.

        Returns
        -------
        SampleSet
            These samples, in the order of the index.
        """
        numbers = as_numbers_of_rows(index, len(self))
        chosen = torch.as_tensor(numbers, dtype=torch.int64)
        X = self.X[chosen] if isinstance(self.X, Tensor) else subset(self.X, numbers)
        targets = self.targets(chosen)
        return SampleSet(X, targets.y_encoded, targets.soft, targets.weight)

    def some(self, limit: int) -> "SampleSet":
        """Return a limited number of samples, of the same set always the same ones.

        Parameters
        ----------
        limit : int
            Largest number of samples.

        Returns
        -------
        SampleSet
            In the order of these samples; all of them if they are no more than `limit`.
        """
        if len(self) <= limit:
            return self
        drawn = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:limit]
        return self.take(drawn.sort().values)

    def with_soft(self, soft: Tensor | None) -> "SampleSet":
        """Return the same samples with other soft targets.

        Parameters
        ----------
        soft : Tensor of shape (n_samples, n_classes) or None
            The targets; None means hard labels.

        Returns
        -------
        SampleSet
            It shares all other tensors with this one.
        """
        return SampleSet(self.X, self.y_encoded, soft, self.weight)

    def to(self, device: Any, dtype: torch.dtype | None = None) -> "SampleSet":
        """Return the samples with every tensor on a device.

        Parameters
        ----------
        device : torch.device or str
            Where the tensors go.
        dtype : torch.dtype, default=None
            Type of floating-point inputs; None keeps it.

        Returns
        -------
        SampleSet
            It shares the tensors that need no change with this one.
        """
        X = self.X
        if isinstance(X, Tensor):
            X = X.to(device=device, dtype=dtype if X.is_floating_point() else None)
        soft = None if self.soft is None else self.soft.to(device)
        weight = None if self.weight is None else self.weight.to(device)
        return SampleSet(X, self.y_encoded.to(device), soft, weight)

    def n_bytes(self) -> int:
        """Return the memory that the tensors take.

        Returns
        -------
        int
            Bytes, without what a user's Dataset takes.
        """
        parts = (self.X, self.y_encoded, self.soft, self.weight)
        return sum(part.numel() * part.element_size() for part in parts if isinstance(part, Tensor))


def as_numbers_of_rows(index: Any, n_rows: int) -> NDArray[np.integer]:
    """Return row numbers as an array, of 4 bytes each if there are not too many rows.

    Parameters
    ----------
    index : array-like of int
    n_rows : int
        All of them.

    Returns
    -------
    ndarray
    """
    return np.asarray(index, dtype=number_type(n_rows))


def number_type(n_rows: int) -> Any:
    return np.int32 if n_rows <= np.iinfo(np.int32).max else np.int64


def subset(dataset: Dataset[Any], index: NDArray[np.integer]) -> Subset[Any]:
    """Return some items of a Dataset; in a list, the number of each would take some 40 bytes.

    Parameters
    ----------
    dataset : Dataset
        Of any items.
    index : ndarray of shape (n_samples,)
        Which items.

    Returns
    -------
    Subset
        Of these items, in the order of the index.
    """
    return Subset(dataset, Numbers(index))


class Numbers(Sequence[int]):
    """An array as a sequence of Python's integers."""

    def __init__(self, array: NDArray[np.integer]) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Any) -> Any:
        return self.array[index].tolist()

    def __iter__(self) -> Iterator[int]:
        for start in range(0, len(self), _LISTED):
            yield from self[start : start + _LISTED]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype, copy=copy)
