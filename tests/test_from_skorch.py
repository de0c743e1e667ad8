"""Each line of docs/coming_from/skorch.md, by the name that stands in its brackets."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from scipy.special import softmax
from sklearn.base import clone
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    TrainEndCheckpoint,
)
from skorch.dataset import ValidSplit
from skorch.exceptions import DeviceWarning
from skorch.helper import predefined_split
from skorch.hf import AccelerateMixin
from torch import nn
from torch.utils.data import TensorDataset, default_collate

from sk_ils import TeacherClassifier
from sk_ils.batches import Targets
from sk_ils.classifiers import NonFiniteLossError
from sk_ils.temperature import fit_temperature

PAGE = Path(__file__).parents[1] / "docs" / "coming_from" / "skorch.md"


class Net(nn.Module):
    def __init__(self, width=8, n_outputs=3):
        super().__init__()
        self.hidden, self.out = nn.Linear(6, width), nn.Linear(width, n_outputs)

    def forward(self, X):
        return self.out(torch.relu(self.hidden(X)))


@pytest.fixture
def net():
    """Return a constructor of networks with a module as skorch's users write it."""

    def make(module=Net, kind=TeacherClassifier, **parameters):
        defaults = {"max_epochs": 2, "lr": 0.05, "batch_size": 32, "random_state": 0, "device": "cpu"}
        return kind(module, **(defaults | parameters))

    return make


def items_of(page):
    """Return the list items of the page, each as one line."""
    text = re.sub(r"\n  (?=\S)", " ", page.read_text())
    return [line for line in text.splitlines() if line.startswith("- ")]


def test_every_line_of_the_page_has_its_test_and_every_test_its_line():
    names = [re.search(r"\((\w+)\)\.$", item) for item in items_of(PAGE)]
    assert all(names), "a line names no test"
    tests = {name for name in globals() if name.startswith("test_")}
    tests = {name for name in tests if not name.startswith("test_every_")}
    assert sorted(f"test_{name[1]}" for name in names) == sorted(tests)


def test_every_name_in_the_table_of_differences_is_a_line_of_the_page():
    table = PAGE.parents[2] / "tests" / "skorch_differences.md"
    named = set(re.findall(r"\((\w+)\) \|$", table.read_text(), flags=re.MULTILINE))
    assert named
    assert named <= set(re.findall(r"\((\w+)\)\.$", "\n".join(items_of(PAGE)), flags=re.MULTILINE))


# --- the same -------------------------------------------------------------------------------------


def test_parameters_of_parts(net, table):
    clf = net(module__width=5, optimizer__weight_decay=0.1, iterator_train__drop_last=True)
    clf.set_params(callbacks__print_log=None).fit(*table)
    assert clf.module_.hidden.out_features == 5
    assert clf.optimizer_.param_groups[0]["weight_decay"] == 0.1
    assert clf.history[-1, "train_batch_count"] == 192 // 32
    assert clone(clf).set_params(module__width=4).fit(*table).module_.hidden.out_features == 4


def test_a_module_instance(net, table):
    with torch.random.fork_rng():
        module = Net(width=5)
    before = module.hidden.weight.clone()
    clf = net(module).fit(*table)
    assert clf.module_.hidden.out_features == 5
    assert torch.equal(module.hidden.weight, before)
    with pytest.warns(UserWarning, match=r"module__width is set.*without the instance's weights"):
        other = net(module, module__width=4).fit(*table)
    assert other.module_.hidden.out_features == 4


def test_callbacks(net, table):
    hooks = [
        "on_train_begin",
        "on_epoch_begin",
        "on_batch_begin",
        "on_grad_computed",
        "on_batch_end",
        "on_epoch_end",
    ]
    hooks.append("on_train_end")
    seen = []

    def noting(hook):
        return lambda self, net, **kwargs: seen.append(hook)

    watcher = type("Watcher", (Callback,), {hook: noting(hook) for hook in hooks})
    net(callbacks=[("watcher", watcher)], max_epochs=1, train_split=None, batch_size=-1).fit(*table)
    assert seen == hooks
    seen.clear()
    net(callbacks=[("watcher", watcher)], callbacks__watcher=None).fit(*table)
    assert not seen


