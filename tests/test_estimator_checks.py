"""scikit-learn's own checks, and that they ran."""

import pytest
from sklearn.utils.estimator_checks import check_estimator, check_sample_weight_equivalence_on_dense_data

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier

RULES = ["none", "uniform", "ils1", "ils2", "ils"]
RIVALS = ["distillation", "bootstrap"]
# A random split and mini-batches treat a row of weight 2 other than the same row twice.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "a random split and mini-batches"}

pytestmark = pytest.mark.filterwarnings("ignore")


def students(rules, **parameters):
    return [InstanceSmoothedClassifier(smoothing=rule, **parameters) for rule in rules]


# Shorter training asks the same questions at a third of the time.
SHORT = {"max_epochs": 20, "lr": 0.01}
ESTIMATORS = [
    TeacherClassifier(),
    *students(RULES),
    TeacherClassifier(train_split=None, **SHORT),
    *students(RULES + RIVALS, train_split=None, **SHORT),
    *students(RIVALS, **SHORT),
]
FULL_BATCH = {"train_split": None, "batch_size": -1, "dtype": "float64"}


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_all_checks_pass_with_a_hold_out_and_without(estimator):
    results = check_estimator(estimator, expected_failed_checks=EXPECTED, on_skip=None)
    assert not [result for result in results if result["status"] == "failed"]
    assert sum(result["status"] == "passed" for result in results) >= 60


@pytest.mark.parametrize(
    "estimator", [TeacherClassifier(**FULL_BATCH), *students(RULES + RIVALS, **FULL_BATCH)], ids=repr
)
def test_weights_equal_repetitions_without_a_split_and_batches(estimator):
    check_sample_weight_equivalence_on_dense_data(type(estimator).__name__, estimator)
