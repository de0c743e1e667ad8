"""What is fitted stays fitted: refused and interrupted calls, saved parameters, copies, building."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from skorch.callbacks import Callback
from torch import nn

from sk_ils import TeacherClassifier
from sk_ils.classifiers import NonFiniteLossError
from sk_ils.smoothing import ILS2

KINDS = ["teacher", "student"]


class Trouble(Callback):
    """Raises in a network of some class, in the second epoch of a fit or in a hook, once it is armed."""

    def __init__(self, kind, hook="on_batch_end", error=None):
        self.kind = kind
        self.hook = hook
        self.error = error

    def on_train_begin(self, net, **kwargs):
        self.epochs_ = 0
        self._raise(net, "on_train_begin")

    def on_epoch_begin(self, net, **kwargs):
        self.epochs_ += 1

    def on_batch_end(self, net, training=None, **kwargs):
        if training and self.epochs_ == 2:
            self._raise(net, "on_batch_end")

    def on_train_end(self, net, **kwargs):
        self._raise(net, "on_train_end")

    def _raise(self, net, hook):
        if self.error is not None and hook == self.hook and type(net) is self.kind:
            raise self.error


@pytest.fixture
def make(request, student, teacher):
    """Return a constructor of the classifiers of a kind."""
    return {"teacher": teacher, "student": student}[request.param]


def everything(clf, X):
    """Return all that a fit leaves behind, in a form that can be compared after the next one."""
    tensors = {f"module {name}": value for name, value in clf.module_.state_dict().items()}
    for index, state in clf.optimizer_.state_dict()["state"].items():
        tensors |= {f"optimizer {index} {name}": value for name, value in state.items()}
    state = {name: value.clone().numpy() for name, value in tensors.items()}
    state["proba"] = clf.predict_proba(X)
    state["classes"] = clf.classes_
    state["names"] = getattr(clf, "feature_names_in_", None)
    state["numbers"] = [clf.n_features_in_, clf.temperature_, len(clf.history)]
    state["losses"] = clf.history[:, "train_loss"]
    state["best"] = [callback.best_score_ for name, callback in clf.callbacks_ if name == "train_loss"]
    if isinstance(getattr(clf, "teacher_", None), TeacherClassifier):
        inner = everything(clf.teacher_, X)
        state |= {f"teacher {name}": value for name, value in inner.items()}
        state["T_cal"] = clf.teacher_temperature_
    return state


def assert_same(state, other):
    assert state.keys() == other.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def nan(X):
    return np.where(np.arange(len(X))[:, None] == 3, np.nan, X)


REFUSED = {
    "nan": lambda clf, X, y: clf.fit(nan(X), y),
    "labels": lambda clf, X, y: clf.fit(X[:, :3], y[:-1]),
    "one class": lambda clf, X, y: clf.fit(X[:, :3], np.full(len(y), "dog")),
    "weights": lambda clf, X, y: clf.fit(X[:, :3], y, sample_weight=-np.ones(len(y))),
    "groups": lambda clf, X, y: clf.fit(X[:, :3], y, groups=[1, 2]),
    "parameter": lambda clf, X, y: clf.set_params(max_epochs=-1).fit(X[:, :3], y),
    "module": lambda clf, X, y: clf.set_params(module__depth=3).fit(X[:, :3], y),
    "sizes": lambda clf, X, y: clf.set_params(module__n_classes=2).fit(X, y),
    "split": lambda clf, X, y: clf.set_params(train_split=lambda data, y: 1 / 0).fit(X[:, :3], y),
    "loader": lambda clf, X, y: clf.set_params(iterator_train__nonsense=1).fit(X[:, :3], y),
}


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_a_fit_that_is_refused_before_a_training_step_changes_nothing(make, table, what, warm_start):
    X, y = table
    if what == "sizes" and warm_start:
        return  # the network is built already
    clf = make(warm_start=warm_start, max_epochs=2)
    if hasattr(clf, "smoothing"):
        clf.set_params(smoothing="uniform")
    clf.fit(X, y)
    before = everything(clf, X)
    with pytest.raises(Exception):  # noqa: B017, PT011 - what it says is tested elsewhere
        REFUSED[what](clf, X, y)
    assert_same(everything(clf, X), before)


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_a_callback_that_refuses_at_the_beginning_changes_nothing(make, table):
    X, y = table
    trouble = Trouble(type(make()), "on_train_begin")
    clf = make(callbacks=[trouble]).fit(X, y)
    if hasattr(clf, "smoothing"):
        clf.set_params(smoothing="none")  # or the teacher's training would be the first step
    before = everything(clf, X)
    trouble.error = RuntimeError("no")
    with pytest.raises(RuntimeError, match="no"):
        clf.fit(X, y)
    assert_same(everything(clf, X), before)


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_a_partial_fit_that_is_refused_changes_nothing(make, table):
    X, y = table
    clf = make(max_epochs=2).partial_fit(X, y, classes=np.unique(y))
    before = everything(clf, X)
    for call in (
        lambda: clf.partial_fit(nan(X), y),
        lambda: clf.partial_fit(X[:, :3], y),
        lambda: clf.partial_fit(X, np.where(y == "ant", "dog", y)),
        lambda: clf.partial_fit(X, y, classes=["ant", "bee"]),
        lambda: clf.partial_fit(X, y, sample_weight=np.full(len(y), np.nan)),
    ):
        with pytest.raises(ValueError, match=r"NaN|features|labels|classes is"):
            call()
        assert_same(everything(clf, X), before)


def test_a_first_call_that_is_refused_leaves_the_parameters_only(make_any, table):
    X, y = table
    before = set(vars(make_any))
    for call in (
        lambda: make_any.fit(nan(X), y),
        lambda: make_any.partial_fit(X, y),
        lambda: make_any.partial_fit(nan(X), y, classes=np.unique(y)),
    ):
        with pytest.raises(ValueError, match=r"NaN|classes must be passed"):
            call()
        assert set(vars(make_any)) == before


@pytest.fixture(params=KINDS)
def make_any(request, student, teacher):
    return {"teacher": teacher, "student": student}[request.param]()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no")], ids=repr)
@pytest.mark.parametrize("hook", ["on_batch_end", "on_train_end"])
@pytest.mark.parametrize("make", KINDS, indirect=True)
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_a_call_that_goes_on_and_fails_in_training_restores_the_state_before(make, table, call, hook, error):
    X, y = table
    trouble = Trouble(type(make()), hook)
    clf = make(warm_start=True, callbacks=[trouble], module=Normed, max_epochs=3).fit(X, y)
    before = everything(clf, X)
    module, history = clf.module_, clf.history
    trouble.error = error
    with pytest.raises(type(error)):
        getattr(clf, call)(X, y)
    assert_same(everything(clf, X), before)
    assert clf.module_ is module
    assert clf.history is history
    trouble.error = None
    getattr(clf, call)(X, y)
    assert (clf.predict_proba(X) != before["proba"]).any()


class Normed(nn.Module):
    """With buffers, which an evaluation in training mode changes."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(n_features_in), nn.Linear(n_features_in, n_classes))

    def forward(self, X):
        return self.layers(X)