@pytest.mark.parametrize("use_caching", [True, False])
def test_scores_of_epochs(net, table, use_caching):
    scoring = EpochScoring("accuracy", name="own", lower_is_better=False, use_caching=use_caching)
    clf = net(callbacks=[scoring]).fit(*table)
    assert_allclose(clf.history[:, "own"], clf.history[:, "valid_acc"])


def test_early_stopping(net, table):
    stopping = EarlyStopping(patience=2, threshold=1.0, threshold_mode="abs")
    schedule = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    clf = net(callbacks=[stopping, schedule], max_epochs=9).fit(*table)
    assert len(clf.history) == 3
    assert clf.optimizer_.param_groups[0]["lr"] < 0.05


def test_history(net, table):
    clf = net().fit(*table)
    losses, sizes = zip(*clf.history[-1, "batches", :6, ("train_loss", "train_batch_size")], strict=True)
    assert clf.history[-1, "train_loss"] == pytest.approx(np.average(losses, weights=sizes))
    assert clf.history[:, "epoch"] == [1, 2]
    assert {"dur", "valid_loss", "valid_acc", "train_batch_count", "valid_batch_count"} <= set(
        clf.history[-1]
    )


def test_partial_fit(net, table):
    clf = net().fit(*table)
    assert len(clf.partial_fit(*table).history) == 4
    assert len(clf.partial_fit(*table, epochs=3).history) == 7
    assert len(clf.partial_fit(*table, epochs=0).history) == 7
    with pytest.raises(ValueError, match="epochs must be"):
        clf.partial_fit(*table, epochs=-1)
    assert len(clf.set_params(warm_start=True).fit(*table).history) == 9
    first = net().partial_fit(*table, classes=np.unique(table[1]), epochs=1)
    assert len(first.history) == 1


def test_train_step(net, table):
    steps = []

    class Watched(TeacherClassifier):
        def train_step_single(self, batch, **fit_params):
            steps.append(len(batch[0]))
            return super().train_step_single(batch, **fit_params)

    net(kind=Watched, max_epochs=1).fit(*table)
    assert steps == [32] * 6
    lbfgs = net(optimizer=torch.optim.LBFGS, batch_size=-1, lr=0.5, max_epochs=3, train_split=None).fit(
        *table
    )
    assert lbfgs.history[-1, "train_loss"] < lbfgs.history[0, "train_loss"]

    class Two(TeacherClassifier):
        def initialize_optimizer(self, *args, **kwargs):
            self.optimizer_ = torch.optim.SGD(self.module_.hidden.parameters(), lr=0.1)
            self.optimizer2_ = torch.optim.Adam(self.module_.out.parameters(), lr=0.1)
            return self

        def train_step(self, batch, **fit_params):
            self.optimizer2_.zero_grad()
            step = super().train_step(batch, **fit_params)
            self.optimizer2_.step()
            return step

    clf = net(kind=Two, max_epochs=0).fit(*table)
    before = [weight.clone() for weight in clf.module_.parameters()]
    clf.partial_fit(*table, epochs=1)
    assert not any(map(torch.equal, before, clf.module_.parameters()))


def test_a_second_module(net, table):
    class Two(TeacherClassifier):
        def initialize_module(self):
            super().initialize_module()
            self.encoder_ = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5))
            return self

        def infer(self, x, **fit_params):
            return super().infer(self.encoder_(x), **fit_params)

    clf = net(kind=Two).fit(*table)
    assert_array_equal(clf.predict_proba(table[0]), clf.predict_proba(table[0]))
    assert len(clf.optimizer_.param_groups[0]["params"]) == 6

    class Penalised(TeacherClassifier):
        def initialize_criterion(self):
            super().initialize_criterion()
            self.penalty_ = nn.Linear(3, 1)
            return self

        def get_loss(self, y_pred, y_true, X=None, training=False):
            loss = super().get_loss(y_pred, y_true, X=X, training=training)
            return loss + self.penalty_(y_pred).square().mean()

    clf = net(kind=Penalised).fit(*table)
    assert len(clf.optimizer_.param_groups[0]["params"]) == 6
    assert clf.history[-1, "train_loss"] < clf.history[0, "train_loss"]


