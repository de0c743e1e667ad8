"""Files of whole estimators: what comes back, what does not, and what a damaged file does."""

import builtins
import json
import os
import pickle
import re
import stat
import sys

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EpochScoring
from torch import nn

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils._net.tensor_file import pack, unpack
from sk_ils.model_selection import CrossFittedClassifier
from sk_ils.modules import MLP
from sk_ils.smoothing import ILS

KINDS = ["teacher", "student"]
on_posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other rights, links and pipes")


@pytest.fixture
def make(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


@pytest.fixture
def frame(table):
    return pd.DataFrame(table[0], columns=list("abcdef"))


class Net(nn.Module):
    def __init__(self, n_features_in, n_classes, activation=None):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features_in, 4), (activation or nn.ReLU)(), nn.Linear(4, n_classes)
        )

    def forward(self, X):
        return self.layers(X)


class OwnSGD(torch.optim.SGD):
    pass


def assert_same(new, old, X):
    assert type(new) is type(old)
    np.testing.assert_array_equal(new.predict_proba(X), old.predict_proba(X))
    np.testing.assert_array_equal(new.predict(X), old.predict(X))
    assert new.classes_.dtype == old.classes_.dtype
    assert new.n_features_in_ == old.n_features_in_
    assert list(getattr(new, "feature_names_in_", [])) == list(getattr(old, "feature_names_in_", []))


def rewritten(path, change):
    """Change what a file says, with a right checksum, as a stranger can."""
    tensors, document = unpack(path.read_bytes(), "file")
    path.write_bytes(pack(tensors, change(tensors, document) or document))


# --- what comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", KINDS, indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_estimator_comes_back_with_its_parameters(make, table, frame, path, dtype):
    clf = make(dtype=dtype, lr=np.float64(0.02), patience=None, module__n_bins=np.int64(3)).fit(
        frame, table[1]
    )
    assert clf.temperature_ != 1
    assert clf.save(path) is None
    new = type(clf).load(str(path))
    assert_same(new, clf, frame)
    assert new.temperature_ == clf.temperature_
    assert new.get_params(deep=False) == clf.get_params(deep=False)
    assert type(new.module__hidden_sizes) is tuple
    with pytest.raises(ValueError, match="feature names"):
        new.predict(frame[list("fedcba")])


def test_a_loaded_student_has_no_teacher_and_its_rule_goes_on(student, table, path):
    X, y = table
    clf = student(smoothing=ILS(shift=0.9), smoothing__curvature=float("inf")).set_params(
        smoothing__curvature=1.5
    )
    clf.fit(X, y).save(path)
    new = InstanceSmoothedClassifier.load(path)
    assert repr(new.smoothing) == repr(clf.smoothing) == "ILS(curvature=1.5, shift=0.9)"
    assert repr(new.smoothing_) == repr(clf.smoothing_)
    assert new.teacher_ is None
    with pytest.raises(AttributeError, match=r"has no teacher: .* loaded from a file"):
        new.teacher_predict_proba(X)
    np.testing.assert_array_equal(new.fit(X, y).predict_proba(X), clf.predict_proba(X))


def test_plain_values_of_any_kind_come_back(teacher, table, path):
    parameters = {
        "optimizer": torch.optim.Adam,
        "optimizer__betas": (0.8, 0.9),
        "optimizer__amsgrad": np.bool_(True),
        "iterator_valid__batch_size": 64,
        "module": MLP,
        "module__hidden_sizes": [8, 4],
        "iterator_train": torch.utils.data.DataLoader,
        "train_split": None,
        "callbacks": "disable",
        "optimizer__eps": 1e-7,
    }
    clf = teacher(**parameters).fit(*table)
    clf.save(path)
    found = TeacherClassifier.load(path).get_params(deep=False)
    assert {name: found[name] for name in parameters} == parameters


