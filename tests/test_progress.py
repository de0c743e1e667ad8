"""What a fit shows while it lasts, and what it says of itself afterwards."""

import copy
import dataclasses
import pickle
import re

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback, Checkpoint, EarlyStopping

from sk_ils import SmoothingSearchCV
from sk_ils._net import progress
from sk_ils.classifiers import FitReport
from sk_ils.model_selection import CrossFittedClassifier


class Raise(Callback):
    """Raises an error at the end of an epoch's training."""

    def __init__(self, epoch, error):
        self.epoch = epoch
        self.error = error

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise self.error


def bars(captured):
    """The last state of each bar on stderr, as (name, percent, rest)."""
    lines = [line.split("\r")[-1] for line in captured.err.split("\n") if line]
    return [re.fullmatch(r"(\w+) +(\d+)%\|.*\| (.*)", line).groups() for line in lines]


# --- bars and tables -----------------------------------------------------------------------------


def test_by_default_nothing_is_shown_and_no_bar_is_made(student, table, capsys, monkeypatch):
    def unexpected(*args, **kwargs):
        raise AssertionError("a bar was made")

    monkeypatch.setattr(progress, "tqdm", unexpected)
    student().fit(*table).partial_fit(*table, epochs=1)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("verbose", [1, True])
def test_a_bar_for_each_network(student, table, capsys, verbose):
    clf = student(verbose=verbose).fit(*table)
    captured = capsys.readouterr()
    assert captured.out == ""
    (first, _, of_teacher), (second, _, of_student) = bars(captured)
    assert (first, second) == ("teacher", "student")
    for net, text in ((clf.teacher_, of_teacher), (clf, of_student)):
        loss = net.history[-1, "valid_loss"]
        assert text.startswith("epoch 5/5 [00:0")
        assert text.endswith(f", valid loss {loss:.4g}, best epoch {net.best_epoch_}]")


def test_only_what_is_trained_has_a_bar(student, teacher, table, capsys):
    teacher(verbose=1, train_split=None).fit(*table)
    ((name, percent, text),) = bars(capsys.readouterr())
    assert (name, percent) == ("teacher", "100")
    assert re.search(r", train loss [\d.]+, best epoch 5\]$", text)
    student(verbose=1, smoothing="uniform").fit(*table)
    student(verbose=1, teacher=LogisticRegression()).fit(*table)
    assert [name for name, _, _ in bars(capsys.readouterr())] == ["student", "student"]
    student(verbose=1, teacher_cv=2).fit(*table)
    assert [name for name, _, _ in bars(capsys.readouterr())] == ["teacher"] * 3 + ["student"]
    student(verbose=1, max_epochs=2).partial_fit(*table, classes=np.unique(table[1]), epochs=3)
    assert [text[:9] for _, _, text in bars(capsys.readouterr())] == ["epoch 3/3"] * 2
    teacher(verbose=1, max_epochs=0).fit(*table)
    assert capsys.readouterr().err.endswith("\n")


@pytest.mark.parametrize("stop", [{"patience": 1}, {"callbacks": [EarlyStopping(patience=1, sink=print)]}])
def test_a_training_that_stops_early_is_complete(teacher, table, capsys, stop):
    net = teacher(verbose=1, max_epochs=200, lr=0.1, **stop).fit(*table)
    assert net.n_iter_ < 200
    ((_, percent, text),) = bars(capsys.readouterr())
    assert percent == "100"
    assert text.startswith(f"epoch {net.n_iter_}/{net.n_iter_} ")


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_a_bar_of_a_training_that_fails_is_closed_where_it_was(teacher, table, capsys, error):
    with pytest.raises(type(error)):
        teacher(verbose=1, callbacks=[Raise(3, error)]).fit(*table)
    captured = capsys.readouterr()
    ((_, percent, text),) = bars(captured)
    assert (percent, text[:9]) == ("40", "epoch 2/5")
    assert captured.err.endswith("\n")
    assert not progress.tqdm._instances


def test_tables_say_which_network_they_are_of(student, table, capsys):
    clf = student(verbose=2).fit(*table)
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert [lines.index("teacher"), lines.index("student")] == [0, 8]
    assert len(lines) == 16
    assert all("valid_loss" in lines[place] for place in (1, 9))
    assert f"{clf.history[-1, 'valid_loss']:.4f}" in lines[-1]
    clf.partial_fit(*table, epochs=1)
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2], len(lines)] == ["teacher", "student", 4]


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_table_goes_to_a_sink_whatever_verbose_says(teacher, table, capsys, verbose):
    lines = []
    teacher(verbose=verbose, callbacks__print_log__sink=lines.append).fit(*table)
    assert lines[0] == "teacher"
    assert len(lines) == 8
    assert bool(capsys.readouterr().err) == bool(verbose)
    teacher(verbose=2, callbacks__print_log=None).fit(*table)
    assert capsys.readouterr().out == ""


# --- what a fit says of itself -------------------------------------------------------------------


