"""What is fitted stays fitted: refused and interrupted calls, saved parameters, copies, building."""

import copy
import io
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from skorch.callbacks import Callback, Checkpoint, InputShapeSetter, LoadInitState, TrainEndCheckpoint
from skorch.exceptions import SkorchAttributeError, SkorchTrainingImpossibleError
from torch import nn

from sk_ils import TeacherClassifier
from sk_ils._net.fit_data import InputSchema
from sk_ils._net.saving import SavedNetwork, read_network, write_network
from sk_ils.classifiers import NonFiniteLossError
from sk_ils.modules import MLP
from sk_ils.smoothing import ILS2, resolve_rule
from sk_ils.temperature import log_softmax

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


# --- files of parameters -------------------------------------------------------------------------------


def saved(clf):
    """Return a file of parameters, open at its beginning."""
    file = io.BytesIO()
    clf.save_params(f_params=file)
    file.seek(0)
    return file


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_a_file_of_parameters_gives_a_new_estimator_all_that_prediction_needs(make, table, tmp_path):
    X, y = table
    frame = pd.DataFrame(X, columns=list("abcdef"))
    clf = make(max_epochs=20).fit(frame, y)
    assert clf.temperature_ != 1
    clf.save_params(f_params=tmp_path / "net", f_optimizer=str(tmp_path / "opt"), f_history=tmp_path / "json")
    with torch.random.fork_rng():
        torch.manual_seed(7)
        new = make(max_epochs=20)
        new.load_params(
            f_params=tmp_path / "net", f_optimizer=str(tmp_path / "opt"), f_history=tmp_path / "json"
        )
        assert torch.initial_seed() == 7
    np.testing.assert_array_equal(new.predict_proba(frame), clf.predict_proba(frame))
    np.testing.assert_array_equal(new.predict(frame), clf.predict(frame))
    assert new.classes_.dtype == clf.classes_.dtype
    assert new.temperature_ == clf.temperature_
    assert new.n_features_in_ == 6
    assert list(new.feature_names_in_) == list(frame.columns)
    assert new.history[:, "train_loss"] == clf.history[:, "train_loss"]
    with pytest.raises(ValueError, match="feature names"):
        new.predict(frame[list("fedcba")])
    again = copy.deepcopy(clf)
    if hasattr(clf, "smoothing"):
        for one in (again, new):
            one.smoothing_ = resolve_rule("uniform")
    np.testing.assert_array_equal(
        new.partial_fit(frame, y).predict_proba(frame), again.partial_fit(frame, y).predict_proba(frame)
    )


def test_a_file_of_parameters_is_safetensors_without_a_pickle(teacher, table):
    clf = teacher(max_epochs=1).fit(*table)
    data = saved(clf).read()
    state = safetensors.torch.load(data)
    assert torch.equal(state["layers.0.weight"], clf.module_.state_dict()["layers.0.weight"])
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about = json.loads(header["__metadata__"]["sk_ils"])
    assert about["temperature"] == clf.temperature_
    assert about["schema"]["classes"]["values"] == ["ant", "bee", "cat"]


@pytest.mark.parametrize(
    "classes",
    [
        np.array([-3, 5, 7]),
        np.array([1, 2, 250], dtype=np.uint8),
        np.array([0.0, 1.0, 2.0], dtype=np.float32),
        np.array([False, True]),
        np.array(["ä", "b", "日"]),
        np.array(["a", "b", "c"], dtype=object),
        np.array([2**62, 2**62 + 1, 2**62 + 2]),
    ],
    ids=repr,
)
def test_labels_of_any_kind_that_json_can_hold_come_back(teacher, table, classes):
    X, y = table
    y = classes[np.unique(y, return_inverse=True)[1] % len(classes)]
    clf = teacher(max_epochs=1).fit(X, y)
    new = teacher()
    new.load_params(f_params=saved(clf))
    assert new.classes_.dtype == clf.classes_.dtype
    np.testing.assert_array_equal(new.predict(X), clf.predict(X))
    new.load_params(f_params=saved(clf))


