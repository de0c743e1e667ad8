"""One network in two processes, by skorch's AccelerateMixin: equal to one process.

The test starts this file as a script, by torchrun; each process writes what it predicts.
"""

import contextlib
import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from skorch.callbacks import Callback, Checkpoint, GradientNormClipping
from skorch.exceptions import DeviceWarning
from skorch.hf import AccelerateMixin
from torch import nn
from torch.utils.data import TensorDataset

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils._samples import Share
from sk_ils.batches import Targets

# 194 rows are trained on, so that the last batch of 32 has two: one for each process, and one that
# fills up. 49 are held out.
X, Y = make_classification(
    n_samples=243, n_features=6, n_informative=4, n_classes=3, flip_y=0.1, random_state=0
)
NAMES = np.array(["ant", "bee", "cat"])[Y]
WEIGHT = np.random.default_rng(0).uniform(0, 3, len(Y))
SMALL = {
    "max_epochs": 8,
    "lr": 0.1,
    "batch_size": 32,
    "patience": 2,
    "random_state": 0,
    "dtype": "float64",
    "module__hidden_sizes": (16,),
}


class AcceleratedTeacher(AccelerateMixin, TeacherClassifier):
    """As skorch documents it."""


class AcceleratedStudent(AccelerateMixin, InstanceSmoothedClassifier):
    """As skorch documents it."""


class ThreeOutputs(nn.Module):
    """Logits, two numbers for each row, and three for a batch; counts the rows of its training."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.linear = nn.Linear(n_features_in, n_classes)
        self.n_seen = 0

    def forward(self, X):
        self.n_seen += len(X) if self.training else 0
        return self.linear(X), X[:, :2], torch.arange(3)


class Normed(nn.Module):
    """A network with running statistics."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(n_features_in), nn.Linear(n_features_in, n_classes))

    def forward(self, X):
        return self.layers(X)


# --- what is equal in one process and in two -------------------------------------------------------


def _fitted(estimator, X=X, y=NAMES, **metadata):
    return estimator.fit(X, y, **metadata)


def _dataset(student):
    data = TensorDataset(torch.from_numpy(X).float(), torch.from_numpy(Y))
    return student(smoothing="ils", iterator_train__num_workers=0).fit(data)


def _partial_fits(student):
    clf = student(smoothing="ils", max_epochs=3)
    clf.partial_fit(X[:100], NAMES[:100], classes=np.unique(NAMES))
    return clf.partial_fit(X[100:], NAMES[100:])


def _warm_start(student):
    clf = student(smoothing="none", warm_start=True, max_epochs=2)
    return clf.fit(X, NAMES).fit(X, NAMES)


def _frozen(student, teacher):
    return student(teacher=FrozenEstimator(teacher(max_epochs=2).fit(X, NAMES)), max_epochs=2).fit(X, NAMES)


def _searched(student):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one by one, and at the edge of the grid
        search = SmoothingSearchCV(student(max_epochs=2), {"smoothing": ["none", "ils"]}, cv=2)
        return search.fit(X, NAMES).best_estimator_


CASES = {
    "teacher": lambda student, teacher: _fitted(teacher()),
    "none": lambda student, teacher: _fitted(student(smoothing="none")),
    "ils": lambda student, teacher: _fitted(student(smoothing="ils")),
    "ils2": lambda student, teacher: _fitted(student(smoothing="ils2")),
    "weights": lambda student, teacher: _fitted(student(smoothing="ils"), sample_weight=WEIGHT),
    "bootstrap": lambda student, teacher: _fitted(student(smoothing="bootstrap")),
    "online": lambda student, teacher: _fitted(student(smoothing="ils", teacher_mode="online")),
    "out of fold": lambda student, teacher: _fitted(student(smoothing="ils", teacher_cv=2, max_epochs=2)),
    "forest": lambda student, teacher: _fitted(
        student(smoothing="ils", teacher=RandomForestClassifier(5), max_epochs=2)
    ),
    "frozen": _frozen,
    "dataset": lambda student, teacher: _dataset(student),
    "one row a batch": lambda student, teacher: _fitted(
        teacher(batch_size=1, max_epochs=1, train_split=None), X[:30], NAMES[:30]
    ),
    "clipped": lambda student, teacher: _fitted(
        student(callbacks=[GradientNormClipping(0.1)], smoothing="none", optimizer=torch.optim.SGD)
    ),
    "partial fit": lambda student, teacher: _partial_fits(student),
    "warm start": lambda student, teacher: _warm_start(student),
    "search": lambda student, teacher: _searched(student),
}