def test_what_goes_on_after_a_failure_is_what_would_have_gone_on_without_it(teacher, table):
    X, y = table
    trouble = Trouble(TeacherClassifier)
    clf = teacher(callbacks=[trouble], max_epochs=3).fit(X, y)
    again = copy.deepcopy(clf)
    trouble.error = RuntimeError("no")
    with pytest.raises(RuntimeError):
        clf.partial_fit(X, y)
    trouble.error = None
    np.testing.assert_array_equal(
        clf.partial_fit(X, y).predict_proba(X), again.partial_fit(X, y).predict_proba(X)
    )


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_a_later_partial_fit_that_diverges_restores_the_network(make, table):
    X, y = table
    clf = make(optimizer=torch.optim.SGD).partial_fit(X, y, classes=np.unique(y))
    before = everything(clf, X)
    with pytest.raises(NonFiniteLossError, match="Lower lr"):
        clf.set_params(lr=1e30).partial_fit(X, y)
    assert_same(everything(clf, X), before)


@pytest.mark.parametrize("make", KINDS, indirect=True)
@pytest.mark.parametrize("fitted", [False, True])
def test_a_cold_fit_that_fails_in_training_leaves_an_unfitted_estimator(make, table, fitted):
    X, y = table
    clf = make(optimizer=torch.optim.SGD)
    if fitted:
        clf.fit(X, y)
    with pytest.raises(NonFiniteLossError, match="Lower lr"):
        clf.set_params(lr=1e30).fit(X, y)
    with pytest.raises(NotFittedError):
        clf.predict(X)
    assert not hasattr(clf, "classes_")
    assert clf.set_params(lr=0.01).fit(X, y).predict(X).shape == y.shape


def test_a_teacher_that_cannot_go_on_leaves_the_student_as_it_was(student, table):
    X, y = table
    clf = student(teacher=GaussianNB(), max_epochs=2).fit(X, y)
    before = everything(clf, X)
    with pytest.raises(ValueError, match="a teacher that can be trained further"):
        clf.partial_fit(X, y)
    assert_same(everything(clf, X), before)


@pytest.mark.parametrize(
    "params",
    [
        {"lr": 0.5, "nonsense": 1},
        {"module__hidden_sizes": (3,), "nonsense": 1},
        {"smoothing__epsilon": 0.9, "smoothing__nonsense": 1},
        {"smoothing": "uniform", "smoothing__nonsense": 1},
        {"teacher__lr": 0.5, "teacher__nonsense": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("smoothing", ["ils2", ILS2(epsilon=0.2)], ids=["name", "instance"])
def test_set_params_that_is_refused_changes_nothing(student, table, params, smoothing):
    X, y = table
    clf = student(smoothing=clone(smoothing, safe=False), teacher=TeacherClassifier(max_epochs=1))
    clf.partial_fit(X, y, classes=np.unique(y))
    before = repr(clf), clf.optimizer_.param_groups[0]["lr"]
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        clf.set_params(**params)
    assert (repr(clf), clf.optimizer_.param_groups[0]["lr"]) == before
