"""scikit-learn's own checks, one test for each, and that they ran."""

from inspect import signature
from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    estimator_checks_generator,
    parametrize_with_checks,
)

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier

RULES = ["none", "uniform", "ils1", "ils2", "ils", "class", "distillation", "bootstrap"]
# A random split and mini-batches treat a row of weight 2 other than the same row twice.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "a random split and mini-batches"}
# What is expected to fail may also pass. Before scikit-learn 1.8 that is what pytest's settings say.
LENIENT = {"xfail_strict": False} if "xfail_strict" in signature(parametrize_with_checks).parameters else {}
OF_RULES = {
    "check_classifiers_classes",
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
    "check_classifiers_train",
    "check_estimators_pickle",
    "check_fit_idempotent",
}
# scikit-learn skips it unless SCIPY_ARRAY_API was set before scipy was imported.
SKIPPED = {"check_array_api_input"}

pytestmark = pytest.mark.filterwarnings("ignore")


def estimators(**parameters):
    students = [InstanceSmoothedClassifier(smoothing=rule, **parameters) for rule in RULES]
    return [TeacherClassifier(**parameters), *students]


def checked():
    """Return both classifiers with their defaults, and the student without a teacher or hold-out."""
    return [
        TeacherClassifier(),
        InstanceSmoothedClassifier(),
        # No check's contract depends on the number of epochs.
        InstanceSmoothedClassifier(smoothing="bootstrap", max_epochs=10, train_split=None),
    ]


def checks_of_rules():
    """Return the checks that fit, of every rule: the input never meets the rule, the labels do."""
    return [
        pytest.param(estimator, check, id=f"{estimator.smoothing}-{check.func.__name__}")
        for estimator in estimators(max_epochs=10)[1:]
        for estimator, check in estimator_checks_generator(estimator)
        if check.func.__name__ in OF_RULES
    ]


@pytest.mark.parametrize(("estimator", "check"), checks_of_rules())
def test_checks_of_the_labels_pass_with_every_rule(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(checked(), expected_failed_checks=lambda estimator: EXPECTED, **LENIENT)
def test_every_check_passes(estimator, check):
    try:
        check(estimator)
    except SkipTest as reason:
        if check.func.__name__ not in SKIPPED:
            pytest.fail(f"scikit-learn skipped the check: {reason}")
        raise


@pytest.mark.parametrize("estimator", checked(), ids=repr)
def test_there_are_sixty_checks_that_must_pass(estimator):
    checks = estimator_checks_generator(estimator)
    names = [check.func.__name__ for _, check in checks]
    assert len([name for name in names if name not in SKIPPED | EXPECTED.keys()]) >= 60


@pytest.mark.parametrize(
    "estimator", estimators(max_epochs=10, train_split=None, batch_size=-1, dtype="float64"), ids=repr
)
def test_weights_equal_repetitions_without_a_split_and_batches(estimator):
    check_sample_weight_equivalence_on_dense_data(type(estimator).__name__, estimator)
