"""Mixed precision: products in bfloat16, all else in float32."""

import pickle
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from sk_ils import SmoothingSearchCV, TeacherClassifier


class Watching(nn.Module):
    """Notes the types that its layers compute in."""

    seen: ClassVar[set] = set()

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.hidden = nn.Linear(n_features_in, 32)
        self.out = nn.Linear(32, n_classes)

    def forward(self, X):
        hidden = self.hidden(X)
        self.seen.add(hidden.dtype)
        return self.out(torch.relu(hidden))


@pytest.fixture
def seen():
    Watching.seen.clear()
    return Watching.seen


def test_products_are_bfloat16_and_weights_and_probabilities_are_not(table, student, seen):
    X, y = table
    clf = student(module=Watching, mixed_precision="bf16", max_epochs=20, smoothing="ils2").fit(X, y)
    assert seen == {torch.bfloat16}  # the teacher's, too
    assert {parameter.dtype for parameter in clf.module_.parameters()} == {torch.float32}
    assert clf.forward(X).dtype == torch.float32
    proba = clf.predict_proba(X)
    assert proba.dtype == np.float64
    full = student(module=Watching, max_epochs=20, smoothing="ils2").fit(X, y)
    # Three digits of each product do not change how well it learns.
    labels = clf.classes_
    assert log_loss(y, proba, labels=labels) == pytest.approx(
        log_loss(y, full.predict_proba(X), labels=labels), rel=0.1
    )
    assert seen == {torch.bfloat16, torch.float32}


def test_logits_of_a_tuple_are_float32(table):
    class Pair(Watching):
        def forward(self, X):
            logits = super().forward(X)
            return logits, logits.argmax(dim=1)

    clf = TeacherClassifier(Pair, mixed_precision="bf16", max_epochs=2, random_state=0).fit(*table)
    logits, winners = clf.forward(table[0])
    assert (logits.dtype, winners.dtype) == (torch.float32, torch.int64)


def test_a_search_keeps_the_precision_and_trains_one_by_one(table, student, seen):
    X, y = table
    net = student(module=Watching, mixed_precision="bf16", smoothing="uniform", max_epochs=5)
    search = SmoothingSearchCV(net, {"smoothing": ["none", "uniform"]}, cv=2, refit=False)
    with pytest.warns(UserWarning, match="one by one.*full precision"):
        search.fit(X, y)
    assert seen == {torch.bfloat16}


@pytest.mark.parametrize("value", ["fp16", "float16", True])
def test_other_precisions_are_refused(table, student, value):
    with pytest.raises(ValueError, match="mixed_precision"):
        student(mixed_precision=value).fit(*table)


def test_fewer_digits_than_float64_are_refused(table, student):
    with pytest.raises(ValueError, match="fewer digits than dtype='float64'"):
        student(mixed_precision="bf16", dtype="float64").fit(*table)


class ChannelsLast(nn.Module):
    """A convolution whose weights have the channels last."""

    def __init__(self, n_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.out = nn.Linear(8, n_classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, X):
        return self.out(self.conv(X).amax(dim=(2, 3)))


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
    ],
)
def test_a_modules_memory_format_stays(table, device):
    _, y = table
    X = np.random.default_rng(0).normal(size=(len(y), 3, 6, 6)).astype(np.float32)
    clf = TeacherClassifier(ChannelsLast, max_epochs=2, device=device, random_state=0).fit(X, y)
    for fitted in (clf, pickle.loads(pickle.dumps(clf))):
        assert fitted.module_.conv.weight.is_contiguous(memory_format=torch.channels_last)
