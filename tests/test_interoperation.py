"""The classifiers at work in scikit-learn's and skorch's tools, on float64 X and string labels."""

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    TrainEndCheckpoint,
)
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from sk_ils import InstanceSmoothedClassifier
from sk_ils.metrics import (
    CalibrationScorer,
    classwise_calibration_error,
    expected_calibration_error,
    neg_classwise_calibration_error_scorer,
    neg_expected_calibration_error_scorer,
)
from sk_ils.smoothing import ILS1, ILS2


class AlwaysInterrupt(Callback):
    def on_batch_end(self, net, **kwargs):
        raise KeyboardInterrupt


in_1_8 = pytest.mark.needs_sklearn("1.8", 'CalibratedClassifierCV(method="temperature")')


def test_a_pipeline_trains_and_reaches_the_rule_by_name(student, table):
    X, y = table
    pipe = make_pipeline(StandardScaler(), student())
    pipe.set_params(instancesmoothedclassifier__smoothing__epsilon=0.6)
    assert pipe.fit(X, y).score(X, y) > 0.5
    assert pipe[-1].smoothing_.epsilon == 0.6
    np.testing.assert_array_equal(
        pipe.predict_proba(X), pipe[-1].predict_proba(StandardScaler().fit_transform(X))
    )


@pytest.mark.parametrize(("smoothing", "n_jobs"), [("ils1", 2), (ILS1(), None)], ids=str)
def test_a_grid_search_over_the_rule_scores_shifts_differently(student, table, smoothing, n_jobs):
    X, y = table
    pipe = Pipeline([("scale", StandardScaler()), ("clf", student(smoothing=smoothing, max_epochs=10))])
    search = GridSearchCV(
        pipe, {"clf__smoothing__shift": [0.0, 0.5, 1.0]}, cv=3, n_jobs=n_jobs, scoring="neg_log_loss"
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 3
    assert search.best_estimator_["clf"].smoothing_.shift == search.best_params_["clf__smoothing__shift"]


def test_a_grid_may_go_over_the_rules_themselves(student, table):
    X, y = table
    grid = [
        {"smoothing": ["none"]},
        {"smoothing": ["uniform"], "smoothing__epsilon": [0.01, 0.3]},
        {"smoothing": ["ils2", ILS2(epsilon=0.2)], "smoothing__temperature": [0.5, 4.0]},
    ]
    search = GridSearchCV(student(), grid, cv=3, scoring="neg_log_loss").fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 7
    again = student().set_params(**search.best_params_)
    expected = cross_val_score(again, X, y, cv=3, scoring="neg_log_loss").mean()
    assert search.best_score_ == pytest.approx(expected)


def test_cross_validation_predicts_every_row(student, table):
    X, y = table
    proba = cross_val_predict(student(max_epochs=20), X, y, cv=3, method="predict_proba")
    assert proba.shape == (len(y), 3)
    assert log_loss(y, proba) < np.log(3)
    assert set(cross_val_predict(student(), X, y, cv=3)) <= set(y)
    scores = cross_validate(student(), X, y, cv=3, scoring=["accuracy", "neg_log_loss", "roc_auc_ovr"])
    assert np.isfinite(scores["test_roc_auc_ovr"]).all()


def test_scikit_learns_calibration_curve_takes_the_probabilities(student, table):
    X, y = table
    target = y == "ant"
    clf = student(max_epochs=20).fit(X, target)
    true, predicted = calibration_curve(target, clf.predict_proba(X)[:, 1], n_bins=5)
    assert len(true) == len(predicted) > 2


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", pytest.param("temperature", marks=in_1_8)])
@pytest.mark.parametrize("classes", [2, 3])
def test_scikit_learns_calibrators_work_on_fitted_and_unfitted_networks(student, table, method, classes):
    X, y = table
    y = y if classes == 3 else np.where(y == "cat", "bee", y)
    clf = student(max_epochs=10).fit(X[:160], y[:160])
    prefit = CalibratedClassifierCV(FrozenEstimator(clf), method=method).fit(X[160:], y[160:])
    assert prefit.calibrated_classifiers_[0].estimator.estimator is clf
    refit = CalibratedClassifierCV(student(max_epochs=10), method=method, cv=2).fit(X, y)
    for calibrated in (prefit, refit):
        proba = calibrated.predict_proba(X)
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        assert (calibrated.predict(X) == y).mean() > 0.6


@pytest.mark.parametrize(
    ("method", "classes"),
    [
        pytest.param("temperature", 2, marks=in_1_8),
        pytest.param("temperature", 3, marks=in_1_8),
        ("sigmoid", 2),
        ("isotonic", 2),
    ],
)
def test_calibrators_are_exact_where_float32_probabilities_saturate(student, table, method, classes):
    """A network that is a thousand times as sure calibrates to the same probabilities.

    Sharpened so, its float32 probabilities are 0 and 1 in most rows, and tell nothing any more.
    """
    X, y = table
    y = y if classes == 3 else np.where(y == "cat", "bee", y)
    clf = student(max_epochs=30, train_split=None).fit(X, y)
    probabilities = []
    for sharpness in (1, 1e-3):
        clf.temperature_ = sharpness
        calibrated = CalibratedClassifierCV(FrozenEstimator(clf), method=method).fit(X, y)
        probabilities.append(calibrated.predict_proba(X))
    assert (np.unique(clf.predict_proba(X).astype(np.float32), return_counts=True)[1] > 50).any()
    np.testing.assert_allclose(*probabilities, atol=1e-3)


def test_ensembles_clone_and_train_it(student, table):
    X, y = table
    bagging = BaggingClassifier(student(), n_estimators=3, random_state=0).fit(X, y)
    assert len({clf.random_state for clf in bagging.estimators_}) == 3
    voting = VotingClassifier([("net", student()), ("linear", LogisticRegression())], voting="soft").fit(X, y)
    stacking = StackingClassifier([("net", student())], cv=3).fit(X, y)
    for ensemble in (bagging, voting, stacking):
        assert ensemble.score(X, y) > 0.5


def test_a_uniform_teacher_gives_what_an_infinite_temperature_gives_and_a_real_one_does_not(student, table):
    X, y = table
    uniform = student(smoothing="ils2").fit(X, y, teacher_proba=np.full((len(y), 3), 1 / 3))
    infinite = student(smoothing=ILS2(temperature=1e9)).fit(X, y)
    real = student(smoothing="ils2").fit(X, y)
    np.testing.assert_allclose(uniform.predict_proba(X), infinite.predict_proba(X), atol=1e-3)
    assert abs(real.predict_proba(X) - uniform.predict_proba(X)).max() > 1e-2


# --- skorch's callbacks ------------------------------------------------------------------------------


def test_epoch_scoring_sees_labels_as_the_user_wrote_them(student, table):
    X, y = table
    seen = []

    def share_of_ants(net, X, y):
        seen.extend(y)
        return float(np.mean(net.predict(X) == "ant"))

    clf = student(
        callbacks=[
            EpochScoring("accuracy", lower_is_better=False, name="my_acc"),
            EpochScoring("neg_log_loss", lower_is_better=False, name="my_loss"),
            EpochScoring("accuracy", lower_is_better=False, name="train_acc", on_train=True),
            EpochScoring(share_of_ants, name="ants"),
            BatchScoring("accuracy", lower_is_better=False, name="batch_acc"),
        ]
    ).fit(X, y)
    assert set(seen) == set(y)
    np.testing.assert_allclose(clf.history[:, "my_acc"], clf.history[:, "valid_acc"])
    np.testing.assert_allclose(clf.history[:, "batch_acc"], clf.history[:, "valid_acc"])
    np.testing.assert_allclose(clf.history[:, "my_loss"], -np.array(clf.history[:, "valid_loss"]), rtol=1e-6)
    assert all(0 < value < 1 for value in clf.history[:, "train_acc"])


def test_listening_callbacks_change_nothing_but_the_history(student, table):
    X, y = table
    heard = student(callbacks=[EpochScoring("accuracy", name="my_acc")]).fit(X, y)
    alone = student().fit(X, y)
    np.testing.assert_array_equal(heard.predict_proba(X), alone.predict_proba(X))
    for name in ("train_loss", "valid_loss", "valid_acc"):
        np.testing.assert_allclose(heard.history[:, name], alone.history[:, name], rtol=1e-12)
    assert heard.history[-1, "batches", 0].keys() == alone.history[-1, "batches", 0].keys()


def test_early_stopping_stops_and_the_best_epoch_is_restored(teacher, table):
    X, y = table
    clf = teacher(max_epochs=200, lr=0.05, callbacks=[EarlyStopping(patience=4, sink=lambda _: None)]).fit(
        X, y
    )
    assert len(clf.history) < 200
    by_hand = teacher(max_epochs=int(np.argmin(clf.history[:, "valid_loss"])) + 1, lr=0.05).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), by_hand.predict_proba(X))


