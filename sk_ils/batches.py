"""Loaders that make batches of labelled samples."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, default_collate

from sk_ils._samples import Numbers, SampleSet, Share, Targets, number_type

__all__ = ["BatchLoader", "DatasetLoader", "SampleSet", "Targets", "check_keeps_rows"]


Batch = tuple[Any, Targets]


# Batches that are gathered at once, and the bytes above which they are fewer: of large batches the
# gathering costs nothing, but their memory does.
_CHUNK = 16
_CHUNK_BYTES = 2**24


class BatchLoader:
    """Batches of in-memory samples, sliced from whole tensors: no fetch, no collate.

    A last batch of one sample is merged into the one before, because BatchNorm cannot train on it.

    Parameters
    ----------
    dataset : SampleSet
        With a tensor as X.
    batch_size : int, default=128
        Samples of a batch.
    shuffle : bool, default=False
        Whether to draw a new order in each epoch.
    drop_last : bool, default=False
        Whether to leave out a last batch with fewer than batch_size samples.
    generator : torch.Generator, default=None
        Draws the order; None uses torch's global generator.
    device : torch.device, default=None
        A GPU to which samples in the main memory are copied while the ones before are worked on;
        None leaves them where they are.
    share : Share, default=None
        The rows of each batch to give; None gives all.

    Examples
    --------
    >>> import torch
    >>> from sk_ils.batches import BatchLoader, SampleSet
    >>> samples = SampleSet(torch.rand(9, 2), torch.zeros(9, dtype=torch.int64))
    >>> [len(X) for X, targets in BatchLoader(samples, batch_size=4)]
    [4, 5]
    """

    def __init__(
        self,
        dataset: SampleSet,
        batch_size: int = 128,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | None = None,
        share: Share | None = None,
    ) -> None:
        self.dataset = dataset
        self.share = share
        self.shuffle = shuffle
        self.generator = generator
        self.device = device
        self.bounds = _batch_bounds(len(dataset), batch_size, drop_last)
        batch_bytes = batch_size * dataset.n_bytes() // max(len(dataset), 1)
        self.n_at_once = max(1, min(_CHUNK, _CHUNK_BYTES // max(batch_bytes, 1)))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __iter__(self) -> Iterator[Batch]:
        chunks = self._chunks()
        for bounds, X, targets in chunks if self.device is None else _copied_ahead(chunks, self.device):
            for start, stop in pairwise(bounds):
                part = slice(start - bounds[0], stop - bounds[0])
                soft = None if targets.soft is None else targets.soft[part]
                weight = None if targets.weight is None else targets.weight[part]
                batch, of_batch = X[part], Targets(targets.y_encoded[part], soft, weight)
                if self.share is None:
                    yield batch, of_batch
                else:
                    rows, _ = self.share.rows(len(batch))
                    yield batch[rows.to(batch.device)], self.share.targets(of_batch)

    def _chunks(self) -> Iterator["_Chunk"]:
        """Yield the samples of many batches: gathering them at once is faster than each alone."""
        X = self.dataset.X
        assert isinstance(X, Tensor)
        order = None
        if self.shuffle:
            order = torch.randperm(len(self.dataset), generator=self.generator)
        for first in range(0, len(self), self.n_at_once):
            bounds = self.bounds[first : first + self.n_at_once + 1]
            index: slice | Tensor = slice(bounds[0], bounds[-1])
            if order is not None:
                index = order[index].to(X.device)
            yield bounds, X[index], self.dataset.targets(index)


# Where batches start and the last one stops, their inputs and targets.
_Chunk = tuple[list[int], Tensor, Targets]


def _copied_ahead(chunks: Iterator[_Chunk], device: torch.device) -> Iterator[_Chunk]:
    """Yield chunks on a GPU; each is copied in a stream of its own while the one before is used."""
    stream = torch.cuda.Stream(device)

    def copied(value: Tensor) -> Tensor:
        # A copy from pageable memory would wait.
        return torch.empty_like(value, pin_memory=True).copy_(value).to(device, non_blocking=True)

    def send(chunk: _Chunk) -> tuple[_Chunk, torch.cuda.Event]:
        bounds, X, (y_encoded, soft, weight, _) = chunk
        with torch.cuda.stream(stream):
            targets = Targets(
                copied(y_encoded),
                None if soft is None else copied(soft),
                None if weight is None else copied(weight),
            )
            return (bounds, copied(X), targets), stream.record_event()

    def arrived(chunk: _Chunk, event: torch.cuda.Event) -> _Chunk:
        current = torch.cuda.current_stream(device)
        current.wait_event(event)
        _, X, (y_encoded, soft, weight, _) = chunk
        for value in (X, y_encoded, soft, weight):
            if value is not None:
                value.record_stream(current)  # its memory is not given away before it was used
        return chunk

    on_the_way = None
    for chunk in chunks:
        sent = send(chunk)
        if on_the_way is not None:
            yield arrived(*on_the_way)
        on_the_way = sent
    if on_the_way is not None:
        yield arrived(*on_the_way)


def _batch_bounds(n: int, batch_size: int, drop_last: bool) -> list[int]:
    """Return where batches start, and where the last one stops."""
    bounds = list(range(0, n, batch_size))
    rest = n - bounds[-1] if bounds else 0
    if drop_last and rest < batch_size:
        return bounds
    if rest == 1 and len(bounds) > 1:
        bounds.pop()
    return [*bounds, n]


class DatasetLoader:
    """Batches of a user's Dataset through a DataLoader, joined with their targets by index.

    The Dataset and the user's ``collate_fn`` see their own items only. A DataLoader without a
    sampler of the user's gives the batches that BatchLoader would, none of one sample.

    Parameters
    ----------
    dataset : SampleSet
        With a user's Dataset, or a tensor, as X.
    loader : callable, default=DataLoader
        DataLoader or a class with its parameters.
    collate_fn : callable, default=default_collate
        Makes a batch of a list of the Dataset's items.
    shuffle : bool, default=False
        Whether to draw a new order in each epoch, the one that BatchLoader draws.
    generator : torch.Generator, default=None
        Draws the order and seeds the workers; None uses torch's global generator.
    in_order : bool, default=False
        Whether to raise unless every sample comes once, in order, as predictions need it.
    dtype : torch.dtype, default=None
        Type of batches of floating-point inputs; None keeps that of the items.
    share : Share, default=None
        The rows of each batch to load; None loads all.
    **kwargs : dict
        Passed to `loader`.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sk_ils.batches import DatasetLoader, SampleSet
    >>> y = torch.tensor([0, 1, 1, 0, 1])
    >>> samples = SampleSet(TensorDataset(torch.rand(5, 2), y), y)
    >>> [targets.y_encoded.tolist() for X, targets in DatasetLoader(samples, batch_size=3)]
    [[0, 1, 1], [0, 1]]
    """

    def __init__(
        self,
        dataset: SampleSet,
        *,
        loader: Callable[..., Any] = DataLoader,
        collate_fn: Callable[[list[Any]], Any] = default_collate,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        in_order: bool = False,
        dtype: torch.dtype | None = None,
        share: Share | None = None,
        **kwargs: Any,
    ) -> None:
        self.dataset = dataset
        self.in_order = in_order
        self.dtype = dtype
        for name in ("sampler", "batch_sampler"):
            if not isinstance(kwargs.get(name, ()), Iterable | None):
                raise TypeError(f"{name} must be an iterable of row numbers; got {kwargs[name]!r}.")
        if shuffle and not {"sampler", "batch_sampler"} & set(kwargs):
            kwargs["sampler"] = _Order(len(dataset), generator)
        if generator is not None:
            # Not the same one: a DataLoader takes a number from it before it asks for the order.
            kwargs["generator"] = torch.Generator().manual_seed(generator.initial_seed())
        if loader is DataLoader:
            kwargs = _without_single_rows(len(dataset), kwargs)
        self.shared: _SharedBatches | None = None
        if share is not None:
            kwargs, batches = _without_batches(len(dataset), kwargs)
            self.shared = kwargs["batch_sampler"] = _SharedBatches(batches, share)
        self.loader = loader(_Indexed(dataset), collate_fn=_IndexedCollate(collate_fn), **kwargs)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        n_seen = 0
        for number, (loaded, batch) in enumerate(self.loader):
            index = loaded if self.shared is None else self.shared.whole(number)
            if self.in_order and not torch.equal(index, torch.arange(n_seen, n_seen + len(index))):
                self._raise_out_of_order()
            n_seen += len(index)
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                raise ValueError(
                    "A Dataset must yield pairs (x, y); where there are no labels, as for predictions, y may "
                    f"be any number, such as (x, 0); got a batch of type {type(batch).__name__}"
                    f"{f' of length {len(batch)}' if isinstance(batch, (tuple, list)) else ''}."
                )
            X = batch[0]
            if self.dtype is not None and isinstance(X, Tensor) and X.is_floating_point():
                X = X.to(self.dtype)
            targets = self.dataset.targets(index)
            yield X, targets if self.shared is None else self.shared.share.targets(targets)
        if self.in_order and n_seen < len(self.dataset):
            self._raise_out_of_order()

    def _raise_out_of_order(self) -> NoReturn:
        raise ValueError(
            f"iterator_valid ({self.loader!r}) gave not every one of {len(self.dataset)} rows once and in "
            "order, which validation and predictions need: leave out its sampler; what is meant for "
            "training is set as iterator_train__...."
        )


def check_keeps_rows(parameters: dict[str, Any]) -> None:
    """Raise if parameters of `iterator_valid` would reorder the rows of a prediction, or drop some.

    Parameters
    ----------
    parameters : dict
        By name, without the prefix.

    Raises
    ------
    ValueError
        If `shuffle` or `drop_last` is set.

    Examples
    --------
    >>> from sk_ils.batches import check_keeps_rows
    >>> check_keeps_rows({"num_workers": 2})
    >>> check_keeps_rows({"shuffle": True})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: iterator_valid__shuffle=True would change which rows are predicted: ...
    """
    for name in ("shuffle", "drop_last"):
        if parameters.get(name):
            raise ValueError(
                f"iterator_valid__{name}={parameters[name]!r} would change which rows are predicted: "
                "validation and predictions need every row once and in order. For training set "
                f"iterator_train__{name}."
            )


class _Order(Sampler[int]):
    """A new order of n samples in each epoch."""

    def __init__(self, n: int, generator: torch.Generator | None) -> None:
        self.n = n
        self.generator = generator

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        dtype = torch.from_numpy(np.empty(0, number_type(self.n))).dtype  # no matter for the order
        return iter(Numbers(torch.randperm(self.n, generator=self.generator, dtype=dtype).numpy()))


def _without_single_rows(n: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a DataLoader's parameters such that a last batch of one row joins the one before."""
    rows = parameters.get("sampler", range(n))
    size = parameters.get("batch_size")
    if "batch_sampler" in parameters or not isinstance(rows, _Order | range) or parameters.get("drop_last"):
        return parameters
    if not isinstance(size, int) or not 1 < size < n or n % size != 1:
        return parameters
    kept = {name: parameters[name] for name in parameters.keys() - {"batch_size", "sampler", "drop_last"}}
    return {**kept, "batch_sampler": _Batches(rows, _batch_bounds(n, size, drop_last=False))}


