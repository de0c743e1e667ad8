"""Trainings that a kill has cut off go on where they were, and come to the same numbers."""

import errno
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from skorch.callbacks import EpochScoring
from torch import nn

from sk_ils import SmoothingSearchCV, TeacherClassifier
from sk_ils._net import checkpoint as module
from sk_ils._net.calibrated_net import CalibratedNet
from sk_ils._search.stack import Stack

pytestmark = pytest.mark.filterwarnings("ignore:The best candidate lies at the edge of the grid")


class Killed(BaseException):
    """As an error that nobody catches."""


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch):
    """Keep every epoch, however long that takes."""
    monkeypatch.setattr(module, "_SHARE", float("inf"))


@pytest.fixture
def student(student):
    return lambda **parameters: student(**{"dtype": "float64", "max_epochs": 9, "patience": 4, **parameters})


class Dropout(nn.Module):
    """Draws from torch's generator in training."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features_in, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, n_classes)
        )

    def forward(self, X):
        return self.layers(X)


def kill_at(monkeypatch, owner, name, count):
    """Let the call of a method of a number raise what nobody catches; return the calls so far."""
    original, calls = getattr(owner, name), []

    def counted(self, *args, **kwargs):
        calls.append(name)
        if len(calls) == count:
            raise Killed
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    return calls


@pytest.mark.parametrize("epoch", [2, 13])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"module": Dropout},
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
        {"train_split": None},
    ],
    ids=["default", "dropout", "momentum", "no hold-out"],
)
def test_a_fit_goes_on_in_its_epoch(student, table, tmp_path, monkeypatch, parameters, epoch):
    X, y = table
    parameters = {"smoothing": "ils", "patience": None, **parameters}
    whole = student(**parameters).fit(X, y)
    clf = student(**parameters, checkpoint=tmp_path)
    with monkeypatch.context() as patched:
        kill_at(patched, CalibratedNet, "run_single_epoch", 2 * epoch - 1)  # training and hold-out
        with pytest.raises(Killed):
            clf.fit(X, y)
        calls = kill_at(patched, CalibratedNet, "run_single_epoch", 1000)
        again = student(**parameters, checkpoint=tmp_path).fit(X, y)
    assert len(calls) == 2 * (18 - (epoch - 1))
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))
    assert again.temperature_ == whole.temperature_
    assert (again.n_iter_, again.best_epoch_) == (whole.n_iter_, whole.best_epoch_)
    assert again.history[:, "train_loss"] == whole.history[:, "train_loss"]
    if "train_split" not in parameters:
        assert again.history[:, "valid_loss_best"] == whole.history[:, "valid_loss_best"]


def test_what_is_finished_is_not_trained_again(student, table, tmp_path, monkeypatch):
    X, y = table
    first = student(smoothing="ils2", checkpoint=tmp_path).fit(X, y)
    kill_at(monkeypatch, CalibratedNet, "run_single_epoch", 1)
    second = student(smoothing="ils2", checkpoint=tmp_path, verbose=0).fit(X, y)
    np.testing.assert_array_equal(second.predict_proba(X), first.predict_proba(X))
    np.testing.assert_array_equal(second.teacher_.predict_proba(X), first.teacher_.predict_proba(X))
    assert (second.n_iter_, second.best_epoch_) == (first.n_iter_, first.best_epoch_)


def test_the_files_may_be_moved_and_the_fit_may_be_watched(student, table, tmp_path, monkeypatch):
    X, y = table
    student(smoothing="none", checkpoint=tmp_path / "here").fit(X, y)
    (tmp_path / "here").rename(tmp_path / "there")
    kill_at(monkeypatch, CalibratedNet, "run_single_epoch", 1)
    student(smoothing="none", checkpoint=tmp_path / "there", verbose=2, memory=str(tmp_path)).fit(X, y)


def test_a_resumed_history_knows_the_best_loss_before(teacher, table, tmp_path, monkeypatch):
    X, y = table
    parameters = {"lr": 0.1, "max_epochs": 30, "patience": None, "dtype": "float64"}
    whole = teacher(**parameters).fit(X, y)
    is_best = np.array(whole.history[:, "valid_loss_best"])
    worse = int(np.flatnonzero(~is_best)[0]) + 1  # an epoch that follows better ones
    with monkeypatch.context() as patched:
        kill_at(patched, CalibratedNet, "run_single_epoch", 2 * worse - 1)
        with pytest.raises(Killed):
            teacher(**parameters, checkpoint=tmp_path).fit(X, y)
    again = teacher(**parameters, checkpoint=tmp_path).fit(X, y)
    assert again.history[:, "valid_loss_best"] == whole.history[:, "valid_loss_best"]


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 2e-3},
        {"random_state": 5},
        {"module__hidden_sizes": (8,)},
        {"X": 1.5},
        {"sample_weight": 2.0},
    ],
    ids=str,
)
def test_another_training_starts_anew(student, table, tmp_path, monkeypatch, change):
    X, y = table
    weight = np.ones(len(y))
    student(checkpoint=tmp_path).fit(X, y, sample_weight=weight)
    calls = kill_at(monkeypatch, CalibratedNet, "run_single_epoch", 1000)
    change = dict(change)
    X = X * change.pop("X", 1)
    weight[::2] *= change.pop("sample_weight", 1)
    student(checkpoint=tmp_path, **change).fit(X, y, sample_weight=weight)
    assert calls


@pytest.mark.parametrize(
    "teacher", [None, HistGradientBoostingClassifier(max_iter=3, random_state=0)], ids=str
)
def test_online_targets_depend_on_the_teacher(student, table, tmp_path, monkeypatch, teacher):
    X, y = table
    parameters = {"smoothing": "ils", "teacher_mode": "online", "teacher": teacher}
    whole = student(**parameters).fit(X, y)
    n = 9 if teacher is None else 0
    with monkeypatch.context() as patched:
        kill_at(patched, CalibratedNet, "run_single_epoch", 2 * n + 5)
        with pytest.raises(Killed):
            student(**parameters, patience=None, checkpoint=tmp_path).fit(X, y)
    again = student(**parameters, checkpoint=tmp_path).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))


GRID = {"smoothing": ["none", "uniform", "ils", "ils2"], "lr": [1e-3, 3e-2]}


@pytest.mark.parametrize(
    ("parameters", "ensemble"),
    [({}, False), ({}, True), ({"train_split": None}, False)],
    ids=["hold-out", "ensemble", "none"],
)
@pytest.mark.parametrize("epoch", [2, 25])
def test_a_search_goes_on_in_its_fold_and_epoch(
    student, table, tmp_path, monkeypatch, parameters, ensemble, epoch
):
    X, y = table
    X, y = X[:120], y[:120]
    student = partial(student, **parameters)
    settings = {"cv": 3, "ensemble": ensemble, "racing": False}
    whole = SmoothingSearchCV(student(), GRID, **settings).fit(X, y)
    with monkeypatch.context() as patched:
        total = kill_at(patched, Stack, "train_epoch", 10_000)
        SmoothingSearchCV(student(), GRID, **settings).fit(X, y)
    with monkeypatch.context() as patched:
        kill_at(patched, Stack, "train_epoch", epoch)
        with pytest.raises(Killed):
            SmoothingSearchCV(student(checkpoint=tmp_path), GRID, **settings).fit(X, y)
    with monkeypatch.context() as patched:
        calls = kill_at(patched, Stack, "train_epoch", 10_000)
        again = SmoothingSearchCV(student(checkpoint=tmp_path), GRID, **settings).fit(X, y)
    assert len(calls) == len(total) - (epoch - 1)
    np.testing.assert_array_equal(again.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))


def test_a_stack_that_some_have_left_goes_on(student, table, tmp_path, monkeypatch):
    X, y = table
    X, y = X[:120], y[:120]
    # Targets that are nearly uniform are learned for long, hard labels are overfitted soon.
    grid = [
        {"smoothing": ["none", "ils1", "ils2"]},
        {"smoothing": ["uniform"], "smoothing__epsilon": [0.99]},
    ]
    net = partial(student, max_epochs=60, patience=2, lr=0.02)
    settings = {"cv": 2, "refit": False}
    whole = SmoothingSearchCV(net(), grid, **settings).fit(X, y)
    kept = kill_at(monkeypatch, Stack, "keep", 1000)
    with monkeypatch.context() as patched:
        train_epoch, counts = Stack.train_epoch, []

        def until_some_left(self, *args):
            counts.append(len(kept))
            if counts[-1] and counts[-2:] == [counts[-1]] * 2:  # the epoch after the next one
                raise Killed
            return train_epoch(self, *args)

        patched.setattr(Stack, "train_epoch", until_some_left)
        with pytest.raises(Killed):
            SmoothingSearchCV(net(checkpoint=tmp_path), grid, **settings).fit(X, y)
    again = SmoothingSearchCV(net(checkpoint=tmp_path), grid, **settings).fit(X, y)
    np.testing.assert_array_equal(again.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"])


@pytest.mark.parametrize("train_split", [0.2, None])
def test_a_finished_search_trains_no_stack_again(student, table, tmp_path, monkeypatch, train_split):
    X, y = table
    settings = {"cv": 2, "refit": False}
    first, second = (
        SmoothingSearchCV(student(checkpoint=tmp_path, train_split=train_split), GRID, **settings)
        for _ in range(2)
    )
    first.fit(X, y)
    kill_at(monkeypatch, Stack, "train_epoch", 1)
    second.fit(X, y)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(second.cv_results_[name], first.cv_results_[name])


def test_a_candidate_that_has_failed_stays_so(student, table, tmp_path, monkeypatch):
    X, y = table
    grid = {"smoothing": ["none", "uniform"], "lr": [1e30]}
    for _ in range(2):
        search = SmoothingSearchCV(student(checkpoint=tmp_path), grid, cv=2, refit=False)
        with pytest.raises(ValueError, match="loss of epoch"):
            search.fit(X, y)


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"random_state": None}, "integer random_state"),
        ({"random_state": np.random.RandomState(0)}, "integer random_state"),
        ({"callbacks": [EpochScoring("accuracy")]}, "callbacks"),
        ({"warm_start": True}, "warm_start"),
    ],
)
def test_what_could_not_go_on_is_refused(student, table, tmp_path, parameters, message):
    clf = student(checkpoint=tmp_path / "new", **parameters)
    with pytest.raises(ValueError, match=message):
        clf.fit(*table)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match=message):
        SmoothingSearchCV(clf, {"smoothing": ["none"]}).fit(*table)


def test_a_teacher_keeps_its_own_and_is_checked_as_well(student, table, tmp_path, monkeypatch):
    X, y = table
    teacher = TeacherClassifier(max_epochs=5, checkpoint=tmp_path / "of" / "teacher")
    whole = student(smoothing="ils", teacher=teacher).fit(X, y)
    assert len(list((tmp_path / "of" / "teacher").glob("*.pt"))) == 1
    calls = kill_at(monkeypatch, CalibratedNet, "run_single_epoch", 1000)
    again = student(smoothing="ils", teacher=teacher).fit(X, y)
    assert len(calls) == 2 * again.n_iter_
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))
    teacher.set_params(callbacks=[EpochScoring("accuracy")])
    with pytest.raises(ValueError, match="what callbacks remember"):
        student(smoothing="ils", teacher=teacher).fit(X, y)


def test_partial_fit_is_refused(table, tmp_path):
    X, y = table
    clf = TeacherClassifier(checkpoint=tmp_path, random_state=0)
    with pytest.raises(ValueError, match="checkpoint= keeps what fit trains"):
        clf.partial_fit(X, y, classes=np.unique(y))


def test_a_folder_that_cannot_be_written_is_an_error_before_any_work(student, table, tmp_path, monkeypatch):
    calls = kill_at(monkeypatch, CalibratedNet, "run_single_epoch", 1000)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="is no folder to write to"):
        student(checkpoint=tmp_path / "file").fit(*table)
    assert not calls


def test_a_full_disk_is_an_error_at_once(student, table, tmp_path, monkeypatch):
    def full(path, data):
        if data:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(module, "write_atomically", full)
    clf = student(checkpoint=tmp_path)
    with pytest.raises(OSError, match="No space left on device"):
        clf.fit(*table)
    assert not hasattr(clf, "classes_")


def test_a_damaged_file_is_said_to_be_so(student, table, tmp_path):
    student(checkpoint=tmp_path, smoothing="none").fit(*table)
    (file,) = tmp_path.glob("*.pt")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is no checkpoint, or was changed: delete it"):
        student(checkpoint=tmp_path, smoothing="none").fit(*table)


def test_writing_takes_a_twentieth_of_the_time(tmp_path, monkeypatch):
    now = [0.0]

    def slow(path, data):
        now[0] += 1

    monkeypatch.setattr(module, "_SHARE", 0.05)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "write_atomically", slow)
    checkpoint = module.Checkpoint(tmp_path, "training")
    written = []
    for now[0] in (0.0, 2.0, 20.9, 21.1, 41.9, 42.2):
        checkpoint.save_if_due(lambda: written.append(now[0]) or {})
    assert written == [0.0, 21.1, 42.2]