def test_subclasses(net, table):
    class Longer(TeacherClassifier):
        def __init__(self, *args, factor=2, **kwargs):
            super().__init__(*args, **kwargs)
            self.factor = factor

    clf = clone(net(kind=Longer, factor=3)).fit(*table)
    assert (clf.factor, clf.lr) == (3, 0.05)


def test_forward(net, table):
    class Two(Net):
        def forward(self, X):
            return super().forward(X), X

    X = table[0].astype(np.float32)
    clf = net(Two).fit(*table)
    logits, inputs = clf.forward(X)
    assert_allclose(inputs, X)
    assert_allclose(torch.cat([batch[0] for batch in clf.forward_iter(X)]), logits)
    with torch.no_grad():
        assert_allclose(clf.infer(torch.from_numpy(X))[0], logits, rtol=1e-4, atol=1e-5)


def test_skorchs_splits(net, table):
    X, y = table[0].astype(np.float32), table[1]
    assert net(train_split=ValidSplit(5)).fit(X, y).history[-1, "batches", 0, "train_batch_size"] == 32
    valid = TensorDataset(
        torch.from_numpy(X[:40]), torch.from_numpy(np.unique(y, return_inverse=True)[1][:40])
    )
    codes = np.unique(y, return_inverse=True)[1]
    clf = net(train_split=predefined_split(valid)).fit(X, codes)
    assert sum(row.get("valid_batch_size", 0) for row in clf.history[-1, "batches"]) == 40


def test_datasets(net, table):
    X, codes = torch.from_numpy(table[0]).float(), np.unique(table[1], return_inverse=True)[1]
    sizes = []

    def collate(items):
        sizes.append(len(items))
        return default_collate(items)

    data = TensorDataset(X, torch.from_numpy(codes))
    clf = net(iterator_train__collate_fn=collate, train_split=None, max_epochs=1).fit(data)
    assert sum(sizes) == 240
    assert clf.predict(data).shape == (240,)
    assert clf.classes_.tolist() == [0, 1, 2]


def test_saving(net, table, tmp_path):
    clf = net(temperature_scaling=False).fit(*table)
    clf.save_params(f_params=tmp_path / "weights.pt")
    other = net(temperature_scaling=False, random_state=1).fit(*table)
    other.load_params(f_params=tmp_path / "weights.pt")
    expected = clf.predict_proba(table[0])
    assert_array_equal(other.predict_proba(table[0]), expected)
    assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(table[0]), expected)


def test_checkpoints(net, table, tmp_path):
    checkpoint = Checkpoint(dirname=str(tmp_path))
    net(callbacks=[checkpoint, TrainEndCheckpoint(dirname=str(tmp_path))]).fit(*table)
    assert {"params.pt", "train_end_params.pt", "history.json"} <= {path.name for path in tmp_path.iterdir()}
    again = net(callbacks=[LoadInitState(checkpoint)]).fit(*table)
    assert len(again.history) > len(net().fit(*table).history)


def test_input_shapes(net, table):
    class Wide(nn.Linear):
        def __init__(self, input_dim=1):
            super().__init__(input_dim, 3)

    clf = net(module=Wide, callbacks=[InputShapeSetter()]).fit(*table)
    assert clf.module_.in_features == table[0].shape[1]


def test_initialize(net, table):
    clf = net(module=nn.Linear, module__in_features=6, module__out_features=3).initialize()
    weight = clf.module_.weight.detach().clone()
    clf.set_params(max_epochs=0).partial_fit(*table, classes=np.unique(table[1]))
    assert torch.equal(clf.module_.weight, weight)


def test_trimming(net, table):
    clf = net().fit(*table)
    expected = clf.predict_proba(table[0])
    clf.trim_for_prediction()
    assert clf.optimizer_ is None
    assert_array_equal(clf.predict_proba(table[0]), expected)


class Accelerated(AccelerateMixin, TeacherClassifier):
    """As skorch documents it."""