def test_labels_that_json_cannot_hold_are_refused(teacher, table, tmp_path):
    X, y = table
    clf = teacher(max_epochs=1).fit(X, y)
    clf.classes_inferred_ = np.array([b"a", b"b", b"c"])
    with (
        pytest.warns(UserWarning, match="Could not save"),
        pytest.raises(TypeError, match=r"b'a' of type \|S1.*joblib or pickle"),
    ):
        clf.save_params(f_params=tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda make, X, y: make(module__hidden_sizes=(3,)), r"another network.*\[16, 54\].*\[3, 54\]"),
        (lambda make, X, y: make(module__hidden_sizes=(16, 16)), "another network.*Missing key"),
        (lambda make, X, y: make().fit(X[:, :4], y), "n_features_in is 6 in the file, and 4 here"),
        (
            lambda make, X, y: make().fit(X[:, :, None], y),
            r"sample_shape is \(6,\) in the file, and \(6, 1\)",
        ),
        (
            lambda make, X, y: make().fit(X, y == "ant"),
            r"'bee', 'cat'\] in the file, and \[False, True\] here",
        ),
        (
            lambda make, X, y: make().fit(X, np.char.upper(y)),
            r"in the file, and \['ANT', 'BEE', 'CAT'\] here",
        ),
        (lambda make, X, y: make().fit(pd.DataFrame(X, columns=list("abcdef")), y), "feature_names_in is"),
    ],
)
@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_a_file_of_another_network_changes_nothing_and_says_what_differs(make, table, other, message):
    X, y = table
    columns = list("uvwxyz") if "names" in message else None
    file = saved(make(max_epochs=2).fit(pd.DataFrame(X, columns=columns) if columns else X, y))
    clf = other(make, X, y)
    before = {name: copy.deepcopy(value) for name, value in vars(clf).items()}
    with pytest.raises(ValueError, match=f"(?s){message}"):
        clf.load_params(f_params=file)
    assert set(vars(clf)) == set(before)
    if "module_" in before:
        for name, value in clf.module_.state_dict().items():
            assert torch.equal(value, before["module_"].state_dict()[name])
        assert clf.temperature_ == before["temperature_"]


def test_a_bad_second_file_changes_nothing_either(teacher, table, tmp_path):
    X, y = table
    clf = teacher(max_epochs=2).fit(X, y)
    other = teacher(random_state=1, optimizer=torch.optim.SGD, max_epochs=3).fit(X, y)
    other.save_params(f_params=tmp_path / "net", f_history=tmp_path / "json")
    before = everything(clf, X)
    with pytest.raises(FileNotFoundError):
        clf.load_params(f_params=tmp_path / "net", f_history=tmp_path / "json", f_optimizer=tmp_path / "none")
    assert_same(everything(clf, X), before)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no file of parameters"),
        (b"{}", "no file of parameters"),
        (b"nonsense that is longer than eight bytes", "no file of parameters"),
        (b"PK\x03\x04", "no file of weights"),
        (pickle.dumps({"a": 1}, protocol=2), "no file of weights"),
        ("text", "open it in binary mode"),
    ],
    ids=repr,
)
def test_what_is_no_file_of_parameters_is_refused(teacher, table, data, message):
    X, y = table
    clf = teacher(max_epochs=1).fit(X, y)
    before = everything(clf, X)
    with pytest.raises(ValueError, match=message):
        clf.load_params(f_params=io.StringIO(data) if isinstance(data, str) else io.BytesIO(data))
    assert_same(everything(clf, X), before)


@pytest.mark.parametrize("missing", [1, 100, 1000])
def test_a_file_that_was_cut_off_changes_nothing(teacher, table, missing):
    X, y = table
    clf = teacher(max_epochs=1).fit(X, y)
    before = everything(clf, X)
    with pytest.raises(ValueError, match="no file of parameters"):
        clf.load_params(f_params=io.BytesIO(saved(clf).read()[:-missing]))
    assert_same(everything(clf, X), before)


