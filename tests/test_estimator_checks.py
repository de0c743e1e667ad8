"""scikit-learn's own checks, and that they ran."""

import pytest
from sklearn.utils.estimator_checks import check_estimator, check_sample_weight_equivalence_on_dense_data

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier

RULES = ["none", "uniform", "ils1", "ils2", "ils", "distillation", "bootstrap"]
SPLITS = [0.2, None]
# A random split and mini-batches treat a row of weight 2 other than the same row twice.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "a random split and mini-batches"}

pytestmark = pytest.mark.filterwarnings("ignore")


def estimators(**parameters):
    students = [InstanceSmoothedClassifier(smoothing=rule, **parameters) for rule in RULES]
    return [TeacherClassifier(**parameters), *students]


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [e for s in SPLITS for e in estimators(train_split=s)], ids=repr)
def test_all_checks_pass_with_default_settings(estimator):
    results = check_estimator(estimator, expected_failed_checks=EXPECTED, on_skip=None)
    assert not [result for result in results if result["status"] == "failed"]
    assert sum(result["status"] == "passed" for result in results) >= 60


@pytest.mark.parametrize("estimator", estimators(train_split=None, batch_size=-1, dtype="float64"), ids=repr)
def test_weights_equal_repetitions_without_a_split_and_batches(estimator):
    check_sample_weight_equivalence_on_dense_data(type(estimator).__name__, estimator)