def test_a_users_interrupt_ends_the_fit_with_an_error(teacher, table):
    clf = teacher(callbacks=[AlwaysInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*table)
    assert not hasattr(clf, "classes_")


def test_a_learning_rate_schedule_works(teacher, table):
    X, y = table
    scheduled = teacher(callbacks=[LRScheduler("StepLR", step_size=1, gamma=0.1)]).fit(X, y)
    assert scheduled.history[:, "event_lr"] == pytest.approx([0.01 * 0.1**i for i in range(5)])


def test_a_checkpoint_is_written_by_the_student_only(student, table, tmp_path):
    X, y = table
    named = ("saver", Checkpoint(dirname=str(tmp_path)))
    clf = student(
        callbacks=[named, TrainEndCheckpoint(dirname=str(tmp_path))], callbacks__saver__f_criterion=None
    )
    clf.fit(X, y)
    assert "saver" not in dict(clf.teacher_.callbacks_)
    state = safetensors.torch.load_file(tmp_path / "params.pt")
    assert torch.equal(state["layers.0.weight"], clf.module_.state_dict()["layers.0.weight"])


def test_a_checkpoint_that_cannot_be_written_says_so(teacher, table, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    # The other files of a Checkpoint would go to the working directory.
    checkpoint = Checkpoint(
        f_params=str(file / "params.pt"), f_optimizer=None, f_criterion=None, f_history=None
    )
    with pytest.warns(UserWarning, match="Could not save parameters"):
        teacher(callbacks=[checkpoint], max_epochs=1).fit(*table)


def test_nothing_is_written_to_the_working_directory(student, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    student().fit(*table)
    assert not list(tmp_path.iterdir())


# --- saving -------------------------------------------------------------------------------------------

LOAD = """
import pickle, sys
import joblib, numpy as np
X = np.load(sys.argv[1])
np.save(sys.argv[3], joblib.load(sys.argv[2]).predict_proba(X))
with open(sys.argv[4], "rb") as file:
    np.save(sys.argv[5], pickle.load(file).predict_proba(X))
"""


def test_a_pickle_predicts_the_same_in_a_new_process(student, table, tmp_path):
    X, y = table
    clf = student(device="auto").fit(X, y)
    names = ["X.npy", "clf.joblib", "of_joblib.npy", "clf.pickle", "of_pickle.npy"]
    rows, by_joblib, of_joblib, by_pickle, of_pickle = files = [tmp_path / name for name in names]
    np.save(rows, X)
    joblib.dump(clf, by_joblib)
    by_pickle.write_bytes(pickle.dumps(clf))
    subprocess.run([sys.executable, "-c", LOAD, *files], check=True)
    for proba in (of_joblib, of_pickle):
        np.testing.assert_array_equal(np.load(proba), clf.predict_proba(X))
    again = pickle.loads(pickle.dumps(clf))
    assert again.device == "auto"
    assert again.temperature_ == clf.temperature_


# --- our own metrics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_epoch_scoring_takes_the_calibration_scorers(student, table, classes):
    X, y = table
    y = y if classes == 3 else np.where(y == "cat", "bee", y)
    scorers = {
        "ece": (neg_expected_calibration_error_scorer, expected_calibration_error),
        "classwise": (neg_classwise_calibration_error_scorer, classwise_calibration_error),
    }
    clf = student(
        train_split=predefined_split(Dataset(X[:80].astype(np.float32), y[:80])),
        temperature_scaling=False,
        callbacks=[
            EpochScoring(scorer, lower_is_better=False, name=name) for name, (scorer, _) in scorers.items()
        ],
    ).fit(X[80:], y[80:])
    best = int(np.argmin(clf.history[:, "valid_loss"]))
    for name, (_, error) in scorers.items():
        expected = error(y[:80], clf.predict_proba(X[:80]))
        assert clf.history[best, name] == pytest.approx(-expected, abs=1e-5)


def test_a_search_scores_calibration_also_where_a_fold_lacks_a_class(student, table):
    X, y = table
    order = np.argsort(y == "ant", kind="stable")  # one fold of ants only
    search = GridSearchCV(
        student(smoothing="ils2"),
        {"smoothing__epsilon": [0.01, 0.5]},
        scoring=CalibrationScorer(labels=np.unique(y)),
        cv=KFold(3),
        refit="neg_log_loss",
    ).fit(X[order], y[order])
    for name in CalibrationScorer()(search.best_estimator_, X, y):
        scores = search.cv_results_[f"mean_test_{name}"]
        assert np.isfinite(scores).all()
        assert scores[0] != scores[1]


# --- metadata -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("routing")
def test_metadata_are_routed_through_pipeline_and_search(student, table):
    X, y = table
    rng = np.random.default_rng(0)
    weight, groups = rng.random(len(y)), np.arange(len(y)) // 4
    proba = rng.dirichlet(np.ones(3), len(y))
    clf = student(smoothing="ils2").set_fit_request(sample_weight=True, groups=True, teacher_proba=True)
    clf.set_score_request(sample_weight=True)
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(), clf),
        {"instancesmoothedclassifier__smoothing__epsilon": [0.1, 0.8]},
        cv=GroupKFold(3),
        scoring=get_scorer("neg_log_loss").set_score_request(sample_weight=True),
    )
    search.fit(X, y, sample_weight=weight, groups=groups, teacher_proba=proba)
    expected = []
    for train, test in GroupKFold(3).split(X, y, groups):
        fitted = student(smoothing=ILS2(epsilon=0.1)).fit(
            X[train],
            y[train],
            sample_weight=weight[train],
            groups=groups[train],
            teacher_proba=proba[train],
        )
        loss = log_loss(y[test], fitted.predict_proba(X[test]), sample_weight=weight[test])
        expected.append(-loss)
    scores = [search.cv_results_[f"split{i}_test_score"][0] for i in range(3)]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


@pytest.mark.usefixtures("routing")
def test_metadata_that_nobody_asked_for_are_refused(student, table):
    X, y = table
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_val_score(student(), X, y, params={"sample_weight": np.ones(len(y))})


@pytest.mark.usefixtures("routing")
def test_partial_fit_has_its_requests(student):
    clf = student().set_partial_fit_request(classes=True, sample_weight=True)
    requests = clf.get_metadata_routing().partial_fit.requests
    assert requests == {"classes": True, "sample_weight": True}


def test_without_routing_metadata_pass_a_pipeline_by_prefix(student, table):
    X, y = table
    weight = np.random.default_rng(0).random(len(y))
    pipe = make_pipeline(FunctionTransformer(), student())
    pipe.fit(X, y, instancesmoothedclassifier__sample_weight=weight)
    np.testing.assert_array_equal(
        pipe.predict_proba(X), student().fit(X, y, sample_weight=weight).predict_proba(X)
    )


def test_a_data_frame_stays_one_on_the_way_through_a_pipeline(student, table):
    X, y = table
    frame = pd.DataFrame(X, columns=list("abcdef"))
    pipe = make_pipeline(StandardScaler(), student()).set_output(transform="pandas").fit(frame, y)
    np.testing.assert_array_equal(pipe[-1].feature_names_in_, frame.columns)
    scores = cross_val_score(pipe, frame, pd.Series(y), cv=StratifiedKFold(3))
    assert (scores > 0.4).all()


def test_the_notebook_shows_the_parameters():
    html = InstanceSmoothedClassifier(smoothing__epsilon=0.7)._repr_html_()
    assert "ILS2(epsilon=0.7)" in html
    assert "max_epochs" in html
