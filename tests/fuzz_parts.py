"""What the fuzz suite passes to the package: data, labels, modules, teachers and rules, good and odd."""

# ruff: noqa: F401  # expressions use what is imported here

import copy
import enum
import math
import pickle
import tempfile
from collections import OrderedDict
from pathlib import Path

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import skorch
import skorch.helper
import torch
from fuzz_case import HostileError
from scipy import sparse
from sklearn import (
    calibration,
    cluster,
    dummy,
    ensemble,
    feature_selection,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    pipeline,
    preprocessing,
    semi_supervised,
    svm,
    tree,
)
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from skorch import callbacks
from skorch.dataset import ValidSplit
from torch import nn, optim

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier, metrics, smoothing
from sk_ils.batches import BatchLoader
from sk_ils.model_selection import CrossFittedClassifier, NegCrossEntropyScorer
from sk_ils.temperature import TemperatureScaledClassifier, softmax

mpl.use("agg")

import matplotlib.pyplot as plt

SMALL = {"max_epochs": 2, "batch_size": 16, "random_state": 0, "device": "cpu", "train_split": 0.3}
N = 40
_rng = np.random.default_rng(0)
Y = np.arange(N) % 3
X = _rng.normal(size=(N, 4)) + 1.5 * np.eye(3, 4)[Y]
PROBA = softmax(X[:, :3])
NAMES = np.array(["ant", "bee", "cat"])
Color = enum.Enum("Color", "red green blue")


# --- data ---------------------------------------------------------------------------------------------


def put(array, value, rows=(1,)):
    """Return a copy with a value in some rows (the first column of a table)."""
    changed = np.array(array)
    for row in rows:
        changed[(row,) + (0,) * (changed.ndim - 1)] = value
    return changed


def readonly(array):
    copied = np.array(array)
    copied.flags.writeable = False
    return copied


def frame(array, columns="abcd"):
    return pd.DataFrame(np.asarray(array), columns=list(columns))


def objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


class Pairs(torch.utils.data.Dataset):
    """A Dataset of pairs, with whatever items and attributes a case asks for."""

    def __init__(self, X, y, item=None, length=None, **attributes):
        self.inputs, self.labels, self.item, self.length = X, y, item, length
        for name, value in attributes.items():
            setattr(self, name, value)

    def __len__(self):
        return len(self.inputs) if self.length is None else self.length

    def __getitem__(self, index):
        if self.item is not None:
            return self.item(self.inputs[index], self.labels[index])
        return torch.as_tensor(self.inputs[index], dtype=torch.float32), int(self.labels[index])


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter([(torch.zeros(4), 0), (torch.ones(4), 1)])


def raises(*_args, **_kwargs):
    raise HostileError("on purpose")


# --- modules ------------------------------------------------------------------------------------------


class Net(nn.Module):
    """A small network; `after` is what a hostile one does with its logits."""

    def __init__(self, n_features_in=4, n_classes=3, after=None, before=None, p=0.0):
        super().__init__()
        self.linear = nn.Linear(n_features_in, n_classes)
        self.dropout = nn.Dropout(p)
        self.after, self.before = after, before

    def forward(self, X):
        if self.before is not None:
            X = self.before(X)
        logits = self.linear(self.dropout(X.flatten(1)))
        return logits if self.after is None else self.after(logits)


class EvalOnly(Net):
    """Does what a hostile `after` does in eval mode alone."""

    def forward(self, X):
        after, self.after = self.after, None
        logits = super().forward(X)
        self.after = after
        return logits if self.training else after(logits)


class BatchNormNet(nn.Sequential):
    def __init__(self, n_features_in, n_classes):
        super().__init__(nn.BatchNorm1d(n_features_in), nn.Linear(n_features_in, n_classes))


class Wanting(Net):
    def __init__(self, width, n_classes=3):
        super().__init__(width, n_classes)


class SkorchNames(Net):
    def __init__(self, in_features, num_classes):
        super().__init__(in_features, num_classes)


class NoParameters(nn.Module):
    def forward(self, X):
        return X[:, :3]


class Lazy(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.linear = nn.LazyLinear(n_classes)

    def forward(self, X):
        return self.linear(X)


class Tokens(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.embedding = nn.EmbeddingBag(50, n_classes)

    def forward(self, X):
        return self.embedding(X.abs().long().clamp(max=49))


def in_place(X):
    return X.mul_(2.0)


# --- teachers -----------------------------------------------------------------------------------------


class Stub(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities and classes are what a case says."""

    def __init__(self, proba=None, classes=None, fitting=None):
        self.proba, self.classes, self.fitting = proba, classes, fitting

    def fit(self, X, y):
        if self.fitting is not None:
            self.fitting(X, y)
        self.classes_ = np.unique(y) if self.classes is None else self.classes
        return self

    def predict_proba(self, X):
        if callable(self.proba):
            return self.proba(X)
        if self.proba is None:
            return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))
        return self.proba


def rows(value, width=3):
    """Return a predict_proba that gives the same row for each sample."""
    return lambda X: (
        np.tile(np.asarray(value), (len(X), 1)) if np.ndim(value) else np.full((len(X), width), value)
    )


# --- rules and callbacks ------------------------------------------------------------------------------


class OwnRule:
    """A user's rule, without a base class."""

    def __init__(self, targets=None, factor=None, needs_teacher=False, needs_student=False):
        self.given, self.factor = targets, factor
        self.needs_teacher, self.needs_student = needs_teacher, needs_student

    def targets(self, y, teacher_logits, student_logits=None):
        logits = student_logits if teacher_logits is None else teacher_logits
        one_hot = np.eye(logits.shape[1])[y]
        return 0.9 * one_hot + 0.1 / logits.shape[1] if self.given is None else self.given(y, logits)

    def smoothing_factor(self, true_class_proba):
        return (
            np.full(np.shape(true_class_proba), 0.1) if self.factor is None else self.factor(true_class_proba)
        )


class HostileCallback(callbacks.Callback):
    """Raises in one hook."""

    def __init__(self, hook, error=HostileError):
        self.hook, self.error = hook, error

    def _act(self, hook):
        if hook == self.hook:
            raise self.error("on purpose")

    def initialize(self):
        self._act("initialize")
        return self

    def on_train_begin(self, net, **kwargs):
        self._act("on_train_begin")

    def on_epoch_begin(self, net, **kwargs):
        self._act("on_epoch_begin")

    def on_batch_end(self, net, **kwargs):
        self._act("on_batch_end")

    def on_grad_computed(self, net, **kwargs):
        self._act("on_grad_computed")

    def on_epoch_end(self, net, **kwargs):
        self._act("on_epoch_end")

    def on_train_end(self, net, **kwargs):
        self._act("on_train_end")


HOOKS = (
    *("initialize", "on_train_begin", "on_epoch_begin", "on_batch_end", "on_grad_computed"),
    *("on_epoch_end", "on_train_end"),
)


def scope():
    """Return the names that expressions may use."""
    names = {name: value for name, value in globals().items() if not name.startswith("_")}
    return {**names, "y": Y, "rng": np.random.default_rng(1)}