def test_a_header_of_any_length_is_read():
    """Its first byte may be that of a pickle or of an archive."""
    for length in range(1, 300):
        schema = InputSchema(np.array(["a", "b" * length]))
        file = io.BytesIO()
        write_network(file, SavedNetwork({"weight": torch.zeros(2)}, schema, 1.5))
        file.seek(0)
        assert read_network(file, None).temperature == 1.5


def test_weights_of_torch_are_loaded_with_the_warning_that_they_are_not_calibrated(teacher, table, tmp_path):
    X, y = table
    clf = teacher(max_epochs=2).fit(X, y)
    torch.save(clf.module_.state_dict(), tmp_path / "file.pt")
    safetensors.torch.save_file(clf.module_.state_dict(), tmp_path / "file.safetensors")
    for name in ("file.pt", "file.safetensors"):
        other = teacher(max_epochs=1, random_state=1).fit(X, y)
        with pytest.warns(UserWarning, match="no temperature: temperature_ is 1"):
            other.load_params(f_params=tmp_path / name)
        np.testing.assert_array_equal(
            other.decision_function(X), log_softmax(clf.forward(torch.tensor(X).float()).numpy())
        )
        with pytest.raises(ValueError, match=r"does not tell the classes and sizes.*Call fit first, or init"):
            teacher().load_params(f_params=tmp_path / name)


def test_tied_weights_and_compiled_names_are_saved(teacher, table):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(6, 6, bias=False)
            self.second = nn.Linear(6, 6, bias=False)
            self.second.weight = self.first.weight
            self.out = nn.Linear(6, 3)

        def forward(self, X):
            return self.out(self.second(self.first(X).relu()))

    X, y = table
    clf = teacher(module=Tied, max_epochs=2).fit(X, y)
    new = teacher(module=Tied)
    new.load_params(f_params=saved(clf))
    np.testing.assert_array_equal(new.predict_proba(X), clf.predict_proba(X))


@pytest.mark.parametrize("file", ["f_params", "f_history"])
def test_an_estimator_without_a_network_has_nothing_to_save(teacher, tmp_path, file):
    with (
        pytest.warns(UserWarning, match="Could not save"),
        pytest.raises(NotFittedError, match="Call fit or initialize before save_params"),
    ):
        teacher().save_params(**{file: tmp_path / "file"})


# --- the temperature in callbacks ----------------------------------------------------------------------


class Notes(Callback):
    """Notes the temperature, and keeps a copy, at the end of each epoch and of the training."""

    def __init__(self, seen):
        self.seen = seen

    def __deepcopy__(self, memo):
        return Notes([])

    def on_epoch_end(self, net, **kwargs):
        self.seen.append((net.temperature_, pickle.loads(pickle.dumps(net))))

    def on_train_end(self, net, **kwargs):
        self.on_epoch_end(net)


def test_callbacks_train_at_temperature_one_and_see_the_fitted_one_in_the_end(teacher, table):
    X, y = table
    clf = teacher(warm_start=True, callbacks=[Notes([])], max_epochs=4)
    for _ in range(2):  # a warm start, too
        clf.fit(X, y)
        *during, last = clf.callbacks[0].seen
        assert [temperature for temperature, _ in during] == [1.0] * 4
        assert last[0] == clf.temperature_ != 1
        clf.callbacks[0].seen.clear()
    np.testing.assert_array_equal(last[1].predict_proba(X), clf.predict_proba(X))
    assert last[1].device == clf.device


