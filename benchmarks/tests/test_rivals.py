"""Laws of Beta smoothing, the rival method of the real-data benchmark, and its manners as an estimator."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import cross_entropy

from benchmarks.real_data import rivals
from sk_ils import TeacherClassifier

SMALL = {"max_epochs": 4, "lr": 0.01, "batch_size": 32, "device": "cpu", "module__hidden_sizes": (16,)}


def random_batch(seed, n=40, n_classes=4):
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, n_classes, generator=rng) * 3
    return torch.randint(n_classes, (n,), generator=rng), logits, torch.rand(n, generator=rng)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_beta_targets_are_probability_vectors_uniform_over_the_wrong_classes(seed, weight):
    codes, logits, draws = random_batch(seed)
    targets = rivals.beta_targets(codes, logits, draws, weight)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(len(codes)))
    assert targets.min() >= 0
    wrong = targets.scatter(1, codes[:, None], -1.0)
    wrong = wrong[wrong >= 0].reshape(len(codes), -1)
    torch.testing.assert_close(wrong, wrong[:, :1].expand_as(wrong))


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_the_more_confident_the_average_network_the_less_beta_smooths(seed):
    codes, logits, draws = random_batch(seed)
    kept = rivals.beta_targets(codes, logits, draws, 0.6).gather(1, codes[:, None]).squeeze(1)
    proba = torch.softmax(logits, dim=1).gather(1, codes[:, None]).squeeze(1)
    in_order = kept[proba.argsort()]
    assert (in_order.diff() >= 0).all()
    torch.testing.assert_close(in_order, 1 - 0.6 * (1 - draws.sort().values))


def test_the_loss_is_that_of_the_label_and_of_the_beta_target_weighted():
    # As in the authors' script: (1 - w) * cross-entropy(label) + w * cross-entropy(Beta target).
    codes, logits, draws = random_batch(0)
    scores = random_batch(1)[1]
    loss = cross_entropy(scores, rivals.beta_targets(codes, logits, draws, 0.3))
    parts = [cross_entropy(scores, rivals.beta_targets(codes, logits, draws, w)) for w in (0.0, 1.0)]
    torch.testing.assert_close(parts[0], cross_entropy(scores, codes))
    torch.testing.assert_close(loss, 0.7 * parts[0] + 0.3 * parts[1])


def test_beta_without_weight_is_the_plain_network(table):
    X, y = table
    plain = TeacherClassifier(random_state=0, **SMALL).fit(X, y).predict_proba(X)
    none = rivals.BetaSmoothedClassifier(weight=0.0, random_state=0, **SMALL).fit(X, y).predict_proba(X)
    some = rivals.BetaSmoothedClassifier(random_state=0, **SMALL).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(none, plain, atol=1e-5)
    assert abs(some - plain).max() > 1e-3


def test_the_average_follows_the_authors_schedule(table):
    decay, moves = 0.6, []

    class Watched(rivals.BetaSmoothedClassifier):
        def get_loss(self, y_pred, y_true, X=None, training=False):
            loss = super().get_loss(y_pred, y_true, X, training)
            if training:
                states = (self._average.module, self.module_)
                moves.append([next(module.parameters()).detach().clone() for module in states])
            return loss

    Watched(decay=decay, random_state=0, **{**SMALL, "max_epochs": 1}).fit(*table)
    average = moves[0][1]
    for step, (theirs, weights) in enumerate(moves[1:], start=1):
        kept = min(1 - 1 / (step + 1), decay)
        average = kept * average + (1 - kept) * weights
        torch.testing.assert_close(theirs, average)
    assert len(moves) > 3


def test_beta_is_an_estimator_like_any_other(table):
    X, y = table
    clf = make_pipeline(StandardScaler(), rivals.BetaSmoothedClassifier(random_state=3, weight=0.4, **SMALL))
    proba = clf.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(clone(clf).fit(X, y).predict_proba(X), proba)
    other = clone(clf).set_params(betasmoothedclassifier__random_state=4)
    assert abs(other.fit(X, y).predict_proba(X) - proba).max() > 1e-3
    assert clone(clf)[-1].get_params()["module__hidden_sizes"] == (16,)


@pytest.mark.parametrize("parameter", [{"weight": 1.1}, {"concentration": 0.0}, {"decay": 1.0}])
def test_beta_refuses_parameters_outside_their_range(table, parameter):
    with pytest.raises(ValueError, match=next(iter(parameter))):
        rivals.BetaSmoothedClassifier(**parameter, **SMALL).fit(*table)
