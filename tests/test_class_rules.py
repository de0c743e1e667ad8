"""Rules that must see all rows of a class at once: asked once about all of them, or refused."""

import numpy as np
import pytest
from scipy.special import softmax

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import SmoothingCurveDisplay
from sk_ils.smoothing import ClassSmoothing


class OwnClassRule:
    """A user's own rule without this package's base: class-based smoothing, one class after the other."""

    needs_teacher = True
    needs_all_rows = True
    asked = []  # noqa: RUF012 - its copies share it

    def targets(self, y, teacher_logits, student_logits=None, *, sample_weight=None):
        self.asked.append(len(y))
        p, targets = softmax(teacher_logits, axis=1), np.zeros(teacher_logits.shape)
        for code in np.unique(y):
            of_class = y == code
            weight = None if sample_weight is None else sample_weight[of_class]
            share = np.average(p[of_class], axis=0, weights=weight)
            share[code] = 0
            targets[of_class] = 0.3 * share / share.sum()
            targets[of_class, code] = 0.7
        return targets

    def smoothing_factor(self, true_class_proba):
        return np.full(np.shape(true_class_proba), 0.3)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_asks_once_about_all_rows_with_their_weights(student, table, weighted):
    X, y = table
    weight = np.random.default_rng(0).exponential(size=len(y)) ** 2 if weighted else None
    shared = {"dtype": "float64", "teacher_cv": 2, "train_split": None}
    OwnClassRule.asked.clear()
    own = student(smoothing=OwnClassRule(), **shared).fit(X, y, sample_weight=weight)
    assert OwnClassRule.asked == [len(y)]
    ours = student(smoothing=ClassSmoothing(0.3), **shared).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.predict_proba(X), own.predict_proba(X), atol=1e-6)
    if weighted:
        scaled = student(smoothing=ClassSmoothing(0.3), **shared).fit(X, y, sample_weight=1e6 * weight)
        np.testing.assert_allclose(scaled.predict_proba(X), ours.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("smoothing", ["class", OwnClassRule()], ids=["class", "own"])
def test_where_only_some_rows_are_there_it_is_refused_and_nothing_changes(student, table, smoothing):
    X, y = table
    clf = student(smoothing=smoothing, max_epochs=1)
    with pytest.raises(ValueError, match=r"all rows of a class at once, but teacher_mode=\"online\" asks"):
        student(smoothing=smoothing, teacher_mode="online").fit(X, y)
    with pytest.raises(AttributeError, match="partial_fit") as error:
        clf.partial_fit(X, y, classes=np.unique(y))
    assert "all rows of a class at once, but partial_fit has only some: call fit" in str(
        error.value.__cause__
    )
    # As ever, another rule counts from the next fit on.
    assert not hasattr(clf.fit(X, y).set_params(smoothing="none"), "partial_fit")
    assert hasattr(clf.fit(X, y).set_params(smoothing=smoothing), "partial_fit")


def test_it_is_refused_in_a_teacher_that_is_trained_in_parts_and_nothing_changes(student, table):
    X, y = table
    clf = student(teacher=student(smoothing="class"), max_epochs=1).fit(X, y)
    before = clf.predict_proba(X)
    with pytest.raises(AttributeError, match="partial_fit has only some"):
        clf.partial_fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_its_parameter_is_set_by_name():
    clf = InstanceSmoothedClassifier(smoothing="class", smoothing__epsilon=0.2)
    assert repr(clf.smoothing) == "ClassSmoothing(epsilon=0.2)"


@pytest.mark.usefixtures("headless")
@pytest.mark.parametrize("smoothing", [ClassSmoothing(0.3), OwnClassRule()], ids=["ours", "own"])
def test_the_map_shows_its_targets_of_all_samples(smoothing):
    # So many that the display reads them in parts, and in an order in which the parts differ.
    y = np.arange(90_000) * 3 // 90_000
    proba = softmax(
        np.random.default_rng(0).normal(size=(len(y), 3)) * np.linspace(0, 3, len(y))[:, None], axis=1
    )
    display = SmoothingCurveDisplay.from_predictions(y, proba, smoothing=smoothing, name="by class")
    expected = ClassSmoothing(0.3).targets(y, np.log(proba))[[0, 40_000, 80_000]]
    np.testing.assert_allclose(display.frame()["mean_target"], expected.ravel(), rtol=1e-9)