def test_what_was_written_while_a_parameter_was_odd_is_odd_again(teacher, table, path):
    clf = teacher().fit(*table)
    odd = {"module__a": {"b": [float("-inf"), {"class": "torch.optim.SGD"}]}, "lr": float("inf")}
    clf.set_params(device=torch.device("cpu"), **odd).save(path)
    _, document = unpack(path.read_bytes(), "file")
    params = document["estimator"]["params"]
    assert params["device"] == "cpu"
    assert params["lr"] == {"float": "inf"}
    with pytest.raises(ValueError, match=r"With the parameters of .*file: .*'lr' .*must be a float"):
        TeacherClassifier.load(path)
    with pytest.raises(ValueError, match="unexpected keyword argument 'a'"):
        TeacherClassifier.load(path, lr=0.1)


@pytest.mark.parametrize("make", KINDS, indirect=True)
def test_a_trimmed_estimator_comes_back_trimmed(make, table, path):
    X, y = table
    clf = make(optimizer=torch.optim.SGD, optimizer__momentum=0.9).fit(X, y)
    clf.trim_for_prediction()
    clf.save(path)
    new = type(clf).load(path)
    assert_same(new, clf, X)
    assert new.optimizer is None
    with pytest.raises(Exception, match="trimmed for prediction"):
        new.fit(X, y)