def outcome(clf):
    """What must not depend on the number of processes."""
    history = clf.history
    losses = [history[:, name] for name in ("train_loss", "valid_loss") if name in history[0]]
    teacher = getattr(clf, "teacher_temperature_", 1.0)
    return {
        "proba": clf.predict_proba(X),
        "one row": clf.predict_proba(X[:1]),
        "temperature": [clf.temperature_, teacher],
        "losses": losses,
        "batches": [row.get("train_batch_size", 0) for epoch in history for row in epoch["batches"]],
    }


def constructors(**parameters):
    """Return makers of plain estimators, or of accelerated ones."""
    if "accelerator" not in parameters:
        kinds = InstanceSmoothedClassifier, TeacherClassifier
        parameters = {"device": "cpu"}
    else:
        kinds = AcceleratedStudent, AcceleratedTeacher
    return [lambda kind=kind, **own: kind(**{**SMALL, **parameters, **own}) for kind in kinds]


# --- what only several processes can tell ----------------------------------------------------------


class OtherStep(TeacherClassifier):
    """A training step that the mixin stands before."""

    def train_step_single(self, batch, **fit_params):
        return super().train_step_single(batch, **fit_params)


class AcceleratedOtherStep(AccelerateMixin, OtherStep):
    """The mixin in the wrong place."""


class BadInOneProcess(TensorDataset):
    """Has an item that cannot be read, which is met by one process only."""

    def __getitem__(self, index):
        if index == 101 and torch.distributed.get_rank() == 1:
            raise OSError("the file of item 101 cannot be read")
        return super().__getitem__(index)


class StopsInOneProcess(Callback):
    """As a clock could, which differs between processes."""

    def on_epoch_end(self, net, **kwargs):
        if net.accelerator.process_index == 1 and len(net.history) == 2:
            raise KeyboardInterrupt