def test_a_copy_made_in_training_has_the_temperature_of_its_weights(teacher, table):
    X, y = table
    clf = teacher(callbacks=[Notes([])], max_epochs=4, device="auto").fit(X, y)
    for epoch, (_, inner) in enumerate(clf.callbacks[0].seen[:-1]):
        alone = teacher(max_epochs=epoch + 1, device="auto").fit(X, y)
        if np.argmin(alone.history[:, "valid_loss"]) == epoch:  # the last epoch is the best one
            assert inner.temperature_ == alone.temperature_
        assert inner.device == "auto"
        assert inner.get_params()["device"] == "auto"
    alone = teacher(max_epochs=4, device="auto").fit(X, y)
    np.testing.assert_array_equal(alone.predict_proba(X), clf.predict_proba(X))


def test_what_is_made_in_a_fit_has_the_device_that_was_asked_for(student, table):
    class Clones(Callback):
        def on_train_begin(self, net, **kwargs):
            devices.append(net.get_params()["device"])

    devices = []
    clf = student(device="auto", max_epochs=1, callbacks=[Clones()]).fit(*table)
    assert clf.teacher_.device == "auto"
    assert devices == ["auto", "auto"]


def test_a_checkpoint_holds_the_temperature_of_its_epoch(student, table, tmp_path):
    X, y = table
    checkpoint = Checkpoint(dirname=str(tmp_path), f_pickle="all.pickle", load_best=True)
    clf = student(callbacks=[checkpoint, TrainEndCheckpoint(dirname=str(tmp_path))], lr=0.05, max_epochs=20)
    proba = clf.fit(X, y).predict_proba(X)
    assert clf.temperature_ != 1
    assert np.argmin(clf.history[:, "valid_loss"]) < 19, "the last epoch is the best one: nothing is tested"
    for name in ("params.pt", "train_end_params.pt"):
        new = student()
        new.load_params(f_params=tmp_path / name)
        np.testing.assert_array_equal(new.predict_proba(X), proba)
    new = student()
    new.load_params(checkpoint=checkpoint)
    np.testing.assert_array_equal(new.predict_proba(X), proba)
    assert len(new.history) == np.argmin(clf.history[:, "valid_loss"]) + 1
    with open(tmp_path / "all.pickle", "rb") as file:
        np.testing.assert_array_equal(pickle.load(file).predict_proba(X), proba)


def test_a_training_goes_on_from_a_checkpoint(teacher, table, tmp_path):
    X, y = table
    checkpoint = Checkpoint(dirname=str(tmp_path), monitor=None)
    clf = teacher(callbacks=[checkpoint, LoadInitState(checkpoint)])
    assert len(clf.fit(X, y).history) == 5
    assert len(clone(clf).fit(X, y).history) == 10