def test_accelerate(net, table, tmp_path):
    accelerator = pytest.importorskip("accelerate").Accelerator(cpu=True)

    clf = net(kind=Accelerated, accelerator=accelerator, device=None).fit(*table)
    expected = net().fit(*table).predict_proba(table[0])
    clf.save_params(tmp_path / "weights.safetensors")
    loaded = clone(clf)
    loaded.load_params(tmp_path / "weights.safetensors")
    with pytest.warns(DeviceWarning, match="requested device was not specified"):
        copy = pickle.loads(pickle.dumps(clf))
    for same in (clf, loaded, copy):
        assert_array_equal(same.predict_proba(table[0]), expected)


# --- different on purpose -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["criterion", "classes", "dataset", "predict_nonlinearity"])
def test_no_criterion(net, name):
    for act in (lambda: net(**{name: None}), lambda: net().set_params(**{name: None})):
        with pytest.raises(TypeError, match="has no parameter"):
            act()


def test_logits(net, table):
    class LogSoftmax(Net):
        def forward(self, X):
            return super().forward(X).log_softmax(dim=1)

    plain, logged = (
        net(module, dtype="float64").fit(*table).predict_proba(table[0]) for module in (Net, LogSoftmax)
    )
    assert_allclose(logged, plain, rtol=1e-6)
    assert_allclose(net(temperature_scaling=False).fit(*table).predict_proba(table[0]).sum(axis=1), 1)


def test_labels(net, table):
    clf = net().fit(*table)
    assert clf.classes_.tolist() == ["ant", "bee", "cat"]
    assert set(clf.predict(table[0])) <= set(clf.classes_)


def test_dense_input(net, table):
    X, y = table
    for refused in ({"X": X}, csr_matrix(X)):
        with pytest.raises((TypeError, ValueError)):
            net().fit(refused, y)


def test_no_hold_out(net, table):
    X, y = table
    assert "valid_loss" not in net(train_split=None).fit(X, y).history[0]
    with pytest.warns(UserWarning, match="Only 4 of 20 rows would be held out"):
        assert "valid_loss" not in net().fit(X[:20], y[:20]).history[0]
    with pytest.raises(ValueError, match="train_split"):
        net(train_split=False).fit(X, y)


def test_classes_of_partial_fit(net, table):
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        net().partial_fit(*table)
    clf = (
        net(module__n_outputs=4).partial_fit(*table, classes=["ant", "bee", "cat", "dog"]).partial_fit(*table)
    )
    assert clf.predict_proba(table[0]).shape == (240, 4)


def test_dtype(net, table):
    assert table[0].dtype == np.float64
    assert net().fit(*table).module_.hidden.weight.dtype == torch.float32
    assert net(dtype="float64").fit(*table).module_.hidden.weight.dtype == torch.float64
    seen = []

    class Whole(Net):
        def forward(self, X):
            seen.append(X.dtype)
            return super().forward(X.float())

    net(Whole, dtype=None, max_epochs=1).fit(table[0].round().astype(np.int64), table[1])
    assert set(seen) == {torch.int64}


def test_shuffling(net, table):
    firsts = {}
    for shuffle in (True, False):
        seen = firsts[shuffle] = []

        class Watched(Net):
            def forward(self, X, seen=seen):
                if self.training:
                    seen.append(X[0, 0].item())
                return super().forward(X)

        parameters = {} if shuffle else {"iterator_train__shuffle": False}
        net(Watched, batch_size=-1, train_split=None, **parameters).fit(*table)
    assert firsts[False] == [np.float32(table[0][0, 0])] * 2
    assert len({*firsts[True], firsts[False][0]}) == 3


def test_train_split(net, table):
    default, other = TeacherClassifier(), net(random_state=1)
    assert default.train_split == 0.2
    n_valid = [sum(row.get("valid_batch_size", 0) for row in net().fit(*table).history[-1, "batches"])]
    assert n_valid == [48]
    assert net().fit(*table).history[0, "valid_loss"] != other.fit(*table).history[0, "valid_loss"]


def test_random_state(net, table):
    before = torch.get_rng_state()
    results = []
    with torch.random.fork_rng():
        for seed in (1, 2):
            torch.manual_seed(seed)
            results.append(net().fit(*table).predict_proba(table[0]))
    assert_array_equal(*results)
    assert torch.equal(before, torch.get_rng_state())


