"""Laws of the two rival methods of the real-data benchmark, and their manners as estimators."""

import doctest

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import cross_entropy

from benchmarks.real_data import rivals
from sk_ils import InstanceSmoothedClassifier, TeacherClassifier

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


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0, 0.99))
def test_class_targets_are_probability_vectors_that_only_the_class_decides(seed, epsilon):
    codes, logits, _ = random_batch(seed)
    codes, proba = codes.numpy(), torch.softmax(logits.double(), dim=1).numpy()
    targets = rivals.class_targets(codes, proba, epsilon)
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    assert targets.min() >= 0
    np.testing.assert_allclose(targets[np.arange(len(codes)), codes], 1 - epsilon)
    for code in np.unique(codes):
        rows = targets[codes == code]
        np.testing.assert_array_equal(rows, np.broadcast_to(rows[0], rows.shape))


def test_the_class_most_like_the_true_one_gets_most():
    proba = np.array([[0.7, 0.25, 0.05], [0.5, 0.4, 0.1]])
    target = rivals.class_targets(np.array([0, 0]), proba, 0.1)[0]
    np.testing.assert_allclose(target[1:], 0.1 * np.array([0.325, 0.075]) / 0.4)


def test_a_teacher_that_is_certain_of_a_class_leaves_it_a_uniform_share():
    target = rivals.class_targets(np.array([0]), np.array([[1.0, 0.0, 0.0]]), 0.2)
    np.testing.assert_allclose(target, [[0.8, 0.1, 0.1]])


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


def test_class_smoothing_works_as_a_rule_in_a_search(table):
    X, y = table
    clf = InstanceSmoothedClassifier(smoothing=rivals.ClassSmoothing(), teacher_cv=2, random_state=0, **SMALL)
    search = GridSearchCV(clf, {"smoothing__epsilon": [0.05, 0.2]}, cv=2, scoring="neg_log_loss").fit(X, y)
    assert search.best_estimator_.smoothing_.epsilon in (0.05, 0.2)
    a, b = search.cv_results_["mean_test_score"]
    assert a != b
    with pytest.raises(ValueError, match="epsilon"):
        clf.set_params(smoothing__epsilon=1.0).fit(X, y)


def test_the_examples_run():
    failed, attempted = doctest.testmod(rivals)
    assert attempted
    assert not failed