def test_a_loaded_network_is_trained_on(teacher, table, path):
    X, y = table
    # All rows in one batch, since the history, by which each epoch's order is drawn, is not in the file.
    clf = teacher(optimizer=torch.optim.SGD, batch_size=-1, dtype="float64").fit(X, y)
    clf.save(path)
    new = TeacherClassifier.load(path)
    assert new.history == []
    np.testing.assert_allclose(
        new.partial_fit(X, y).predict_proba(X), clf.partial_fit(X, y).predict_proba(X), rtol=1e-9
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there, the device is there")
def test_a_device_that_is_not_there_is_the_cpu(teacher, table, path):
    X, y = table
    clf = teacher().fit(X, y)
    clf.set_params(device="cuda:1").save(path)
    with pytest.warns(UserWarning, match="device='cuda:1' of .* is not there: it is 'cpu' now"):
        new = TeacherClassifier.load(path)
    assert new.device == "cpu"
    assert_same(new, clf, X)
    assert TeacherClassifier.load(path, device="auto").device == "auto"


def test_an_ensemble_comes_back(student, table, frame, path):
    X, y = frame, table[1]
    clf = CrossFittedClassifier(student(dtype="float64"), cv=3).fit(X, y)
    clf.save(path)
    new = CrossFittedClassifier.load(path)
    assert_same(new, clf, X)
    assert repr(new) == repr(clf)
    assert [member.random_state for member in new.estimators_] == [0] * 3
    assert new.set_params(cv=2).fit(X, y).predict_proba(X).shape == (240, 3)


def test_the_ensemble_of_a_search_comes_back_with_modules_of_ones_own(student, table, path):
    X, y = table
    cv = StratifiedKFold(2)
    search = SmoothingSearchCV(student(module=Net), {"smoothing": ["none", "ils"]}, cv=cv, ensemble=True)
    clf = search.fit(X, y).best_estimator_
    with pytest.warns(UserWarning, match=r"save does not write cv \(.*StratifiedKFold\), module \(.*Net\)"):
        clf.save(path)
    with pytest.raises(ValueError, match=r"does not hold module \(.*Net\).*load\(path, module=...\)"):
        CrossFittedClassifier.load(path)
    with pytest.warns(UserWarning, match=r"does not hold cv \(.*: what is not plain.*load\(path, cv=...\)"):
        assert CrossFittedClassifier.load(path, module=Net).cv == 5
    new = CrossFittedClassifier.load(path, module=Net, cv=cv)
    assert new.cv is cv
    assert_same(new, clf, X)


def test_ensembles_of_other_things_are_refused(student, table, path):
    class Own(InstanceSmoothedClassifier):
        pass

    X, y = table
    small = student().get_params(deep=False)
    pipeline = make_pipeline(StandardScaler(), student())
    ensemble = CrossFittedClassifier(pipeline, cv=2).fit(X, y)
    with pytest.raises(TypeError, match=r"members are Pipelines.*estimators_\[0\]\[-1\].save"):
        ensemble.save(path)
    ensemble.estimators_[0][-1].save(path)
    with pytest.raises(TypeError, match="InstanceSmoothedClassifier itself, but members are of Own"):
        CrossFittedClassifier(Own(**small), cv=2).fit(X, y).save(path.with_name("other"))
    assert not path.with_name("other").exists()


# --- what does not ----------------------------------------------------------------------------------


def test_a_module_of_ones_own_must_be_passed_again(teacher, table, path):
    X, y = table
    clf = teacher(module=Net, module__activation=nn.GELU).fit(X, y)
    with pytest.warns(UserWarning, match=r"module \(.*Net\), module__activation \(torch.nn.*GELU\)"):
        clf.save(path)
    with pytest.raises(ValueError, match=r"does not hold module \(.*, without which there is no network"):
        TeacherClassifier.load(path)
    with pytest.raises(ValueError, match=r"load\(path, module__activation=\.\.\.\)"):
        TeacherClassifier.load(path, module=Net)
    assert_same(TeacherClassifier.load(path, module=Net, module__activation=nn.GELU), clf, X)
    with pytest.raises(
        ValueError, match=r"With the parameters of .*unexpected keyword argument 'activation'"
    ):
        TeacherClassifier.load(path, module=MLP, module__activation=nn.GELU)
    with pytest.raises(ValueError, match=r"(?s)file holds another network.*Missing key.*Set the module__"):
        TeacherClassifier.load(path, module=lambda **sizes: nn.Linear(6, 3), module__activation=nn.GELU)


def test_parameters_that_are_not_plain_are_left_out_with_a_warning(student, table, path, tmp_path):
    X, y = table
    parameters = {
        "callbacks": [("f1", EpochScoring("f1_macro"))],
        "callbacks__f1__lower_is_better": False,
        "teacher": TeacherClassifier(max_epochs=1),
        "random_state": np.random.RandomState(0),
        "optimizer": OwnSGD,
        "optimizer__momentum": 0.5,
        "memory": str(tmp_path / "cache"),
    }
    clf = student(**parameters).fit(X, y)
    with pytest.warns(UserWarning, match="save does not write") as warned:
        clf.save(path)
    names = ("callbacks", "teacher", "random_state", "optimizer", "memory")
    assert all(f"{name} (" in str(warned[0].message) for name in names)
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match="does not hold") as warned:
        new = InstanceSmoothedClassifier.load(path)
    assert all(f"{name} (" in str(warned[0].message) for name in names)
    assert warned[0].filename == __file__
    assert_same(new, clf, X)
    default = InstanceSmoothedClassifier()
    assert all(getattr(new, name) == getattr(default, name) for name in names)
    assert not hasattr(new, "optimizer__momentum"), "it would be the default optimizer's"
    given = {name: parameters[name] for name in names}
    new = InstanceSmoothedClassifier.load(path, **given)
    assert all(getattr(new, name) is given[name] for name in names)
    assert new.optimizer__momentum == 0.5


def test_a_file_cannot_set_what_lets_later_calls_read_pickles(student, table, path):
    student().fit(*table).save(path)

    def infect(tensors, document):
        document["estimator"]["params"]["memory"] = "folder_of_a_stranger"

    rewritten(path, infect)
    with pytest.raises(ValueError, match="it holds the parameter 'memory'"):
        InstanceSmoothedClassifier.load(path)


def test_two_networks_do_not_fit_into_one_file(teacher, table, path):
    class Two(TeacherClassifier):
        def initialize_module(self):
            super().initialize_module()
            self.encoder_ = nn.Linear(6, 6)
            return self

        def infer(self, x, **fit_params):
            return super().infer(self.encoder_(x), **fit_params)

    clf = Two(**teacher(max_epochs=1).get_params(deep=False)).fit(*table)
    with pytest.raises(TypeError, match="one network, but this Two has module, encoder"):
        clf.save(path)
    assert not path.exists()