def run_script(folder):
    """Fit every case in this process, with the others."""
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    student, teacher = constructors(accelerator=accelerator)
    found = {name: outcome(case(student, teacher)) for name, case in CASES.items()}
    facts = {"world": accelerator.num_processes}

    clf = student(smoothing="ils", random_state=None, max_epochs=2).fit(X, NAMES)
    facts["unseeded"] = clf.predict_proba(X)
    facts["same accelerator"] = clone(clf).accelerator is accelerator is clf.teacher_.accelerator
    facts["unwrapped"] = [type(net.module_).__name__ for net in (clf, clf.teacher_)]
    clf.save_params(folder / "network.safetensors")
    accelerator.wait_for_everyone()
    loaded = student()
    loaded.load_params(folder / "network.safetensors")
    facts["loaded"] = loaded.predict_proba(X)
    facts["estimator"] = pickle.dumps(clf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skorch's, of a device that was not specified
        facts["pickled"] = pickle.loads(facts["estimator"]).predict_proba(X)

    normed = AcceleratedTeacher(
        Normed, accelerator=accelerator, random_state=0, max_epochs=2, batch_size=40
    ).fit(X, NAMES)
    facts["normed"] = [normed.history[:, "valid_loss"], normed.predict_proba(X)]
    facts["statistics"] = normed.module_.layers[0].running_mean.numpy()

    several = AcceleratedTeacher(
        ThreeOutputs, accelerator=accelerator, random_state=0, max_epochs=1, batch_size=32
    ).fit(X, NAMES)
    facts["rows seen"] = several.module_.n_seen
    facts["outputs"] = [output.numpy() for output in several.forward(X)]

    shown = io.StringIO()
    with contextlib.redirect_stderr(shown):
        teacher(max_epochs=1, verbose=1).fit(X, NAMES)
    facts["bar"] = shown.getvalue()
    stopped = teacher(callbacks=[StopsInOneProcess()], patience=None).fit(X, NAMES)
    facts["epochs"] = len(stopped.history)
    kept = teacher(callbacks=[Checkpoint(dirname=folder / "kept")], max_epochs=2).fit(X, NAMES)
    facts["checkpoint"] = kept.predict_proba(X)
    facts["scored"] = cross_val_predict(teacher(max_epochs=1), X, NAMES, cv=2)

    other_step = AcceleratedOtherStep(accelerator=accelerator)
    for name, act in {
        "other data": lambda: teacher().fit(X[: 200 + rank], NAMES[: 200 + rank]),
        "other columns": lambda: teacher().fit(X[:, : 5 + rank], NAMES),
        "other labels": lambda: teacher().fit(X, NAMES if rank else NAMES[::-1]),
        "memory": lambda: student(memory=str(folder)).fit(X, NAMES),
        "checkpoint=": lambda: student(checkpoint=folder / "progress").fit(X, NAMES),
        "other step": lambda: other_step.fit(X, NAMES),
    }.items():
        try:
            act()
        except (TypeError, ValueError) as error:
            facts[name] = str(error)
    with open(folder / f"{rank}.pickle", "wb") as file:
        pickle.dump((found, facts), file)

    unreadable = BadInOneProcess(torch.from_numpy(X).float(), torch.from_numpy(Y))
    # Samples are in order, so that item 101 is the second process's.
    teacher(train_split=None, iterator_train__shuffle=False).fit(unreadable, Y)


# --- the tests -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """What two processes have written, and how they ended."""
    folder = tmp_path_factory.mktemp("processes")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*torchrun, __file__, folder], capture_output=True, text=True, timeout=300, check=False
    )
    files = [folder / "0.pickle", folder / "1.pickle"]
    assert all(file.exists() for file in files), done.stderr
    return [pickle.loads(file.read_bytes()) for file in files], done


@pytest.fixture(scope="module")
def facts(launched):
    """What the first process and the second one have found besides the cases."""
    (first, second), _ = launched
    return first[1], second[1]


@pytest.mark.parametrize("name", CASES)
def test_two_processes_equal_one(launched, name):
    expected = outcome(CASES[name](*constructors()))
    for found, _ in launched[0]:
        for part, value in expected.items():
            np.testing.assert_allclose(found[name][part], value, rtol=0, atol=1e-10, err_msg=part)


def test_some_case_stops_early(launched):
    found = launched[0][0][0]
    assert min(len(found[name]["losses"][0]) for name in ("none", "ils", "ils2")) < SMALL["max_epochs"]


def test_each_process_takes_half_of_the_rows(facts):
    # 6 batches of 32 rows and one of 2, in which a second row fills up.
    assert [mine["rows seen"] for mine in facts] == [6 * 16 + 2] * 2
    assert [mine["world"] for mine in facts] == [2, 2]


@pytest.mark.parametrize(
    "name", ["unseeded", "loaded", "pickled", "normed", "statistics", "outputs", "checkpoint", "scored"]
)
def test_processes_agree(facts, name):
    for mine, other in zip(facts[0][name], facts[1][name], strict=True):
        np.testing.assert_array_equal(mine, other)


def test_files_and_copies_predict_the_same(facts):
    np.testing.assert_array_equal(facts[0]["loaded"], facts[0]["unseeded"])
    np.testing.assert_array_equal(facts[0]["pickled"], facts[0]["unseeded"])


def test_outputs_of_a_module_are_gathered_row_by_row(facts):
    _, numbers, of_batches = facts[0]["outputs"]
    np.testing.assert_array_equal(numbers, X[:, :2].astype(np.float32))
    assert of_batches.tolist() == [0, 1, 2] * 8


