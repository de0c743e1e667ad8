"""scikit-learn's own checks, one test for each, and that they ran."""

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
# scikit-learn skips it unless SCIPY_ARRAY_API was set before scipy was imported.
SKIPPED = {"check_array_api_input"}

pytestmark = pytest.mark.filterwarnings("ignore")


def estimators(**parameters):
    students = [InstanceSmoothedClassifier(smoothing=rule, **parameters) for rule in RULES]
    return [TeacherClassifier(**parameters), *students]


def checked():
    """Return both classifiers with their defaults, and all others on short trainings."""
    others = [rule for rule in RULES if rule != InstanceSmoothedClassifier().smoothing]
    return [
        TeacherClassifier(),
        InstanceSmoothedClassifier(),
        # No check's contract depends on the number of epochs.
        *(InstanceSmoothedClassifier(smoothing=rule, max_epochs=10) for rule in others),
        *estimators(max_epochs=10, train_split=None),
    ]


@pytest.mark.slow
@parametrize_with_checks(checked(), expected_failed_checks=lambda estimator: EXPECTED, xfail_strict=False)
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