def test_a_subclass_loads_its_own_files(teacher, table, path):
    class Own(TeacherClassifier):
        def __init__(self, *args, extra=1, **kwargs):
            super().__init__(*args, **kwargs)
            self.extra = extra

    X, y = table
    clf = Own(extra=7, **teacher().get_params(deep=False)).fit(X, y)
    clf.save(path)
    new = Own.load(path)
    assert new.extra == 7
    assert_same(new, clf, X)
    with pytest.raises(ValueError, match=r"With the parameters of .*unexpected parameter 'extro'"):
        Own.load(path, extro=1)
    with pytest.raises(ValueError, match=r"holds a Own, not a TeacherClassifier: call Own\.load"):
        TeacherClassifier.load(path)


def test_what_a_subclass_has_by_default_need_not_be_passed(teacher, table, path):
    class Own(TeacherClassifier):
        def __init__(self, module=Net, **kwargs):
            super().__init__(module, **kwargs)

    class Built(TeacherClassifier):
        def initialize_module(self):
            self.module_ = Net(6, 3)
            return self

    X, y = table
    parameters = {**teacher(max_epochs=1).get_params(deep=False)}
    del parameters["module"], parameters["module__hidden_sizes"]
    for kind in (Own, Built):
        clf = kind(**parameters).fit(X, y)
        clf.save(path)
        assert_same(kind.load(path), clf, X)


def test_what_is_not_fitted_has_no_file(teacher, student, path):
    for clf in (teacher(), student(), CrossFittedClassifier(student())):
        with pytest.raises(Exception, match=r"not (fitted|initialized)"):
            clf.save(path)
    with pytest.raises(Exception, match="built, but not fitted"):
        teacher(module__n_features_in=2, module__n_classes=2).initialize().save(path)
    assert not path.exists()


# --- foreign and hostile files ----------------------------------------------------------------------


def test_loading_imports_nothing_and_reads_no_pickle(teacher, table, path, tmp_path, monkeypatch):
    X, y = table
    (tmp_path / "evil.py").write_text("raise RuntimeError('I ran')")
    monkeypatch.syspath_prepend(tmp_path)
    clf = teacher().fit(X, y)
    clf.save(path)

    def infect(tensors, document):
        document["estimator"]["left_out"] = {"teacher": "evil.Net"}
        document["estimator"]["params"]["optimizer"] = {"class": "evil.Optimizer"}

    wanted = []
    real = builtins.__import__

    def noting(name, *args, **kwargs):
        wanted.append(name)
        return real(name, *args, **kwargs)

    def refused(*args, **kwargs):
        raise AssertionError("a pickle was read")

    assert_same(TeacherClassifier.load(path), clf, X)
    rewritten(path, infect)
    for module, name in ((pickle, "loads"), (pickle, "load"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refused)
    monkeypatch.setattr(builtins, "__import__", noting)
    monkeypatch.setattr(builtins, "eval", refused)
    with pytest.raises(ValueError, match=r"was not written by sk_ils: it lacks 'evil\.Optimizer'"):
        TeacherClassifier.load(path)
    assert not [name for name in wanted if "evil" in name]
    assert "evil" not in sys.modules


def test_other_files_are_refused_by_what_they_are(teacher, student, table, tmp_path):
    X, y = table
    clf = teacher().fit(X, y)
    one, two = student().fit(X, y), CrossFittedClassifier(student(), cv=2).fit(X, y)
    clf.save_params(tmp_path / "params")
    one.save(tmp_path / "student")
    two.save(tmp_path / "ensemble")
    safetensors.torch.save_file(clf.module_.state_dict(), tmp_path / "weights")
    torch.save(clf.module_.state_dict(), tmp_path / "torch")
    (tmp_path / "pickle").write_bytes(pickle.dumps(clf))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("Dear Sir or Madam, herewith you get the file")
    (tmp_path / "deep").write_bytes((10**5).to_bytes(8, "little") + b"[" * 10**5)
    for name, words in {
        "params": "the parameters of a network: build its estimator, and call load_params",
        "student": r"holds a InstanceSmoothedClassifier, not a TeacherClassifier",
        "ensemble": r"a CrossFittedClassifier: call CrossFittedClassifier\.load",
        "weights": "safetensors of another program",
        **dict.fromkeys(["torch", "pickle", "empty", "text", "deep"], "no file of parameters"),
    }.items():
        with pytest.raises(ValueError, match=f"{name} (holds|is) .*{words.partition(' ')[2]}"):
            TeacherClassifier.load(tmp_path / name)
    with pytest.raises(ValueError, match="a single estimator: call load of its class"):
        CrossFittedClassifier.load(tmp_path / "student")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        TeacherClassifier.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"it lacks 'temperature'"):
        teacher().load_params(tmp_path / "ensemble")