def test_defaults():
    parameters = TeacherClassifier().get_params(deep=False)
    expected = {"optimizer": torch.optim.AdamW, "lr": 1e-3, "max_epochs": 100, "verbose": 0, "device": "auto"}
    assert expected.items() <= parameters.items()


def test_verbosity(net, table, capsys):
    net(verbose=1).fit(*table)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "epoch 2/2" in captured.err
    net(verbose=2).fit(*table)
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == [
        "teacher",
        "epoch",
        "-------",
        "1",
        "2",
    ]
    assert captured.err == ""


def early_stopping(load_best):
    """Return a callback whose threshold takes the first epoch for the best."""
    return EarlyStopping(patience=5, threshold=1.0, threshold_mode="abs", load_best=load_best)


def test_best_epoch(net, table):
    plain = net(max_epochs=5).fit(*table)
    losses = plain.history[:, "valid_loss"]
    assert np.argmin(losses) > 0
    stopped, loaded = (
        net(max_epochs=5, callbacks=[early_stopping(best)]).fit(*table) for best in (False, True)
    )
    first = net(max_epochs=1).fit(*table)
    assert_array_equal(stopped.predict_proba(table[0]), plain.predict_proba(table[0]))
    assert_array_equal(loaded.predict_proba(table[0]), first.predict_proba(table[0]))


@pytest.mark.parametrize("load_best", [True, False])
def test_temperature_of_the_end(net, table, load_best):
    X, codes = torch.from_numpy(table[0]).float(), np.unique(table[1], return_inverse=True)[1]
    split = predefined_split(TensorDataset(X[:80], torch.from_numpy(codes[:80])))
    clf = net(max_epochs=5, train_split=split, callbacks=[early_stopping(load_best)]).fit(X[80:], codes[80:])
    assert clf.temperature_ == pytest.approx(
        fit_temperature(clf.forward(X[:80]).numpy(), codes[:80]), rel=1e-3
    )


def test_temperature(net, table):
    clf = net().fit(*table)
    logits = clf.forward(table[0]).numpy().astype(np.float64)
    assert clf.temperature_ != 1
    assert_allclose(clf.predict_proba(table[0]), softmax(logits / clf.temperature_, axis=1))
    plain = net(temperature_scaling=False).fit(*table)
    assert_allclose(plain.predict_proba(table[0]), softmax(logits, axis=1))
    assert plain.predict_proba(table[0]).dtype == np.float64


def test_log_probabilities(net, table):
    clf = net().fit(*table)
    expected = np.log(clf.predict_proba(table[0]))
    assert_allclose(clf.predict_log_proba(table[0]), expected)
    assert_allclose(clf.decision_function(table[0]), expected)


def test_targets(net, table):
    seen = []

    class Watched(TeacherClassifier):
        def get_loss(self, y_pred, y_true, X=None, training=False):
            seen.append(y_true)
            return super().get_loss(y_pred, y_true, X=X, training=training)

        def train_step(self, batch, **fit_params):
            seen.append(batch[1])
            return super().train_step(batch, **fit_params)

    net(kind=Watched, max_epochs=1).fit(*table)
    assert {type(targets) for targets in seen} == {Targets}
    assert Targets._fields == ("y_encoded", "soft", "weight", "whole")


def test_fit_params(net, table):
    X, y = table
    weight, groups = np.ones(len(y)), np.arange(len(y)) // 4
    net().fit(X, y, sample_weight=weight, groups=groups)
    with pytest.raises(TypeError, match="unexpected argument 'epochs': set max_epochs"):
        net().fit(X, y, epochs=3)
    with pytest.raises(TypeError, match="unexpected argument 'mask': skorch passes such values on"):
        net().fit(X, y, mask=weight)
    for name in ("eval_set", "validation_data"):
        with pytest.raises(TypeError, match=rf"'{name}': set train_split=predefined_split\(dataset\)"):
            net().fit(X, y, **{name: (X, y)})
    clf = net().fit(X, y)
    with pytest.raises(TypeError, match=r"partial_fit.. got an unexpected argument 'mask'"):
        clf.partial_fit(X, y, mask=weight)
    assert len(clf.history) == 2