class FromScript(pickle.Unpickler):
    """Finds here what the script calls __main__."""

    def find_class(self, module, name):
        return globals()[name] if module == "__main__" else super().find_class(module, name)


def test_a_pickle_predicts_in_a_process_of_its_own(facts):
    with pytest.warns(DeviceWarning, match="requested device was not specified"):
        clf = FromScript(io.BytesIO(facts[0]["estimator"])).load()
    np.testing.assert_allclose(clf.predict_proba(X), facts[0]["unseeded"], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="that of process 0 of 2, but this is another process"):
        clf.fit(X, NAMES)


def test_teacher_and_copies_have_the_same_accelerator(facts):
    assert all(mine["same accelerator"] for mine in facts)
    assert facts[0]["unwrapped"] == ["MLP", "MLP"]


def test_a_callback_that_stops_in_one_process_stops_all(facts):
    assert [mine["epochs"] for mine in facts] == [2, 2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other data", "different data"),
        ("other columns", "different data"),
        ("other labels", "different data"),
        ("memory", "memory= is for one process"),
        ("checkpoint=", "checkpoint= keeps a network that one process trains"),
        ("other step", "AccelerateMixin never calls the train_step_single"),
    ],
)
def test_refused_in_every_process(facts, name, message):
    assert all(message in mine[name] for mine in facts)


def test_an_error_in_one_process_ends_the_other(launched):
    done = launched[1]
    assert done.returncode != 0
    assert "the file of item 101 cannot be read" in done.stderr


def test_only_the_first_process_shows_progress(launched, facts):
    assert launched[1].stdout == ""
    assert "epoch 1/1" in facts[0]["bar"]
    assert facts[1]["bar"] == ""


@pytest.mark.parametrize("n_rows", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_shares_of_a_batch(n_rows, world, weighted):
    loss = torch.arange(1.0, n_rows + 1, dtype=torch.float64) ** 2
    weight = torch.arange(0.5, n_rows, dtype=torch.float64) if weighted else None
    whole = Targets(torch.arange(n_rows), None, weight)
    shares = [Share(rank, world) for rank in range(world)]

    means, rows = [], []
    for share in shares:
        own = share.targets(whole)
        rows.append(own.y_encoded)
        means.append((own.weight * loss[own.y_encoded]).sum() / own.whole.weight)
    mean = (loss * (1 if weight is None else weight)).sum() / (n_rows if weight is None else weight.sum())
    assert torch.stack(means).mean().item() == pytest.approx(mean.item(), rel=1e-12)
    # Equally many, no row twice in one process, and the batch in order when they take turns.
    together = torch.stack(rows)
    assert all(len(set(part.tolist())) == len(part) >= min(n_rows, 2) for part in rows)
    assert together.T.flatten()[:n_rows].tolist() == list(range(n_rows))


def test_other_kinds_of_distribution_are_refused(monkeypatch):
    accelerator = Accelerator(cpu=True)
    clf = AcceleratedTeacher(accelerator=accelerator)
    kind = type("Kind", (), {"value": "FSDP"})
    monkeypatch.setattr(Accelerator, "distributed_type", property(lambda self: kind))
    with pytest.raises(ValueError, match="by FSDP, which splits a network"):
        clf.fit(X, NAMES)


if __name__ == "__main__":
    run_script(Path(sys.argv[1]))


@pytest.mark.usefixtures("forgetful_accelerate")
def test_accelerate_brings_its_mixed_precision_along():
    small = {**SMALL, "dtype": "float32"}
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    half = AcceleratedStudent(accelerator=accelerator, **small).fit(X, NAMES)
    full = InstanceSmoothedClassifier(**small).fit(X, NAMES)
    weights = [next(net.module_.parameters()) for net in (half, full)]
    assert {weight.dtype for weight in weights} == {torch.float32}
    assert not torch.equal(*weights)
    losses = [log_loss(NAMES, net.predict_proba(X)) for net in (half, full)]
    assert losses[0] == pytest.approx(losses[1], abs=0.1)