def test_load_params_takes_the_network_of_a_saved_estimator(teacher, table, path):
    X, y = table
    clf = teacher().fit(X, y)
    clf.save(path)
    new = teacher()
    new.load_params(path)
    assert_same(new, clf, X)


def test_a_file_of_a_newer_version_says_so(teacher, table, path):
    teacher().fit(*table).save(path)
    rewritten(path, lambda tensors, document: {**document, "version": 2})
    with pytest.raises(ValueError, match="written by a newer version of sk_ils"):
        TeacherClassifier.load(path)


def test_a_default_network_that_no_memory_holds_is_not_built(teacher, table, path):
    teacher().fit(*table).save(path)

    def grow(tensors, document):
        document["estimator"]["params"]["module__hidden_sizes"] = [10**9, 10**9]

    rewritten(path, grow)
    with pytest.raises(ValueError, match="holds another network than its parameters say"):
        TeacherClassifier.load(path)


def damaged(data, rng):
    """A file with one fault: flipped, cut, lost, doubled or foreign bytes."""
    start, stop = sorted(rng.integers(0, len(data) + 1, size=2).tolist())
    place = int(rng.integers(len(data)))
    if rng.random() < 0.5:  # the header, which is small, as often as the tensors
        place = int(rng.integers(8 + int.from_bytes(data[:8], "little")))
    few = rng.bytes(int(rng.integers(1, 20)))
    faults = [
        data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :],
        data[:place] + few + data[place + len(few) :],
        data[:place],
        data[:start] + data[stop:],
        data[:place] + few + data[place:],
        data + few,
        data[:start] + bytes(stop - start) + data[stop:],
        data[:stop] + data[start:],
    ]
    return faults[int(rng.integers(len(faults)))]


NASTY = [None, True, -1, 0, 2**70, 1e308, -0.5, "", "x", "torch.optim.SGD", [], [[]], {}, {"class": "x"}]
NASTY += [
    {"tuple": []},
    {"float": "nan"},
    {"rule": "ILS", "params": {"dict": {}}},
    ["a", 1],
    {"dict": {"a": 1}},
]