def best_by_history(net):
    return int(np.argmin(net.history[:, "valid_loss"])) + 1


def test_the_report_of_a_student(student, table):
    clf = student(max_epochs=40, lr=0.05, patience=5).fit(*table)
    report = clf.fit_report_
    assert (report.n_train, report.n_held_out) == (192, 48)
    assert type(clf.n_iter_) is int
    assert clf.n_iter_ == report.n_iter == len(clf.history) < 40
    assert clf.best_epoch_ == report.best_epoch == best_by_history(clf) < clf.n_iter_
    assert report.teacher_n_iter == clf.teacher_.n_iter_ == len(clf.teacher_.history)
    assert report.teacher_best_epoch == clf.teacher_.best_epoch_ == best_by_history(clf.teacher_)
    assert report.temperature == clf.temperature_ != 1
    assert report.teacher_temperature == clf.teacher_temperature_ != 1
    assert report.fit_time > 0
    assert report.teacher_fit_time > clf.teacher_.fit_report_.fit_time > 0
    assert clf.teacher_.fit_report_.teacher_temperature is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.n_iter = 3


def test_the_report_is_legible(student, teacher, table):
    report = student().fit(*table).fit_report_
    lines = repr(report).splitlines()
    assert lines[0] == "FitReport: trained on 192 rows, 48 held out"
    assert lines[1].split() == ["teacher", "student"]
    assert lines[2].split() == ["epochs", str(report.teacher_n_iter), str(report.n_iter)]
    assert len({len(line) for line in lines[1:]}) == 1
    lines = repr(teacher().fit(*table).fit_report_).splitlines()
    assert [lines[1].split(), lines[2].split()] == [["network"], ["epochs", "5"]]
    assert repr(dataclasses.replace(report, fit_time=None)).splitlines()[-1].split()[-1] == "-"


def test_without_a_hold_out_the_last_epoch_is_kept(student, table):
    clf = student(train_split=None).fit(*table)
    assert (clf.best_epoch_, clf.n_iter_) == (5, 5)
    assert (clf.fit_report_.n_train, clf.fit_report_.n_held_out) == (240, 0)
    assert (clf.fit_report_.temperature, clf.fit_report_.teacher_temperature) == (1, 1)


def test_a_report_tells_what_is_known_of_other_teachers(student, teacher, table):
    def of_teacher(clf):
        report = clf.fit_report_
        return (report.teacher_n_iter, report.teacher_best_epoch, report.teacher_temperature)

    none = student(smoothing="uniform").fit(*table)
    assert of_teacher(none) == (None, None, None)
    assert none.fit_report_.teacher_fit_time is None
    other = student(teacher=LogisticRegression(max_iter=500)).fit(*table)
    assert of_teacher(other) == (None, None, other.teacher_temperature_)
    assert other.fit_report_.teacher_fit_time > 0
    frozen = student(teacher=FrozenEstimator(teacher().fit(*table))).fit(*table)
    assert of_teacher(frozen) == (None, None, 1)
    proba = np.full((len(table[0]), 3), 1 / 3)
    assert of_teacher(student().fit(*table, teacher_proba=proba)) == (None, None, None)


def test_epochs_count_on_through_warm_start_and_partial_fit(student, table):
    X, y = table
    clf = student(warm_start=True, lr=0.05).fit(X, y).fit(X, y)
    assert (clf.n_iter_, clf.fit_report_.n_iter) == (10, 10)
    second = clf.history[5:, "valid_loss"]
    assert clf.best_epoch_ == 6 + int(np.argmin(second))
    assert clf.fit_report_.temperature == clf.temperature_
    temperature = clf.temperature_
    clf.partial_fit(X[:100], y[:100], epochs=2)
    report = clf.fit_report_
    assert (clf.n_iter_, clf.best_epoch_, report.teacher_n_iter, report.teacher_best_epoch) == (12, 12, 7, 7)
    assert (report.n_train, report.n_held_out, report.temperature) == (100, 0, temperature)
    assert report.teacher_fit_time > 0
    clf.fit(X, y)
    kept = clf.best_epoch_
    clf.set_params(max_epochs=0).fit(X, y)  # the weights are as they were
    assert (clf.n_iter_, clf.best_epoch_) == (17, kept)


def test_the_first_partial_fit_has_a_report(student, table):
    clf = student().partial_fit(*table, classes=np.unique(table[1]))
    assert (clf.n_iter_, clf.best_epoch_, clf.fit_report_.n_train) == (5, 5, 240)
    assert clf.fit_report_.teacher_n_iter == 5


def test_a_fit_without_epochs_kept_none(teacher, table):
    net = teacher(max_epochs=0).fit(*table)
    assert (net.n_iter_, net.best_epoch_) == (0, 0)


def test_copies_have_the_report(student, table):
    clf = student().fit(*table)
    for other in (pickle.loads(pickle.dumps(clf)), copy.deepcopy(clf)):
        assert other.fit_report_ == clf.fit_report_
        assert (other.n_iter_, other.best_epoch_) == (clf.n_iter_, clf.best_epoch_)
    clf.trim_for_prediction()
    assert clf.fit_report_.n_iter == clf.n_iter_ == 5


