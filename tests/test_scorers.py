"""Scorers: equal to the metrics, and usable in scikit-learn's searches."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ils.metrics import (
    CalibrationScorer,
    calibration_scoring,
    classwise_calibration_error,
    expected_calibration_error,
    neg_classwise_calibration_error_scorer,
    neg_expected_calibration_error_scorer,
)

SINGLE = {
    neg_expected_calibration_error_scorer: expected_calibration_error,
    neg_classwise_calibration_error_scorer: classwise_calibration_error,
}
KEYS = {
    "accuracy",
    "neg_log_loss",
    "neg_brier_score",
    "neg_expected_calibration_error",
    "neg_classwise_calibration_error",
}


@pytest.fixture(params=[2, 3])
def data(request):
    rng = np.random.default_rng(0)
    codes = rng.integers(request.param, size=200)
    X = rng.standard_normal((200, 4)) + codes[:, None]
    return X, np.array(["ant", "bee", "cat"])[codes]


class CountingNB(GaussianNB):
    """Count the predictions."""

    n_calls = 0

    def predict(self, X):
        raise AssertionError("the scorers need no labels")

    def predict_proba(self, X):
        type(self).n_calls += 1
        return super().predict_proba(X)


@pytest.mark.parametrize("scorer", SINGLE)
def test_single_scorers_are_the_negated_errors(scorer, data):
    X, y = data
    clf = LogisticRegression().fit(X, y)
    assert scorer(clf, X, y) == -SINGLE[scorer](y, clf.predict_proba(X))
    w = np.arange(200) % 3
    weighted = -SINGLE[scorer](y, clf.predict_proba(X), sample_weight=w)
    assert scorer(clf, X, y, sample_weight=w) == weighted


@pytest.mark.parametrize("scoring", [CalibrationScorer(), calibration_scoring()])
def test_all_scores_agree_with_their_functions(scoring, data):
    X, y = data
    scores = cross_validate(LogisticRegression(), X, y, scoring=scoring, return_estimator=True)
    assert {key[5:] for key in scores if key.startswith("test_")} == KEYS
    folds = StratifiedKFold(5).split(X, y)
    for i, (_, test) in enumerate(folds):
        clf = scores["estimator"][i]
        p, y_test = clf.predict_proba(X[test]), y[test]
        expected = {
            "accuracy": accuracy_score(y_test, clf.predict(X[test])),
            "neg_log_loss": -log_loss(y_test, p),
            "neg_brier_score": -brier_score_loss(y_test, p, scale_by_half=False),
            "neg_expected_calibration_error": -expected_calibration_error(y_test, p),
            "neg_classwise_calibration_error": -classwise_calibration_error(y_test, p),
        }
        assert {key: scores["test_" + key][i] for key in KEYS} == pytest.approx(expected)


@pytest.mark.parametrize("scoring", [CalibrationScorer(), calibration_scoring()])
def test_all_scores_cost_one_prediction_a_fold(scoring, data):
    CountingNB.n_calls = 0
    cross_validate(CountingNB(), *data, scoring=scoring, cv=4)
    assert CountingNB.n_calls == 4


def test_folds_may_lack_any_class():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((90, 2)), np.repeat(["a", "b", "c"], 30)
    clf = RandomForestClassifier(n_estimators=5, random_state=0)
    # Without shuffling, each fold tests one class, which the estimator has never seen.
    for scoring in CalibrationScorer(labels=["a", "b", "c"]), calibration_scoring(labels=["a", "b", "c"]):
        scores = cross_validate(clf, X, y, cv=KFold(3), scoring=scoring, error_score="raise")
        assert (scores["test_accuracy"] == 0).all()
    np.testing.assert_array_less(-1, scores["test_neg_expected_calibration_error"])
    # Tested on one known class only.
    clf.fit(X, y)
    one = CalibrationScorer()(clf, X[:30], y[:30])
    assert one["neg_classwise_calibration_error"] == -classwise_calibration_error(
        y[:30], clf.predict_proba(X[:30]), labels=["a", "b", "c"]
    )


def test_a_class_that_the_estimator_does_not_know_has_the_probability_zero():
    X = np.array([[0.0], [0.1], [0.9], [1.0], [2.0]])
    y = np.array(["a", "a", "c", "c", "b"])
    clf = GaussianNB().fit(X[:4], y[:4])
    p = clf.predict_proba(X)
    padded = np.column_stack([p[:, 0], np.zeros(5), p[:, 1]])
    scores = CalibrationScorer(n_bins=5, labels=["c", "b", "a"])(clf, X, y)
    assert scores["neg_classwise_calibration_error"] == pytest.approx(
        -classwise_calibration_error(y, padded, n_bins=5)
    )
    assert scores["neg_log_loss"] == pytest.approx(-log_loss(y, padded))


@pytest.mark.parametrize("labels", [None, [1, 2, 3]])
def test_single_scorers_know_the_classes_that_a_fold_lacks(labels):
    X, y = np.random.default_rng(0).standard_normal((60, 2)), np.repeat([1, 2, 3], 20)
    clf = GaussianNB().fit(X, y)
    for rows in slice(40), slice(20, 60), slice(20, 40):
        all_scores = CalibrationScorer()(clf, X[rows], y[rows])
        for name, scorer in calibration_scoring(labels=labels).items():
            assert scorer(clf, X[rows], y[rows]) == pytest.approx(all_scores[name])
        for scorer, error in SINGLE.items():
            expected = -error(y[rows], clf.predict_proba(X[rows]), labels=[1, 2, 3])
            assert scorer(clf, X[rows], y[rows]) == expected


SCORERS = [CalibrationScorer(), *SINGLE, *calibration_scoring().values()]


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(
    ("names", "change"),
    [
        (["a", "b", "c"], lambda codes: codes),
        ([0, 1, 2], lambda codes: np.array(["a", "b", "c"])[codes]),
        ([0, 1, 2], lambda codes: codes + 1),
        ([1, 2, 3], lambda codes: codes),
        ([0, 1, 2], lambda codes: codes.astype(str)),
        (["a", "b", "c"], lambda codes: np.array(["a", "b", "d"])[codes]),
        (["a", "b"], lambda codes: codes),
        ([1, 2], lambda codes: codes),
    ],
)
def test_labels_that_the_estimator_does_not_know_are_refused_with_both_sets(scorer, names, change):
    codes = np.arange(60) % len(names)
    X = np.random.default_rng(0).standard_normal((60, 2))
    clf = GaussianNB().fit(X, np.array(names)[codes])
    labels = change(codes)
    with pytest.raises(ValueError, match="not among the classes") as error:
        scorer(clf, X, labels)
    assert f"{np.unique(labels).tolist()}" in str(error.value)
    assert f"{names}" in str(error.value)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_labels_are_refused(scorer, data, missing):
    X, y = data
    labels = y.astype(object)
    labels[3] = missing
    with pytest.raises(ValueError, match="y_true contains NaN, None or NA"):
        scorer(LogisticRegression().fit(X, y), X, labels)


@pytest.mark.parametrize(
    "scorer", [CalibrationScorer(labels=[0, 1, 2]), *calibration_scoring([0, 1]).values()]
)
def test_labels_of_a_scorer_that_are_not_the_estimators_are_refused(scorer, data):
    clf = LogisticRegression().fit(*data)
    with pytest.raises(ValueError, match=r"classes_ has the labels \['ant'.* the classes are \[0, 1"):
        scorer(clf, *data)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("scale", [1e-300, 0.1, 1e300])
def test_scale_of_the_weights_does_not_matter(scorer, data, scale):
    clf, w = LogisticRegression().fit(*data), np.random.default_rng(0).exponential(size=200)
    scores = [scorer(clf, *data, sample_weight=weight) for weight in (w, scale * w)]
    assert scores[0] == pytest.approx(scores[1])


def test_options_reach_the_errors(data):
    X, y = data
    clf = LogisticRegression().fit(X, y)
    options = {"n_bins": 7, "strategy": "quantile", "norm": "l2"}
    scores = CalibrationScorer(**options)(clf, X, y)
    assert scores["neg_expected_calibration_error"] == -expected_calibration_error(
        y, clf.predict_proba(X), **options
    )
    single = calibration_scoring(n_bins=7)["neg_classwise_calibration_error"]
    assert single(clf, X, y) == -classwise_calibration_error(y, clf.predict_proba(X), n_bins=7)


@pytest.mark.parametrize("scoring", [CalibrationScorer(), calibration_scoring()])
def test_grid_search_refits_by_name(scoring, data):
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [1e-3, 1.0]}
    search = GridSearchCV(clone(pipe), grid, scoring=scoring, refit="neg_log_loss").fit(*data)
    assert search.best_params_ == {"logisticregression__C": 1.0}
    assert search.best_score_ == max(search.cv_results_["mean_test_neg_log_loss"])


@pytest.mark.parametrize("scorer", SINGLE)
def test_single_scorers_serve_a_grid_search(scorer, data):
    search = GridSearchCV(LogisticRegression(), {"C": [1e-3, 1.0]}, scoring=scorer).fit(*data)
    assert -1 < search.best_score_ < 0


@pytest.mark.parametrize("make", [CalibrationScorer, lambda: neg_expected_calibration_error_scorer])
def test_requested_sample_weight_reaches_the_score(make, data):
    X, y = data
    w = np.random.default_rng(0).integers(0, 3, size=200).astype(float)
    with config_context(enable_metadata_routing=True):
        clf = LogisticRegression().set_fit_request(sample_weight=False)
        scorer = clone(make(), safe=False).set_score_request(sample_weight=True)
        weighted = cross_validate(clf, X, y, scoring=scorer, params={"sample_weight": w})
        scorer = clone(make(), safe=False).set_score_request(sample_weight="my_weight")
        renamed = cross_validate(clf, X, y, scoring=scorer, params={"my_weight": w})
    key = next(k for k in weighted if k.endswith("expected_calibration_error") or k == "test_score")
    np.testing.assert_array_equal(weighted[key], renamed[key])
    by_hand = cross_validate(
        LogisticRegression(), X, y, scoring=make(), return_estimator=True, return_indices=True
    )
    for i in range(5):
        test = by_hand["indices"]["test"][i]
        p = by_hand["estimator"][i].predict_proba(X[test])
        error = -expected_calibration_error(y[test], p, sample_weight=w[test])
        assert weighted[key][i] == pytest.approx(error)
        assert by_hand[key][i] != pytest.approx(error)


def test_sample_weight_that_nobody_requested_raises(data):
    with config_context(enable_metadata_routing=True), pytest.raises(UnsetMetadataPassedError):
        cross_validate(
            LogisticRegression().set_fit_request(sample_weight=True),
            *data,
            scoring=CalibrationScorer(),
            params={"sample_weight": np.ones(200)},
            error_score="raise",
        )


def test_a_request_without_routing_says_how_to_switch_it_on():
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        CalibrationScorer().set_score_request(sample_weight=True)


def test_scorers_can_be_pickled_and_shown(data):
    clf = LogisticRegression().fit(*data)
    for scorer in [*SINGLE, CalibrationScorer(n_bins=3), *calibration_scoring().values()]:
        assert pickle.loads(pickle.dumps(scorer))(clf, *data) == scorer(clf, *data)
    assert repr(CalibrationScorer(n_bins=3)) == (
        "CalibrationScorer(n_bins=3, strategy='uniform', norm='l1', labels=None)"
    )
    assert "expected_calibration_error" in repr(neg_expected_calibration_error_scorer)
