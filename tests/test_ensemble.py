"""SmoothingSearchCV(ensemble=True), and the average of networks that it ends with."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import FitFailedWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted
from skorch.dataset import ValidSplit
from torch.utils.data import Subset, TensorDataset

from sk_ils import SmoothingSearchCV, TeacherClassifier
from sk_ils.inspection import ReliabilityDisplay
from sk_ils.metrics import CalibrationScorer, calibration_report
from sk_ils.model_selection import CrossFittedClassifier

# Which candidate of these grids is the best says nothing.
pytestmark = pytest.mark.filterwarnings("ignore:The best candidate lies at the edge of the grid")

GRID = {"smoothing": ["none", "uniform", "ils1", "ils"]}
FOLDS = StratifiedKFold(3)


@pytest.fixture(scope="module")
def rows(table):
    X, y = table
    return X[:150], np.unique(y, return_inverse=True)[1][:150]


@pytest.fixture
def student(student):
    """Return a constructor of students in float64, where equality is more than a few digits."""
    return lambda **parameters: student(**{"dtype": "float64", **parameters})


def ensemble(estimator, grid, **params):
    return SmoothingSearchCV(estimator, grid, **{"cv": FOLDS, "ensemble": True, "racing": False, **params})


def given_split(train, valid):
    """Return a train_split that holds out the rows of a split, and no others."""
    return lambda dataset, y: (Subset(dataset, train.tolist()), Subset(dataset, valid.tolist()))


def fitted_alone(search, train, test, X, y, **params):
    alone = clone(search.estimator).set_params(**search.best_params_)
    return alone.set_params(train_split=given_split(train, test)).fit(X, y, **params)


# --- the members --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["none", "ils1", "ils"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"patience": 2, "max_epochs": 25, "lr": 0.05},
        {"teacher": LogisticRegression()},
        {"temperature_scaling": False, "batch_size": -1},
        {"train_split": None, "teacher_cv": 2},
    ],
    ids=lambda parameters: "-".join(parameters),
)
def test_each_member_equals_the_estimator_fitted_alone_on_the_same_split(rows, student, rule, parameters):
    X, y = rows
    grid = {"smoothing": [rule]}
    search = ensemble(student(**parameters), grid).fit(X, y)
    for member, (train, test) in zip(search.best_estimator_.estimators_, FOLDS.split(X, y), strict=True):
        alone = fitted_alone(search, train, test, X, y)
        np.testing.assert_allclose(member.predict_proba(X), alone.predict_proba(X), rtol=0, atol=1e-6)
        assert member.temperature_ == pytest.approx(alone.temperature_, rel=1e-6)
        assert member.teacher_temperature_ == pytest.approx(alone.teacher_temperature_, rel=1e-6)


def test_members_of_a_stack_equal_those_trained_alone(rows, student):
    X, y = rows
    together = ensemble(student(), GRID).fit(X, y)
    alone = ensemble(student(), GRID, max_parallel=1).fit(X, y)
    assert together.best_params_ == alone.best_params_
    np.testing.assert_allclose(together.predict_proba(X), alone.predict_proba(X), rtol=0, atol=1e-6)


def test_weights_and_groups_reach_training_part_and_hold_out(rows, student):
    X, y = rows
    rng = np.random.default_rng(0)
    weight, groups = rng.uniform(0.1, 3, len(y)), rng.integers(0, 12, len(y))
    cv = GroupKFold(3)
    search = ensemble(student(), {"smoothing": ["ils"]}, cv=cv)
    search.fit(X, y, sample_weight=weight, groups=groups)
    for member, (train, test) in zip(search.best_estimator_.estimators_, cv.split(X, y, groups), strict=True):
        alone = fitted_alone(search, train, test, X, y, sample_weight=weight)
        np.testing.assert_allclose(member.predict_proba(X), alone.predict_proba(X), rtol=0, atol=1e-6)


def test_weights_of_any_scale_give_the_same_ensemble(rows, student):
    X, y = rows
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    one, other = (
        ensemble(student(), GRID, racing=True).fit(X, y, sample_weight=scale * weight) for scale in (1, 1e-6)
    )
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=0, atol=1e-9)
    np.testing.assert_allclose(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])


def test_a_dataset_gives_the_members_of_its_arrays(rows, student):
    X, y = rows
    dataset = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    from_dataset = ensemble(student(), {}).fit(dataset)
    from_arrays = ensemble(student(), {}).fit(X, y)
    proba = from_dataset.predict_proba(dataset)
    np.testing.assert_allclose(proba, from_arrays.predict_proba(X), rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        from_dataset.out_of_fold_proba_, from_arrays.out_of_fold_proba_, rtol=0, atol=1e-9
    )
    assert from_dataset.best_estimator_.score(dataset) == from_arrays.best_estimator_.score(X, y)


def test_members_of_a_pipeline_are_pipelines_fitted_on_their_training_part(rows, student):
    X, y = rows
    X = pd.DataFrame(X * 50, columns=[f"column {i}" for i in range(X.shape[1])])
    search = ensemble(make_pipeline(StandardScaler(), student()), {}).fit(X, y)
    assert search.feature_names_in_.tolist() == X.columns.tolist()
    for member, (train, test) in zip(search.best_estimator_.estimators_, FOLDS.split(X, y), strict=True):
        scaler = StandardScaler().fit(X.iloc[train])
        np.testing.assert_allclose(member[0].mean_, scaler.mean_)
        alone = student(train_split=given_split(train, test)).fit(scaler.transform(X), y)
        expected = alone.predict_proba(scaler.transform(X))
        np.testing.assert_allclose(member.predict_proba(X), expected, rtol=0, atol=1e-6)


# --- the average --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_average_is_that_of_log_probabilities(rows, student, n_classes):
    X, y = rows
    X, y = X[y < n_classes], y[y < n_classes]
    model = ensemble(student(), {"smoothing": ["none", "uniform"]}).fit(X, y).best_estimator_
    product = np.prod([member.predict_proba(X) for member in model.estimators_], axis=0) ** (1 / 3)
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-12)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(expected), atol=1e-9)
    decision = np.log(expected) if n_classes > 2 else np.log(expected[:, 1] / expected[:, 0])
    np.testing.assert_allclose(model.decision_function(X), decision, atol=1e-9)
    assert (model.predict(X) == expected.argmax(axis=1)).all()


def test_out_of_fold_probabilities_are_those_of_the_networks_that_did_not_see_the_row(rows, student):
    X, y = rows
    search = ensemble(student(), GRID).fit(X, y)
    members = search.best_estimator_.estimators_
    for split, (member, (_, test)) in enumerate(zip(members, FOLDS.split(X, y), strict=True)):
        np.testing.assert_allclose(search.out_of_fold_proba_[test], member.predict_proba(X[test]), atol=1e-12)
        score = search.cv_results_[f"split{split}_test_score"][search.best_index_]
        assert score == pytest.approx(-log_loss(y[test], member.predict_proba(X[test])))
    assert search.best_score_ == pytest.approx(-log_loss(y, search.out_of_fold_proba_))


def test_repetitions_are_averaged_out_of_fold(rows, student):
    X, y = rows
    cv = RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0)
    search = ensemble(student(max_epochs=3), {}, cv=cv).fit(X, y)
    product = np.ones_like(search.out_of_fold_proba_)
    for member, (_, test) in zip(search.best_estimator_.estimators_, cv.split(X, y), strict=True):
        product[test] *= member.predict_proba(X[test])
    expected = np.sqrt(product) / np.sqrt(product).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(search.out_of_fold_proba_, expected, atol=1e-12)


def test_the_best_candidate_by_the_score_becomes_the_ensemble(rows, student):
    X, y = rows
    search = ensemble(student(), GRID, scoring=["accuracy", "neg_log_loss"], refit="neg_log_loss").fit(X, y)
    assert search.best_index_ == search.cv_results_["mean_test_neg_log_loss"].argmax()
    assert search.best_estimator_.estimators_[0].smoothing == search.best_params_["smoothing"]
    assert search.score(X, y) == pytest.approx(-log_loss(y, search.predict_proba(X)))


def test_without_refit_there_are_scores_and_no_ensemble(rows, student):
    search = ensemble(student(), GRID, refit=False).fit(*rows)
    assert len(search.cv_results_["mean_test_score"]) == 4
    assert not hasattr(search, "best_estimator_")
    assert not hasattr(search, "out_of_fold_proba_")


# --- the race -----------------------------------------------------------------------------------------

# Networks trained on targets that are nearly uniform are far behind after one split.
RACE = [{"smoothing": ["none"]}, {"smoothing": ["uniform"], "smoothing__epsilon": [0.99, 0.999]}]


@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
def test_a_candidate_that_is_far_behind_is_fitted_no_more(rows, student, scoring, capsys):
    X, y = rows
    estimator = student(temperature_scaling=False)
    raced = ensemble(estimator, RACE, racing=True, scoring=scoring, verbose=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="The best candidate lies at the edge")
        raced.fit(X, y)
    shown = capsys.readouterr().err
    assert "fold 1/3, candidates 3: " in shown
    assert "fold 3/3, candidates 1: 100%" in shown
    full = ensemble(estimator, RACE, scoring=scoring).fit(X, y)
    scores = np.array([raced.cv_results_[f"split{split}_test_score"] for split in range(3)])
    assert np.isfinite(scores).sum(axis=0).tolist() == [3, 1, 1]
    assert raced.cv_results_["rank_test_score"].tolist() == [1, 2, 2]
    assert raced.best_params_ == full.best_params_
    np.testing.assert_allclose(raced.predict_proba(X), full.predict_proba(X), rtol=0, atol=1e-6)


def test_other_scores_are_no_race(rows, student):
    search = ensemble(student(temperature_scaling=False), RACE, racing=True, scoring="accuracy").fit(*rows)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_scores_by_name_of_a_callable_stand_beside_a_candidate_that_fails(rows, student):
    X, y = rows
    proba = np.full((len(y), 3), 1 / 3)
    grid = {"smoothing": ["ils2"], "teacher_mode": ["online", "cached"]}  # "online" takes no teacher_proba
    search = ensemble(student(), grid, scoring=CalibrationScorer(), refit="neg_log_loss", racing=False)
    with pytest.warns(FitFailedWarning):
        search.fit(X, y, teacher_proba=proba)
    assert np.isnan(search.cv_results_["mean_test_neg_log_loss"]).tolist() == [True, False]
    assert search.best_params_["teacher_mode"] == "cached"


@pytest.mark.filterwarnings(
    "ignore:One or more of the test scores", "ignore::sklearn.exceptions.FitFailedWarning"
)
def test_a_candidate_that_fails_on_a_split_is_no_member(rows, student):
    grid = [{"smoothing": ["none"]}, {"smoothing": ["uniform"], "smoothing__epsilon": [2.0]}]
    search = ensemble(student(), grid)
    with pytest.warns(FitFailedWarning, match="epsilon"):
        search.fit(*rows)
    assert search.best_params_ == {"smoothing": "none"}
    search.set_params(refit=lambda results: 1)
    with pytest.raises(ValueError, match="not fitted on every split"):
        search.fit(*rows)


# --- contract -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (ShuffleSplit(3, random_state=0), "holds rows out 0 to"),
        (TimeSeriesSplit(3), "holds rows out 0 to 1 times"),
        (PredefinedSplit(np.repeat([-1, 0, 1], 50)), "holds rows out 0 to 1 times"),
        ([(np.arange(150), np.arange(150))], "test rows are no training rows"),
        ([(np.arange(50), np.repeat(np.arange(50, 150), 2))], "test rows are no training rows"),
    ],
    ids=["shuffled", "time series", "predefined", "overlapping", "twice"],
)
def test_splits_that_hold_rows_out_unequally_are_refused_and_change_nothing(rows, student, cv, message):
    X, y = rows
    search = ensemble(student(max_epochs=2), {}).fit(X, y)
    before = search.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        search.set_params(cv=cv).fit(X, y)
    assert (search.predict_proba(X) == before).all()


def test_a_pipeline_that_resamples_rows_is_refused(rows, student):
    class Sampler(BaseEstimator):
        def fit_resample(self, X, y):
            return X, y

    with pytest.raises(ValueError, match="ensemble=True holds each split's test part out as it is"):
        ensemble(Pipeline([("sample", Sampler()), ("net", student())]), {}).fit(*rows)


def test_a_hold_out_of_the_users_that_nobody_asks_is_told(rows, student):
    X, y = rows
    estimator = student(train_split=ValidSplit(3))
    for model in (ensemble(estimator, {}), CrossFittedClassifier(estimator, cv=FOLDS)):
        with pytest.warns(UserWarning, match="train_split is not asked.* each split's test part") as caught:
            model.fit(X, y)
        assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for known in (None, 0.3):
            ensemble(student(train_split=known), {}).fit(X, y)
        SmoothingSearchCV(estimator, {}, cv=2, refit=False).fit(*rows)


def test_a_class_that_a_training_part_lacks_is_warned_of_once(rows, student):
    X, y = rows
    y = np.where(np.arange(len(y)) < 12, "rare", y.astype(str))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = ensemble(student(max_epochs=3), GRID, cv=KFold(3)).fit(X, y)
    said = [str(warning.message) for warning in caught if "rare" in str(warning.message)]
    assert len(said) == 1
    assert "No row of class ['rare'] is in the training part" in said[0]
    for proba in (search.predict_proba(X), search.out_of_fold_proba_):
        assert proba.shape == (150, 4)
        assert np.isfinite(proba).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_the_same_seed_gives_the_same_numbers_also_after_a_pickle(rows, student):
    X, y = rows
    one, other = (ensemble(student(), GRID, racing=True).fit(X, y) for _ in range(2))
    assert (one.predict_proba(X) == other.predict_proba(X)).all()
    assert (pickle.loads(pickle.dumps(one)).predict_proba(X) == one.predict_proba(X)).all()


def test_the_ensemble_can_be_fitted_by_itself(rows, student):
    X, y = rows
    search = ensemble(student(), {"smoothing": ["uniform"]}).fit(X, y)
    again = clone(search.best_estimator_).fit(X, y)
    assert (again.predict_proba(X) == search.predict_proba(X)).all()
    assert again.score(X, y) == np.mean(again.predict(X) == y)


@pytest.mark.parametrize(
    "method",
    [
        "sigmoid",
        pytest.param("temperature", marks=pytest.mark.needs_sklearn("1.8", "this method")),
    ],
)
def test_calibrators_displays_and_reports_take_it(rows, student, headless, method):
    X, y = rows
    search = ensemble(student(), {}).fit(X, y)
    for model in (search, search.best_estimator_):
        scaled = CalibratedClassifierCV(FrozenEstimator(model), method=method).fit(X, y)
        np.testing.assert_allclose(scaled.predict_proba(X).sum(axis=1), 1)
        ReliabilityDisplay.from_estimator(model, X, y)
    report = calibration_report(y, search.out_of_fold_proba_)
    assert report.frame().loc["cross_entropy", "value"] == pytest.approx(-search.best_score_)


@pytest.mark.parametrize("kind", ["search", "ensemble"])
def test_it_is_an_estimator_for_scikit_learn(student, kind):
    member = student(max_epochs=4)
    models = {
        "search": SmoothingSearchCV(member, {}, cv=2, ensemble=True, error_score="raise"),
        "ensemble": CrossFittedClassifier(member, cv=2),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(models[kind], on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert not failed
    assert sum(result["status"] == "passed" for result in results) >= 50


def test_an_unfitted_ensemble_says_so(rows, student):
    model = CrossFittedClassifier(student())
    with pytest.raises(Exception, match="not fitted yet"):
        model.predict_proba(rows[0])
    with pytest.raises(Exception, match="not fitted yet"):
        check_is_fitted(model)


@pytest.mark.parametrize("meta", [SmoothingSearchCV, CrossFittedClassifier])
@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            TeacherClassifier(),
            r"CrossFittedClassifier.*got TeacherClassifier.*Classifier\(smoothing='none'\)",
        ),
        (LogisticRegression(), r"CrossFittedClassifier.*got LogisticRegression.*TemperatureScaledClassifier"),
    ],
)
def test_another_classifier_is_refused_with_what_to_take(meta, estimator, message, rows):
    with pytest.raises(TypeError, match=message):
        meta(estimator).fit(*rows)