def has_report(net):
    names = ("n_iter_", "best_epoch_", "fit_report_")
    found = {hasattr(net, name) for name in names}
    assert len(found) == 1
    return found.pop()


def test_a_network_that_is_another_one_has_no_report(student, table, tmp_path):
    clf = student()
    assert not has_report(clf)
    clf.fit(*table).save_params(tmp_path / "net")
    assert has_report(clf)
    with pytest.raises(ValueError, match="mine"):
        clf.set_params(callbacks=[Raise(2, ValueError("mine"))]).fit(*table)
    assert not has_report(clf)
    clf.set_params(callbacks=None).fit(*table).load_params(tmp_path / "net")
    assert not has_report(clf)
    assert not has_report(clf.fit(*table).initialize())
    new = student()
    new.load_params(tmp_path / "net")
    assert not has_report(new)


def test_a_call_that_fails_leaves_the_report_of_what_is_there(student, table):
    clf = student(warm_start=True).fit(*table)
    before = clf.fit_report_
    with pytest.raises(ValueError, match="mine"):
        clf.set_params(callbacks=[Raise(7, ValueError("mine"))]).fit(*table)
    with pytest.raises(ValueError, match="NaN"):
        clf.fit(np.full_like(table[0], np.nan), table[1])
    assert clf.fit_report_ is before
    assert (clf.n_iter_, clf.best_epoch_) == (5, before.best_epoch)


def test_a_copy_made_in_the_middle_of_a_training_has_no_report_of_the_last_one(student, table, tmp_path):
    saver = Checkpoint(f_pickle="net.pkl", f_params=None, f_optimizer=None, f_history=None, f_criterion=None)
    clf = student(warm_start=True).fit(*table)
    saver.set_params(dirname=str(tmp_path), monitor=None)
    clf.set_params(callbacks=[saver]).fit(*table)
    assert not has_report(pickle.loads((tmp_path / "net.pkl").read_bytes()))


class Recorder(Callback):
    """Notes what a network says of itself at the end, and changes its temperature."""

    def on_train_end(self, net, **kwargs):
        self.report_ = net.fit_report_
        net.temperature_ = 3.0


def test_the_end_of_a_training_sees_the_report_and_may_change_the_temperature(teacher, table):
    recorder = Recorder()
    net = teacher(callbacks=[recorder]).fit(*table)
    assert recorder.report_.n_iter == 5
    assert recorder.report_.temperature != 3
    assert net.fit_report_ == dataclasses.replace(recorder.report_, temperature=3.0)


def test_candidates_of_a_stack_say_what_they_would_say_alone(student, table):
    grid = {"smoothing": ["ils", "uniform"]}
    splits = [(np.arange(160), np.arange(160, 240)), (np.arange(80, 240), np.arange(80))]
    parameters = {"dtype": "float64", "max_epochs": 30, "lr": 0.05, "patience": 4}
    seen = []

    def note(estimator, X, y):
        seen.append(estimator)
        return -len(seen)

    SmoothingSearchCV(student(**parameters), grid, cv=splits, scoring=note, refit=False).fit(*table)
    reports = [(clf.fit_report_, clf.n_iter_, clf.best_epoch_) for clf in seen]
    assert len(reports) == 4
    for number, (report, n_iter, best_epoch) in enumerate(reports):
        train, _ = splits[number // 2]
        clf = student(**parameters, smoothing=grid["smoothing"][number % 2])
        alone = clf.fit(table[0][train], table[1][train]).fit_report_
        assert (n_iter, best_epoch) == (report.n_iter, report.best_epoch)
        assert report.fit_time is report.teacher_fit_time is None
        theirs, ours = (dataclasses.asdict(each) for each in (alone, report))
        for name in ours:
            if not name.endswith("fit_time"):
                assert ours[name] == pytest.approx(theirs[name]), name


@pytest.mark.filterwarnings("ignore:The candidates are trained one by one")
def test_what_a_search_ends_with_has_a_report(student, table):
    grid = {"smoothing": ["ils", "uniform"]}
    search = SmoothingSearchCV(student(), grid, cv=2).fit(*table)
    assert search.best_estimator_.fit_report_.fit_time > 0
    alone = student(callbacks=[Recorder()])  # which no stack takes
    members = CrossFittedClassifier(alone, cv=2).fit(*table).estimators_
    assert [member.fit_report_.n_train for member in members] == [120, 120]
    assert all(member.fit_report_.teacher_n_iter == 5 for member in members)
    assert all(member.fit_report_.teacher_fit_time is None for member in members)
    stacked = CrossFittedClassifier(student(), cv=2).fit(*table).estimators_
    assert [member.fit_report_.n_held_out for member in stacked] == [120, 120]


def test_reports_are_public():
    assert FitReport(1, 0, 1, 1, 1.0, None) == FitReport(1, 0, 1, 1, 1.0, None)
