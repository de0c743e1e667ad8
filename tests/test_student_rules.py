"""Rules that read the student's own prediction, asked in every batch of its training."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from sk_ils.smoothing import SoftBootstrap


class OwnBootstrap:
    """A user's own rule without this package's base: NumPy in and out, so that no gradient flows."""

    needs_teacher = False
    needs_student = True

    def __init__(self, beta=0.5):
        self.beta = beta

    def targets(self, y, teacher_logits, student_logits=None):
        assert teacher_logits is None
        assert isinstance(student_logits, np.ndarray)
        onehot = np.eye(student_logits.shape[1])[y]
        return self.beta * onehot + (1 - self.beta) * softmax(student_logits, axis=1)

    def smoothing_factor(self, true_class_proba):
        return (1 - self.beta) * (1 - np.asarray(true_class_proba))


def linear(student, **parameters):
    """Return a linear network that takes one step of full-batch gradient descent from known weights."""

    def build(n_features_in, n_classes):
        layer = torch.nn.Linear(n_features_in, n_classes)
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(-0.5, 0.5, layer.weight.numel()).reshape(layer.weight.shape))
            layer.bias.zero_()
        return layer

    return student(
        module=build,
        optimizer=torch.optim.SGD,
        lr=0.5,
        max_epochs=1,
        batch_size=-1,
        train_split=None,
        dtype="float64",
        **parameters,
    )


@pytest.mark.parametrize(
    ("smoothing", "through_target"), [(SoftBootstrap(beta=0.5), True), (OwnBootstrap(beta=0.5), False)]
)
def test_a_step_of_training_follows_the_gradient_of_the_loss(student, table, smoothing, through_target):
    X, y = table
    clf = linear(student, smoothing=smoothing).fit(X, y)
    start = np.linspace(-0.5, 0.5, 18, dtype=np.float32).astype(np.float64).reshape(3, 6)
    p = softmax(X @ start.T, axis=1)
    entropy = -(p * np.log(p)).sum(axis=1, keepdims=True)
    gradient = 0.5 * (p - (y[:, None] == clf.classes_))
    if through_target:
        gradient -= 0.5 * p * (np.log(p) + entropy)
    np.testing.assert_allclose(
        clf.module_.weight.detach().numpy(), start - 0.5 * gradient.T @ X / len(X), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("smoothing", [SoftBootstrap(beta=1.0), OwnBootstrap(beta=1.0)])
def test_all_of_the_label_trains_as_hard_labels(student, table, smoothing):
    X, y = table
    shared = {"dtype": "float64", "max_epochs": 10}
    weight = np.random.default_rng(0).random(len(y))
    hard = student(smoothing="none", **shared).fit(X, y, sample_weight=weight)
    boot = student(smoothing=smoothing, **shared).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(boot.predict_proba(X), hard.predict_proba(X), atol=1e-6)


def test_less_of_the_label_makes_the_prediction_more_certain(student, table):
    X, y = table
    raw = {"temperature_scaling": False, "train_split": None, "max_epochs": 30}
    confidence = [
        student(smoothing=SoftBootstrap(beta), **raw).fit(X, y).predict_proba(X).max(axis=1).mean()
        for beta in (1.0, 0.8, 0.6)
    ]
    assert confidence == sorted(confidence)
    assert confidence[-1] > confidence[0] + 0.01


@pytest.mark.parametrize("smoothing", [SoftBootstrap(beta=1.0), SoftBootstrap(beta=0.6), OwnBootstrap()])
def test_partial_fit_asks_the_student_too(student, table, smoothing):
    X, y = table
    # not Adam: without the gradient in the target all gradients shrink by beta, which Adam scales back
    shared = {"dtype": "float64", "max_epochs": 2, "optimizer": torch.optim.SGD, "lr": 0.1}
    hard, boot = (
        student(smoothing=rule, **shared).partial_fit(X, y, classes=np.unique(y)).partial_fit(X, y)
        for rule in ("none", smoothing)
    )
    gap = abs(boot.predict_proba(X) - hard.predict_proba(X)).max()
    assert gap < 1e-6 if smoothing.beta == 1 else gap > 1e-3
    assert boot.teacher_ is None


def test_the_targets_change_with_the_student(student, table):
    seen = []

    class Noting(SoftBootstrap):
        def torch_targets(self, y, logits):
            seen.append(logits.detach().clone())
            return super().torch_targets(y, logits)

    X, y = table
    student(smoothing=Noting(), batch_size=-1, max_epochs=3, iterator_train__shuffle=False).fit(X, y)
    assert len(seen) == 3
    assert (seen[0] != seen[1]).any()
