"""The data of one fit after all checks, split once into a training part and a hold-out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skorch.dataset import Dataset as SkorchDataset
from torch import Tensor

from sk_ils._net.advice import advise
from sk_ils._net.inputs import check_dataset, check_groups, is_dataset
from sk_ils._net.split import hold_out, is_enough
from sk_ils._samples import SampleSet, as_numbers_of_rows
from sk_ils._sklearn_compat import safe_indexing


class InputSchema(NamedTuple):
    """What a network must know of its input: classes, features, and the shape of one sample."""

    classes: NDArray[Any]
    n_features_in: int | None = None
    feature_names_in: NDArray[Any] | None = None
    sample_shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Part:
    """The samples of one side of a split.

    Parameters
    ----------
    samples : SampleSet
        As the network takes them.
    source : array-like, DataFrame, Tensor, Dataset or None
        The whole X as the user passed it; None for a validation set that is no part of it.
    index : ndarray of shape (n_samples,)
        Where the samples are in `source`.
    groups : ndarray of shape (n_samples,) or None
    """

    samples: SampleSet
    source: Any
    index: NDArray[np.integer]
    groups: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def y_encoded(self) -> NDArray[np.int64]:
        """Class indices."""
        return self.samples.y_encoded.cpu().numpy()

    @property
    def sample_weight(self) -> NDArray[np.floating] | None:
        """Weights, or None."""
        return None if self.samples.weight is None else self.samples.weight.cpu().numpy()

    def raw_inputs(self) -> Any:
        """Return the inputs as the user passed them, for any other classifier."""
        if self.source is not None and not is_dataset(self.source):
            return safe_indexing(self.source, self.index)
        X = self.samples.X
        return X.numpy() if isinstance(X, Tensor) else X

    def take(self, index: NDArray[np.integer]) -> "Part":
        """Return the samples at some positions of this part."""
        groups = None if self.groups is None else self.groups[index]
        return Part(self.samples.take(index), self.source, self.index[index], groups)


@dataclass(frozen=True)
class FitData:
    """What one fit trains on; teacher and student share it.

    Parameters
    ----------
    train : Part
    valid : Part or None
        The hold-out.
    schema : InputSchema
    seed : int
        Seeds the split, and whatever of this fit has no seed of its own.
    teacher_proba : ndarray of shape (n_samples, n_classes), default=None
        Stands in a teacher's place; of all samples.
    epochs : int, default=None
        Passes of a partial_fit; None is `max_epochs`.
    """

    train: Part
    valid: Part | None
    schema: InputSchema
    seed: int
    teacher_proba: NDArray[np.floating] | None = None
    epochs: int | None = None

    @property
    def classes(self) -> NDArray[Any]:
        """Sorted labels."""
        return self.schema.classes

    def training_part(self) -> tuple[Any, NDArray[Any], NDArray[np.floating] | None]:
        """Return X, y and weights of the training part, as a user would pass them."""
        return self.train.raw_inputs(), self.classes[self.train.y_encoded], self.train.sample_weight


@dataclass(frozen=True)
class HeldOut:
    """The hold-out of a fit from outside, in the place of what `train_split` would hold out.

    Parameters
    ----------
    X, y, sample_weight
        As `fit` takes those of the training part.
    classes : ndarray of shape (n_classes,)
        Sorted labels of all samples, those of the training part, too.
    """

    X: Any
    y: NDArray[Any]
    sample_weight: Any
    classes: NDArray[Any]


def held_out_from_outside(
    samples: SampleSet,
    X: Any,
    valid: SampleSet,
    held_out: HeldOut,
    *,
    schema: InputSchema,
    groups: Any,
    seed: int,
) -> FitData:
    """Return checked samples with a checked hold-out that was given; one that is too small is none.

    Parameters
    ----------
    samples, valid : SampleSet
        The training part and the hold-out.
    X : array-like, DataFrame, Tensor or Dataset
        As passed to fit.
    held_out : HeldOut
    schema : InputSchema
    groups : array-like of shape (n_samples,) or None
        Of the training part.
    seed : int

    Returns
    -------
    FitData
    """
    train = Part(samples, X, np.arange(len(samples)), check_groups(groups, len(samples)))
    _warn_of_untrained_classes(train, schema.classes)
    part = Part(valid, held_out.X, np.arange(len(valid)))
    n_valid = len(part) if part.sample_weight is None else int((part.sample_weight > 0).sum())
    has_enough = is_enough(n_valid, len(train) + len(part), "or fewer folds")
    return FitData(train, part if has_enough else None, schema, seed)


def split_samples(
    samples: SampleSet,
    X: Any,
    *,
    train_split: float | Callable[..., Any] | None,
    schema: InputSchema,
    groups: Any,
    seed: int,
    check_valid: Callable[[Any, Any], SampleSet],
) -> FitData:
    """Split checked samples as `train_split` asks.

    Parameters
    ----------
    samples : SampleSet
    X : array-like, DataFrame, Tensor or Dataset
        As passed to fit.
    train_split, groups
        As of :class:`sk_ils.TeacherClassifier` and its `fit`.
    schema : InputSchema
    seed : int
        Shuffles the split.
    check_valid : callable
        Checks X and y of a validation set of its own.

    Returns
    -------
    FitData
    """
    groups = check_groups(groups, len(samples))
    train_index, valid = hold_out(
        train_split,
        dataset=X if is_dataset(X) else samples,
        classes=schema.classes,
        y_encoded=samples.y_encoded.numpy(),
        groups=groups,
        weight=None if samples.weight is None else samples.weight.numpy(),
        seed=seed,
    )

    def part_of(index: NDArray[np.integer]) -> Part:
        if len(index) == len(samples) and (index == np.arange(len(samples))).all():
            return Part(samples, X, index, groups)
        index = as_numbers_of_rows(index, len(samples))
        return Part(samples.take(index), X, index, None if groups is None else groups[index])

    train = part_of(train_index)
    _warn_of_untrained_classes(train, schema.classes)
    if valid is None:
        valid_part = None
    elif isinstance(valid, np.ndarray):
        valid_part = part_of(valid)
    else:
        valid_part = _outside_part(valid, check_valid)
    return FitData(train, valid_part, schema, seed)


def _outside_part(dataset: Any, check_valid: Callable[[Any, Any], SampleSet]) -> Part:
    """Return a validation Dataset that is no part of the training data."""
    # Of a subclass, or a user's Dataset with attributes of these names, items may be another thing.
    arrays = type(dataset) is SkorchDataset and dataset.y is not None
    if not arrays:
        check_dataset(dataset, "The hold-out that train_split returns", "y the label of x")
    samples = check_valid(dataset.X, dataset.y) if arrays else check_valid(dataset, None)
    return Part(samples, None, np.arange(len(samples)))


def _warn_of_untrained_classes(train: Part, classes: NDArray[Any]) -> None:
    absent = np.flatnonzero(np.bincount(train.y_encoded, minlength=len(classes)) == 0)
    if len(absent):
        advise(
            "untrained classes",
            f"No row of class {classes[absent][:5].tolist()} is in the training part, so the network "
            "cannot learn it: pass more rows of it, or another train_split, cv or groups.",
        )