class _Batches(Sampler[list[int]]):
    """The rows of each batch, as the bounds say."""

    def __init__(self, rows: Iterable[int], bounds: list[int]) -> None:
        self.rows = rows
        self.bounds = bounds

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: a DataLoader with workers calls iter twice, and an order must be drawn once.
        rows = iter(self.rows)
        for start, stop in pairwise(self.bounds):
            yield list(islice(rows, stop - start))


def _without_batches(n: int, parameters: dict[str, Any]) -> tuple[dict[str, Any], Iterable[list[int]]]:
    """Return a DataLoader's parameters without what makes the batches, and the batches."""
    making = {"batch_sampler", "sampler", "batch_size", "drop_last"}
    kept = {name: parameters[name] for name in parameters.keys() - making}
    if parameters.get("batch_sampler") is not None:
        return kept, parameters["batch_sampler"]
    rows = parameters.get("sampler")
    size, drop_last = parameters["batch_size"], parameters.get("drop_last", False)
    return kept, BatchSampler(range(n) if rows is None else rows, size, drop_last)


class _SharedBatches(Sampler[list[int]]):
    """One process's rows of each batch; remembers the batches of an epoch."""

    def __init__(self, batches: Iterable[list[int]], share: Share) -> None:
        self.batches = batches
        self.share = share
        self.drawn: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        self.drawn = []
        for rows in self.batches:
            self.drawn.append(list(rows))
            yield [self.drawn[-1][place] for place in self.share.rows(len(self.drawn[-1]))[0].tolist()]

    def whole(self, number: int) -> Tensor:
        """Return all rows of a batch that was drawn."""
        return torch.tensor(self.drawn[number])


class _Indexed(Dataset[Any]):
    def __init__(self, samples: SampleSet) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        if index >= len(self.samples):
            raise IndexError(
                f"The sampler asks for row {index}, but there are {len(self.samples)} rows: those of the "
                "hold-out are no part of the training. Make the sampler for the others, or pass "
                "train_split=None."
            )
        return index, self.samples[index]


class _IndexedCollate:
    def __init__(self, collate_fn: Callable[[list[Any]], Any]) -> None:
        self.collate_fn = collate_fn

    def __call__(self, items: list[tuple[int, Any]]) -> tuple[Tensor, Any]:
        indices, values = zip(*items, strict=True)
        try:
            batch = self.collate_fn(list(values))
        except (RuntimeError, TypeError) as error:
            if self.collate_fn is not default_collate:
                raise
            raise ValueError(
                f"torch cannot put the items of the Dataset into one batch: {str(error).splitlines()[0]}. "
                "Give all items one size and type, or pass a function that pads them as both "
                "iterator_train__collate_fn and iterator_valid__collate_fn."
            ) from error
        return torch.tensor(indices), batch