def test_set_params(net, table):
    clf = net().fit(*table)
    before = clf.predict_proba(table[0])
    clf.set_params(module__width=3)
    assert_array_equal(clf.predict_proba(table[0]), before)
    assert clf.fit(*table).module_.hidden.out_features == 3

    class Counter(Callback):
        epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

    clf.set_params(callbacks=[("counter", Counter())]).partial_fit(*table)
    assert dict(clf.callbacks_)["counter"].epochs == clf.max_epochs
    clf.set_params(callbacks__counter__epochs=10).partial_fit(*table)
    assert dict(clf.callbacks_)["counter"].epochs == 10 + clf.max_epochs


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_failures(net, table, error):
    class Failing(Callback):
        def on_batch_end(self, net, **kwargs):
            raise error

    clf = net(callbacks=[Failing()])
    with pytest.raises(error):
        clf.fit(*table)
    assert not hasattr(clf, "module_")
    clf = net().fit(*table)
    expected = clf.predict_proba(table[0])
    clf.callbacks_.append(("failing", Failing()))
    with pytest.raises(error):
        clf.partial_fit(*table)
    assert_array_equal(clf.predict_proba(table[0]), expected)


def test_parameter_files(net, table, tmp_path):
    clf = net().fit(*table)
    clf.save_params(f_params=tmp_path / "ours.pt")
    new = net()
    new.load_params(f_params=tmp_path / "ours.pt")
    assert_array_equal(new.predict_proba(table[0]), clf.predict_proba(table[0]))
    torch.save(clf.module_.state_dict(), tmp_path / "skorchs.pt")
    with pytest.warns(UserWarning, match="no temperature"):
        new.load_params(f_params=tmp_path / "skorchs.pt")
    assert new.temperature_ == 1


def test_steps_alone(net, table):
    clf = net().fit(*table)
    with pytest.raises(RuntimeError, match="call partial_fit"):
        clf.fit_loop(*table)


def test_not_a_number(net, table):
    with pytest.raises(NonFiniteLossError, match="train loss of epoch 1"):
        net(optimizer=torch.optim.SGD, lr=1e30).fit(*table)


def test_monitors(net, table):
    with pytest.raises(ValueError, match=r"'EarlyStopping' .* monitors 'valid_loss'"):
        net(callbacks=[EarlyStopping()], train_split=None).fit(*table)


@pytest.mark.parametrize("name", ["shuffle", "drop_last"])
def test_rows_in_order(net, table, name):
    with pytest.raises(ValueError, match="every row once and in order"):
        net(**{f"iterator_valid__{name}": True}).fit(*table)


def test_batches(net, table):
    X, y = table[0][:65], table[1][:65]
    clf = net(train_split=None, max_epochs=1).fit(X, y)
    assert clf.history[-1, "batches", :, "train_batch_size"] == [32, 33]


def test_losses_of_batches(net, table):
    seen = []

    class Looking(TeacherClassifier):
        def get_loss(self, *args, **kwargs):
            seen.append(self.history[-1]["batches"][0].get("train_loss"))
            return super().get_loss(*args, **kwargs)

    class Hook(Callback):
        def on_batch_end(self, net, **kwargs):
            pass

    clf = net(kind=Looking, max_epochs=1, train_split=None).fit(*table)
    assert seen == [None] * 8
    assert clf.history[-1, "batches", 0, "train_loss"] > 0
    seen.clear()
    net(kind=Looking, max_epochs=1, train_split=None, callbacks=[Hook()]).fit(*table)
    assert seen[0] is None
    assert min(seen[1:]) > 0


def test_ctrl_c(net, table):
    def interrupting(hook):
        def interrupt(self, net, **kwargs):
            raise KeyboardInterrupt

        return type("Interrupting", (Callback,), {hook: interrupt})()

    assert len(net(callbacks=[interrupting("on_epoch_end")]).fit(*table).history) == 1
    with pytest.raises(KeyboardInterrupt):
        net(callbacks=[interrupting("on_epoch_begin")]).fit(*table)


def test_unfitted(net):
    clf = net()
    assert clf.history is None
    assert not [name for name in vars(clf) if name.endswith("_")]
