"""scikit-learn's callbacks on our estimators and on the search: what they see, and that it is a guest."""

import importlib.util
import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sk_ils import SmoothingSearchCV, _sklearn_compat
from sk_ils.model_selection import CrossFittedClassifier


class Recorder:
    """A callback of scikit-learn that notes all that it is told, and may stop at an epoch."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.calls = []
        self.ended = {}

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", path(context)))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.calls.append(("end", path(context)))
        self.ended[path(context)] = (X, y, metadata, fitted_estimator)
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_at


class Propagated(Recorder):
    """One that wants to see the estimators inside, too."""

    max_propagation_depth = None


def path(context):
    """Where a task is, from the outermost fit to itself."""
    own = (context.source_task_name or context.task_name, context.task_id)
    return (*(path(context.parent) if context.parent is not None else ()), own)


def names(recorder, kind="end"):
    return [
        "/".join(f"{name}{number}" for name, number in what) for when, what in recorder.calls if when == kind
    ]


class Fail(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise ValueError("mine")


needs_callbacks = pytest.mark.needs_sklearn("1.9", "callbacks")


@needs_callbacks
def test_a_fit_has_its_epochs_as_tasks(teacher, table):
    recorder = Recorder()
    X, y = table
    weight = np.linspace(0.5, 1.5, len(y))
    net = teacher(max_epochs=3, lr=0.05).set_callbacks(recorder)
    assert net.fit(X, y, sample_weight=weight) is net
    epochs = [f"fit0/epoch{number}" for number in range(3)]
    assert names(recorder) == [*epochs, "fit0"]
    assert names(recorder, "begin") == ["fit0", *epochs]
    assert [recorder.calls[0], recorder.calls[-1]] == [("setup", "fit"), ("teardown", "fit")]
    whole = recorder.ended[(("fit", 0),)]
    assert whole[0] is X
    assert whole[1] is y
    np.testing.assert_array_equal(whole[2]["sample_weight"], weight)
    for number in range(3):
        X_train, y_train, metadata, then = recorder.ended[(("fit", 0), ("epoch", number))]
        assert X_train.shape == (192, 6)
        assert set(y_train) == set(y)
        assert metadata["sample_weight"].shape == (192,)
        assert len(then.history) == number + 1
    # Whoever asks gets the network as it was then, ready to predict, with the temperature of its weights.
    first, last = (recorder.ended[(("fit", 0), ("epoch", number))][3] for number in (0, 2))
    assert log_loss(y, last.predict_proba(X)) < log_loss(y, first.predict_proba(X))
    assert len({first.temperature_, last.temperature_, 1.0}) == 3
    assert whole[3].predict_proba(X).tolist() == net.predict_proba(X).tolist()


@needs_callbacks
def test_a_student_has_the_teachers_fit_and_its_own_as_tasks(student, table):
    alone, seen = Recorder(), Propagated()
    student(max_epochs=2).set_callbacks(alone, seen).fit(*table)
    own = ["fit0/fit-student1/epoch0", "fit0/fit-student1/epoch1", "fit0/fit-student1", "fit0"]
    assert names(alone) == ["fit0/fit-teacher0", *own]
    of_teacher = ["fit0/fit-teacher0/epoch0", "fit0/fit-teacher0/epoch1", "fit0/fit-teacher0"]
    assert names(seen) == [*of_teacher, *own]
    assert [when for when, _ in seen.calls if when in ("setup", "teardown")] == ["setup", "teardown"]
    taught = Recorder()
    student(max_epochs=2, smoothing="uniform").set_callbacks(taught).fit(*table)
    assert names(taught)[-2:] == ["fit0/fit-student0", "fit0"]
    folds = Propagated()
    student(max_epochs=1, teacher_cv=2).set_callbacks(folds).fit(*table)
    assert [name for name in names(folds) if "epoch" not in name] == [
        *(
            "fit0/fit-teacher-fold0",
            "fit0/fit-teacher-fold1",
            "fit0/fit-teacher2",
            "fit0/fit-student3",
            "fit0",
        )
    ]


@needs_callbacks
def test_another_teacher_that_takes_callbacks_gets_them(student, table):
    recorder = Propagated()
    student(max_epochs=1, teacher=LogisticRegression(max_iter=3, tol=100)).set_callbacks(recorder).fit(*table)
    assert any(name.startswith("fit0/fit-teacher0/lbfgs-iter") for name in names(recorder))


@needs_callbacks
def test_callbacks_change_no_number(student, table):
    plain = student().fit(*table)
    watched = student().set_callbacks(Propagated()).fit(*table)
    np.testing.assert_array_equal(plain.predict_proba(table[0]), watched.predict_proba(table[0]))
    assert plain.teacher_temperature_ == watched.teacher_temperature_


@needs_callbacks
def test_a_callback_may_stop_the_epochs(teacher, table):
    net = teacher().set_callbacks(Recorder(stop_at=2)).fit(*table)
    assert (net.n_iter_, len(net.history)) == (2, 2)
    np.testing.assert_array_equal(
        net.predict_proba(table[0]), teacher(max_epochs=2).fit(*table).predict_proba(table[0])
    )


@needs_callbacks
@pytest.mark.parametrize("warm_start", [False, True])
def test_callbacks_are_torn_down_after_an_error(student, table, warm_start):
    clf = student(warm_start=warm_start).fit(*table)
    recorder = Propagated()
    clf.set_callbacks(recorder).set_params(callbacks=[Fail()])
    with pytest.raises(ValueError, match="mine"):
        clf.fit(*table)
    assert recorder.calls[-1] == ("teardown", "fit")
    assert sum(when == "teardown" for when, _ in recorder.calls) == 1
    clf.set_params(callbacks=None).fit(*table)
    assert [name for name in vars(clf) if "_ctx" in name or "teardown" in name] == []


@needs_callbacks
def test_what_is_fitted_keeps_its_own_callbacks_only(student, table, tmp_path):
    recorder = Propagated()
    clf = student(memory=str(tmp_path)).set_callbacks(recorder).fit(*table)
    assert not _sklearn_compat.has_callbacks(clf.teacher_)
    assert _sklearn_compat.has_callbacks(clone(clf))
    n_before = len(recorder.calls)
    again = pickle.loads(pickle.dumps(clf.set_callbacks())).fit(*table)  # the teacher comes from the cache
    assert len(recorder.calls) == n_before
    np.testing.assert_array_equal(again.predict_proba(table[0]), clf.predict_proba(table[0]))
    with pytest.raises(TypeError, match="FitCallback"):
        clf.set_callbacks(Fail())


@needs_callbacks
@pytest.mark.parametrize("name", ["SmoothingSearchCV", "GridSearchCV"])
def test_a_search_tells_of_the_same_tasks_as_scikit_learns(student, table, name):
    grid = {"instancesmoothedclassifier__smoothing": ["none", "ils"]}
    model = make_pipeline(StandardScaler(), student(max_epochs=2))
    recorder, seen = Recorder(), Propagated()
    search = {"SmoothingSearchCV": SmoothingSearchCV, "GridSearchCV": GridSearchCV}[name](model, grid, cv=2)
    search.set_callbacks(recorder, seen).fit(*table, instancesmoothedclassifier__sample_weight=None)
    fits = {f"fit0/search0/candidate-split-evaluation{number}" for number in range(4)}
    assert {name for name in names(recorder) if "candidate" in name} == fits
    assert [name for name in names(recorder) if "candidate" not in name] == [
        *("fit0/search0", "fit0/refit-with-best-params1", "fit0")
    ]
    assert any(
        name.startswith("fit0/refit-with-best-params1/fit-final-estimator1/fit-student")
        and name.endswith("epoch1")
        for name in names(seen)
    )
    for task, (X, y, _, _) in recorder.ended.items():
        if len(task) == 3:
            assert (X.shape, y.shape) == ((120, 6), (120,))


@needs_callbacks
def test_an_ensemble_has_no_refit_to_tell_of(student, table):
    recorder = Recorder()
    search = SmoothingSearchCV(student(max_epochs=1), {"smoothing": ["none"]}, cv=2, ensemble=True)
    search.set_callbacks(recorder).fit(*table)
    assert names(recorder)[-2:] == ["fit0/search0", "fit0"]
    assert not hasattr(search, "_callback_fit_ctx")
    seen = Propagated()
    CrossFittedClassifier(student(max_epochs=1), cv=2).set_callbacks(seen).fit(*table)
    parts = [f"fit0/fit-members0/search0/candidate-split-evaluation{number}" for number in range(2)]
    assert names(seen) == [*parts, "fit0/fit-members0/search0", "fit0/fit-members0", "fit0"]
    assert seen.ended[(("fit", 0),)][3].predict_proba(table[0]).shape == (240, 3)


@needs_callbacks
def test_callbacks_of_the_searched_estimator_see_each_fit(student, table):
    recorder = Recorder()
    clf = student(max_epochs=1).set_callbacks(recorder)
    grid = {"smoothing": ["none", "uniform"]}
    with pytest.warns(UserWarning, match=r"one by one.*set_callbacks wants to see the fit of each"):
        watched = SmoothingSearchCV(clf, grid, cv=2, refit=False).fit(*table)
    assert names(recorder).count("fit0") == 4
    plain = SmoothingSearchCV(student(max_epochs=1), grid, cv=2, refit=False).fit(*table)
    np.testing.assert_allclose(
        plain.cv_results_["mean_test_score"], watched.cv_results_["mean_test_score"], rtol=1e-5
    )
    with pytest.raises(ValueError, match="call set_callbacks on the search"):
        CrossFittedClassifier(clf, cv=2).fit(*table)


@needs_callbacks
def test_scikit_learns_own_callbacks_work(student, table, capsys):
    pytest.importorskip("rich")
    pytest.importorskip("sklearn.callback")
    from sklearn.callback import ProgressBar, ScoringMonitor

    monitor = ScoringMonitor(scoring="neg_log_loss")
    clf = student(max_epochs=3).set_callbacks(ProgressBar(), monitor).fit(*table)
    shown = capsys.readouterr().out
    assert "fit-teacher" in shown
    assert "fit-student" in shown
    log = monitor.get_logs().data
    assert [row["task_name"] for row in log] == ["fit", "epoch", "epoch", "epoch"]
    assert log[0]["neg_log_loss"] == pytest.approx(-log_loss(table[1], clf.predict_proba(table[0])))


def test_before_scikit_learn_1_9_there_are_none(monkeypatch, teacher, table):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = importlib.util.spec_from_file_location("compat_of_old", _sklearn_compat.__file__)
    old = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(old)

    def fit():
        """Fit something."""

    assert old.with_callbacks(fit) is fit
    assert not hasattr(old.CallbackSupportMixin, "set_callbacks")
    task = old.FitTask.root(old.CallbackSupportMixin(), 3, lambda: None)
    assert task is old.NO_TASK
    with task.subtask("epoch").handed_on_to(LogisticRegression()):
        assert task.subtask("epoch").end(dict) is False