def test_the_temperature_suits_the_weights_that_a_callback_goes_back_to(teacher, table):
    class GoBack(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 1:
                self.state_ = copy.deepcopy(net.module_.state_dict())

        def on_train_end(self, net, **kwargs):
            net.module_.load_state_dict(self.state_)

    X, y = table
    clf = teacher(callbacks=[GoBack()], max_epochs=10).fit(X, y)
    assert clf.temperature_ == teacher(max_epochs=1).fit(X, y).temperature_


@pytest.mark.parametrize("params", [{"temperature_scaling": False}, {"train_split": None}], ids=str)
def test_a_warm_start_that_fits_no_temperature_has_none(teacher, table, params):
    clf = teacher(warm_start=True).fit(*table)
    assert clf.temperature_ != 1
    assert clf.set_params(**params).fit(*table).temperature_ == 1


# --- building ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", KINDS, indirect=True)
@pytest.mark.parametrize("given", ["parameters", "instance"])
def test_a_network_whose_sizes_are_given_is_built_before_fit(make, table, given):
    X, y = table
    with torch.random.fork_rng():
        module = MLP(6, 3, hidden_sizes=(16,))
    params = (
        {"module": module} if given == "instance" else {"module__n_features_in": 6, "module__n_classes": 3}
    )
    clf = make(**params).initialize()
    assert not clf.__sklearn_is_fitted__()
    with pytest.raises(NotFittedError, match="knows no classes"):
        clf.predict(X)
    weights = [parameter.detach().clone() for parameter in clf.module_.parameters()]
    untouched = copy.deepcopy(clf)
    assert clf.set_params(max_epochs=0).partial_fit(X, y, classes=np.unique(y)).predict(X).shape == y.shape
    for parameter, weight in zip(clf.module_.parameters(), weights, strict=True):
        assert torch.equal(parameter, weight)
    for one, other in zip(make(**params).initialize().module_.parameters(), weights, strict=True):
        assert torch.equal(one, other), "the seed decides"
    np.testing.assert_array_equal(
        untouched.fit(X, y).predict_proba(X), make(**params).fit(X, y).predict_proba(X)
    )


def test_a_network_whose_sizes_are_not_given_says_how_to_give_them(teacher, table):
    clf = teacher()
    before = set(vars(clf))
    with pytest.raises(ValueError, match=r"module__n_features_in=..., module__n_classes=\.\.\..*call fit"):
        clf.initialize()
    with pytest.raises(ValueError, match=r"pass module__n_classes=\.\.\.\."):
        teacher(module__n_features_in=6).initialize()
    assert set(vars(clf)) == before


class Sized(nn.Module):
    def __init__(self, input_dim=1):
        super().__init__()
        self.layer = nn.Linear(input_dim, 3)

    def forward(self, X):
        return self.layer(X)


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_skorchs_input_shape_setter_sets_the_shape(make, table):
    X, y = table
    clf = make(module=Sized, callbacks=[InputShapeSetter()], max_epochs=20)
    for columns in (6, 4):
        clf.fit(X[:, :columns], y)
        assert clf.module_.layer.in_features == columns
        assert clf.history[-1, "train_loss"] < clf.history[0, "train_loss"] - 0.05
    assert {id(p) for p in clf.module_.parameters()} == {
        id(p) for p in clf.optimizer_.param_groups[0]["params"]
    }


def test_steps_of_a_fit_cannot_be_called_alone(teacher, table):
    X, y = table
    clf = teacher(max_epochs=1).fit(X, y)
    for call in (
        lambda: clf.fit_loop(X, y),
        lambda: clf.run_single_epoch([], training=True, prefix="train", step_fn=clf.train_step),
    ):
        with pytest.raises(RuntimeError, match="call partial_fit"):
            call()


def test_a_module_that_is_set_outside_of_initialize_is_refused(teacher, table):
    with torch.random.fork_rng():
        part = nn.Linear(2, 2)
    clf = teacher(max_epochs=1)
    for _ in range(2):
        for name in ("module2_", "module2"):
            with pytest.raises(SkorchAttributeError, match="outside of an initialize method"):
                setattr(clf, name, part)
        clf.fit(*table)

    class Unnamed(TeacherClassifier):
        def initialize_module(self):
            super().initialize_module()
            self.second = nn.Linear(2, 2)
            return self

    with pytest.raises(SkorchAttributeError, match="should end with an underscore"):
        Unnamed(device="cpu").fit(*table)


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_what_is_trimmed_for_prediction_predicts_and_cannot_be_trained(make, table):
    X, y = table
    callbacks = [Trouble(type(make()))]
    clf = make(callbacks=callbacks, max_epochs=2).fit(X, y)
    proba = clf.predict_proba(X)
    size = len(pickle.dumps(clf))
    clf.trim_for_prediction()
    assert len(pickle.dumps(clf)) < size * 0.75
    for call in (
        lambda: clf.fit(X, y),
        lambda: clf.partial_fit(X, y),
        clf.initialize,
        lambda: clone(clf).fit(X, y),
    ):
        with pytest.raises(SkorchTrainingImpossibleError, match=r"trimmed for prediction.*Fit a new"):
            call()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), proba)
    assert len(callbacks) == 1, "the user's list"
    if hasattr(clf, "teacher_"):
        assert clf.teacher_ is None
        with pytest.raises(AttributeError, match=r"has no teacher.*trimmed for prediction"):
            clf.teacher_predict_proba(X)