def lied(document, rng):
    """A document of which a random part is another one."""
    document = json.loads(json.dumps(document))
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(rng.integers(len(keys)))]
        inner = node[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.8:
            node = inner
            continue
        if rng.random() < 0.2 and isinstance(node, dict):
            del node[key]
        else:
            node[key] = NASTY[int(rng.integers(len(NASTY)))]
        return document


def small(student, kind):
    clf = student(max_epochs=1, module__hidden_sizes=(4,))
    return CrossFittedClassifier(clf, cv=2) if kind == "ensemble" else clf


@pytest.mark.parametrize("kind", ["estimator", "ensemble", "parameters"])
def test_a_damaged_file_is_an_error_and_never_another_network(student, table, path, kind):
    X, y = table
    clf = small(student, kind).fit(X, y)
    if kind == "parameters":
        clf.save_params(path)

        def load():
            new = small(student, kind)
            new.load_params(path)
            return new
    else:
        clf.save(path)

        def load():
            return type(clf).load(path)

    data = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    while n_refused < 1000:
        found = damaged(data, rng)
        if found == data:
            continue
        path.write_bytes(found)
        with pytest.raises(ValueError, match=r"file (is|holds) "):
            load()
        n_refused += 1
    path.write_bytes(data)
    assert_same(load(), clf, X)


@pytest.mark.filterwarnings("ignore:.* does not hold", "ignore:The device=", "ignore:.*holds no temperature")
@pytest.mark.parametrize("kind", ["estimator", "ensemble"])
def test_a_file_that_lies_is_an_error_or_an_estimator(student, table, path, kind):
    """With a right checksum, as somebody can write it who means harm."""
    X, y = table
    clf = small(student, kind).fit(X, y)
    clf.save(path)
    tensors, document = unpack(path.read_bytes(), "file")
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(300):
        path.write_bytes(pack(tensors, lied(document, rng)))
        try:
            new = type(clf).load(path)
        except ValueError as error:
            assert "file" in str(error)  # noqa: PT017
            n_refused += 1
        else:
            assert new.predict_proba(X).shape == (240, 3)
    assert n_refused > 100


# --- writing ------------------------------------------------------------------------------------------


@on_posix
@pytest.mark.parametrize("method", ["save", "save_params"])
@pytest.mark.filterwarnings("ignore:Could not save parameters")
def test_a_file_is_replaced_as_a_whole_or_not_at_all(teacher, table, path, method, monkeypatch):
    clf = teacher(max_epochs=1).fit(*table)
    path.write_bytes(b"the old file")
    path.chmod(0o640)

    def full(*args):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
                getattr(clf, method)(path)
        assert path.read_bytes() == b"the old file"
        assert os.listdir(path.parent) == ["file"]
    getattr(clf, method)(path)
    assert path.read_bytes() != b"the old file"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(path.parent) == ["file"]


def test_a_new_file_has_the_rights_that_any_new_file_has(teacher, table, path):
    teacher(max_epochs=1).fit(*table).save(path)
    other = path.with_name("other")
    other.write_bytes(b"")
    assert path.stat().st_mode == other.stat().st_mode


@on_posix
def test_a_link_stays_a_link_and_a_pipe_a_pipe(teacher, table, path):
    clf = teacher(max_epochs=1).fit(*table)
    link, pipe = path.with_name("link"), path.with_name("pipe")
    link.symlink_to(path)
    clf.save(link)
    assert link.is_symlink()
    assert_same(TeacherClassifier.load(path), clf, table[0])
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        clf.save(pipe)
        assert unpack(os.read(reader, 1 << 20), "pipe")[1] == unpack(path.read_bytes(), "file")[1]
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("name", "kind"), [("no/folder/file", FileNotFoundError), ("", IsADirectoryError)], ids=["none", "folder"]
)
def test_a_path_that_cannot_be_written_is_named(teacher, table, tmp_path, name, kind):
    clf = teacher(max_epochs=1).fit(*table)
    with pytest.raises(kind, match=re.escape(str(tmp_path / name))):
        clf.save(tmp_path / name)
    assert os.listdir(tmp_path) == []
    with pytest.raises(TypeError, match=r"os\.PathLike"):
        clf.save(None)


# --- trimming ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_parameter", [False, True])
def test_trimming_drops_the_teacher_from_pickles(student, teacher, table, as_parameter):
    X, y = table
    wide = teacher(module__hidden_sizes=(300,), max_epochs=1)
    clf = student(teacher=FrozenEstimator(wide.fit(X, y)) if as_parameter else wide, max_epochs=1).fit(X, y)
    proba, size = clf.predict_proba(X), len(pickle.dumps(clf))
    clf.trim_for_prediction()
    data = pickle.dumps(clf)
    assert len(data) < size / 3
    np.testing.assert_array_equal(clf.predict_proba(X), proba)
    np.testing.assert_array_equal(pickle.loads(data).predict_proba(X), proba)
    assert clf.teacher_ is clf.teacher is None
