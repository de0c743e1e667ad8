"""What a user's subclasses, modules, callbacks and loaders may do to a network."""

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils.classifiers import NonFiniteLossError


class WithEncoder(TeacherClassifier):
    """A network with a second module, as skorch documents it."""

    def initialize_module(self):
        self.encoder_ = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
        return super().initialize_module()

    def infer(self, x, **fit_params):
        return super().infer(self.encoder_(x.to(self._device())), **fit_params)


class Remember(Callback):
    """Notes the state of both modules, the modes of training batches, and losses."""

    def on_train_begin(self, net, **kwargs):
        self.states = []

    def on_epoch_end(self, net, **kwargs):
        parts = {"module": net.module_, "encoder": net.encoder_}
        self.states.append(
            {
                name: {key: value.clone() for key, value in part.state_dict().items()}
                for name, part in parts.items()
            }
        )


class Linear(nn.Module):
    def __init__(self, n_features_in=6, n_classes=3):
        super().__init__()
        self.layer = nn.Linear(n_features_in, n_classes)

    def forward(self, X):
        return self.layer(X)


# --- a second module ------------------------------------------------------------------------------


def small(kind, **parameters):
    defaults = {"max_epochs": 4, "lr": 0.05, "batch_size": 32, "random_state": 0, "device": "cpu"}
    return kind(**(defaults | parameters))


def test_the_best_epoch_is_restored_in_every_module(table):
    net = small(WithEncoder, lr=0.5, max_epochs=16, callbacks=[("remember", Remember())]).fit(*table)
    best = int(np.argmin(net.history[:, "valid_loss"]))
    assert best < 15, "the last epoch would prove nothing"
    states = dict(net.callbacks_)["remember"].states[best]
    for name, part in {"module": net.module_, "encoder": net.encoder_}.items():
        for key, value in part.state_dict().items():
            assert torch.equal(value, states[name][key]), (name, key)


def test_every_module_predicts_in_evaluation_mode(table):
    net = small(WithEncoder).fit(*table)
    assert_array_equal(net.predict_proba(table[0]), net.predict_proba(table[0]))
    assert_array_equal(pickle.loads(pickle.dumps(net)).predict_proba(table[0]), net.predict_proba(table[0]))


def test_every_module_has_the_float_type_and_is_trained(table):
    net = small(WithEncoder, dtype="float64", train_split=None, max_epochs=1).fit(*table)
    assert {parameter.dtype for parameter in net.encoder_.parameters()} == {torch.float64}
    known = {id(parameter) for group in net.optimizer_.param_groups for parameter in group["params"]}
    assert known >= {id(parameter) for parameter in net.encoder_.parameters()}


@pytest.mark.parametrize("train_split", [0.2, None])
def test_a_part_frozen_in_init_has_the_same_mode_in_every_epoch(teacher, table, train_split):
    class Frozen(nn.Module):
        modes: list[bool]

        def __init__(self, n_features_in, n_classes):
            super().__init__()
            self.backbone, self.head = nn.BatchNorm1d(n_features_in), nn.Linear(n_features_in, n_classes)
            self.backbone.eval()
            self.modes = []

        def forward(self, X):
            if self.training:
                self.modes.append(self.backbone.training)
            return self.head(self.backbone(X))

    class KeptFrozen(Frozen):
        def train(self, mode=True):
            super().train(mode)
            self.backbone.eval()
            return self

    modes = {
        kind: set(teacher(module=kind, max_epochs=3, train_split=train_split).fit(*table).module_.modes)
        for kind in (Frozen, KeptFrozen)
    }
    assert modes == {Frozen: {True}, KeptFrozen: {False}}


# --- hooks and steps ------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["on_batch_begin", "on_batch_end", "on_grad_computed"])
@pytest.mark.parametrize("owner", ["callback", "net"])
def test_a_hook_that_is_set_on_an_instance_runs(teacher, table, hook, owner):
    calls = []

    def note(*args, **kwargs):
        calls.append(kwargs)

    callback = Callback()
    net = teacher(callbacks=[callback], max_epochs=1)
    setattr(callback if owner == "callback" else net, hook, note)
    net.fit(*table)
    assert calls


class Accumulated:
    """Accumulates gradients as the page of questions of skorch's documentation shows it."""

    def __init__(self, *args, acc_steps=2, **kwargs):
        super().__init__(*args, **kwargs)
        self.acc_steps = acc_steps

    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs) / self.acc_steps

    def train_step(self, batch, **fit_params):
        step = self.train_step_single(batch, **fit_params)
        if len(self.history[-1, "batches"]) % self.acc_steps == 0:
            self.notify("on_grad_computed", named_parameters=self.module_.named_parameters(), batch=batch)
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


def test_gradients_accumulate_as_in_skorch(table):
    class Ours(Accumulated, TeacherClassifier):
        pass

    class Stock(Accumulated, NeuralNetClassifier):
        pass

    X, y = table[0].astype(np.float32), np.unique(table[1], return_inverse=True)[1]
    common = {
        "optimizer": torch.optim.SGD,
        "lr": 0.1,
        "max_epochs": 3,
        "batch_size": 32,
        "train_split": None,
        "iterator_train__shuffle": False,
        "acc_steps": 3,
        "device": "cpu",
    }
    with torch.random.fork_rng():
        module = nn.Sequential(nn.Linear(6, 3))
        stock = Stock(copy.deepcopy(module), criterion=nn.CrossEntropyLoss, verbose=0, **common).fit(X, y)
    ours = Ours(module, **common).fit(X, y)
    for mine, other in zip(ours.module_.parameters(), stock.module_.parameters(), strict=True):
        assert_allclose(mine.detach(), other.detach(), rtol=1e-5, atol=1e-7)
    assert_allclose(ours.history[:, "train_loss"], stock.history[:, "train_loss"], rtol=1e-5)
    assert (ours.module_[0].weight != module[0].weight).any()


def test_a_loss_may_count_batches_and_a_step_may_read_their_losses(teacher, table):
    counts, losses = [], []

    class Counting(TeacherClassifier):
        def get_loss(self, *args, training=False, **kwargs):
            counts.append(len(self.history[-1, "batches"]))
            return super().get_loss(*args, training=training, **kwargs)

    class Reading(TeacherClassifier):
        def train_step(self, batch, **fit_params):
            losses.extend(self.history[-1, "batches"][:-1])
            return super().train_step(batch, **fit_params)

    small(Counting, train_split=None, max_epochs=2, batch_size=60).fit(*table)
    assert counts == [1, 2, 3, 4, 1, 2, 3, 4]
    small(Reading, train_split=None, max_epochs=1, batch_size=60).fit(*table)
    assert len(losses) == 6
    assert all(row["train_loss"] > 0 for row in losses)


# --- subclasses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TeacherClassifier, InstanceSmoothedClassifier])
def test_a_subclass_may_pass_everything_on(table, kind):
    class Wide(kind):
        def __init__(self, *args, extra=1, **kwargs):
            super().__init__(*args, **kwargs)
            self.extra = extra

    net = small(Wide, module=Linear, extra=3, optimizer__weight_decay=0.1)
    assert "args" not in net.get_params()
    assert {"extra", "module", "lr", "random_state"} <= set(net.get_params())
    again = clone(net)
    assert (again.extra, again.module, again.optimizer__weight_decay) == (3, Linear, 0.1)
    assert Wide(Linear).module is Linear
    assert_array_equal(again.fit(*table).predict(table[0]), net.fit(*table).predict(table[0]))


def test_a_student_subclass_may_require_a_parameter(student, table):
    class Demanding(InstanceSmoothedClassifier):
        def __init__(self, depth, **kwargs):
            super().__init__(**kwargs)
            self.depth = depth

    parameters = student(max_epochs=2).get_params(deep=False)
    net = Demanding(depth=2, **parameters).fit(*table)
    assert_array_equal(net.predict_proba(table[0]), student(max_epochs=2).fit(*table).predict_proba(table[0]))


# --- what is refused instead of ignored -----------------------------------------------------------

FIXED = {
    "criterion": nn.NLLLoss,
    "criterion__label_smoothing": 0.1,
    "dataset": Dataset,
    "dataset__length": 3,
    "predict_nonlinearity": None,
    "classes": [0, 1],
}


@pytest.mark.parametrize("name", FIXED)
def test_set_params_refuses_what_the_constructor_refuses(student, name):
    net = student()
    before = net.get_params()
    with pytest.raises(TypeError, match=f"no parameter '{name}'") as by_set_params:
        net.set_params(lr=0.5, **{name: FIXED[name]})
    assert net.get_params().keys() == before.keys()
    assert net.lr == before["lr"]
    with pytest.raises(TypeError) as by_constructor:
        student(**{name: FIXED[name]})
    assert str(by_set_params.value) == str(by_constructor.value)


def test_a_history_of_the_users_is_refused(student):
    with pytest.raises(TypeError, match="every fit records its own"):
        student(history=[])


@pytest.mark.parametrize("name", ["shuffle", "drop_last"])
def test_validation_and_prediction_keep_every_row_in_order(student, table, name):
    parameters = {f"iterator_valid__{name}": True}
    with pytest.raises(ValueError, match=f"iterator_train__{name}"):
        student(**parameters).fit(*table)
    fitted = student(max_epochs=1).fit(*table).set_params(**parameters)
    with pytest.raises(ValueError, match="every row once and in order"):
        fitted.predict_proba(table[0])


def test_a_sampler_that_reorders_or_drops_predicted_rows_is_refused(teacher, table):
    fitted = teacher(max_epochs=1).fit(*table)
    for indices in ([1, 0, 2], [0, 1]):
        with pytest.raises(ValueError, match="leave out its sampler"):
            clone_of(fitted, iterator_valid__sampler=indices).predict_proba(table[0][:3])
    in_order = clone_of(fitted, iterator_valid__sampler=SequentialSampler(range(3)))
    assert_allclose(in_order.predict_proba(table[0][:3]), fitted.predict_proba(table[0][:3]), rtol=1e-5)


def clone_of(fitted, **parameters):
    return pickle.loads(pickle.dumps(fitted)).set_params(**parameters)


# --- loaders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {"num_workers": 1},
        {"prefetch_factor": None},
        {"sampler": SubsetRandomSampler(range(50), generator=torch.Generator())},
        {"batch_sampler": [[0, 1, 2], [3, 4, 5, 6]]},
        {"drop_last": True},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_arrays_take_any_parameter_of_a_data_loader(teacher, table, parameters):
    named = {f"iterator_train__{name}": value for name, value in parameters.items()}
    net = teacher(max_epochs=1, **named).fit(*table)
    n_rows = sum(row["train_batch_size"] for row in net.history[-1, "batches"] if "train_batch_size" in row)
    assert n_rows == {"sampler": 50, "batch_sampler": 7}.get(next(iter(parameters)), 192)
    if set(parameters) <= {"num_workers", "prefetch_factor"}:
        plain = teacher(max_epochs=1).fit(*table)
        assert_allclose(net.predict_proba(table[0]), plain.predict_proba(table[0]), rtol=1e-5)


def test_a_sampler_of_rows_that_are_held_out_says_so(teacher, table):
    with pytest.raises(IndexError, match="those of the hold-out are no part"):
        teacher(iterator_train__sampler=[0, 239]).fit(*table)


@pytest.mark.parametrize("as_dataset", [False, True])
@pytest.mark.parametrize("where", ["net", "callback"])
def test_scores_of_epochs_need_no_cache(teacher, table, where, as_dataset):
    X, y = table[0].astype(np.float32), table[1]
    data = TensorDataset(torch.from_numpy(X), torch.zeros(len(X))) if as_dataset else X
    cached = teacher(callbacks=[EpochScoring("f1_macro", name="f1", lower_is_better=False)]).fit(data, y)
    scoring = EpochScoring("f1_macro", name="f1", lower_is_better=False, use_caching=where == "net")
    fresh = teacher(callbacks=[scoring], use_caching=False if where == "net" else "auto").fit(data, y)
    assert_allclose(fresh.history[:, "f1"], cached.history[:, "f1"])


def test_a_scorer_that_walks_over_the_dataset_meets_its_items(teacher, table):
    def accuracy(net, dataset, y=None):
        return accuracy_score(
            [label for _, label in dataset], np.unique(table[1]).searchsorted(net.predict(dataset))
        )

    X, y = torch.from_numpy(table[0].astype(np.float32)), np.unique(table[1], return_inverse=True)[1]
    scoring = EpochScoring(accuracy, name="own", use_caching=False)
    net = teacher(callbacks=[scoring]).fit(TensorDataset(X, torch.from_numpy(y)), table[1])
    assert_allclose(net.history[:, "own"], net.history[:, "valid_acc"])


# --- forward --------------------------------------------------------------------------------------


class Pair(nn.Module):
    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.norm, self.layer = nn.BatchNorm1d(n_features_in), nn.Linear(n_features_in, n_classes)

    def forward(self, X):
        hidden = self.norm(X)
        return self.layer(hidden), hidden


@pytest.mark.parametrize("n_rows", [5, 40])
def test_forward_gives_all_outputs_of_arrays_of_any_length(teacher, table, n_rows):
    net = teacher(module=Pair, max_epochs=1).fit(*table)
    X = table[0][:n_rows]
    logits, hidden = net.forward(X)
    assert logits.shape == (n_rows, 3)
    assert hidden.shape == (n_rows, 6)
    for same in (
        torch.from_numpy(X),
        X.tolist(),
        TensorDataset(torch.from_numpy(X).float(), torch.zeros(n_rows)),
    ):
        assert_allclose(net.forward(same)[0], logits, rtol=1e-5)
    with pytest.raises(ValueError, match="features"):
        net.forward(X[:, :2])


def test_forward_in_training_mode_sees_the_rows_and_no_others(teacher, table):
    net = teacher(module=Pair, max_epochs=1).fit(*table)
    X = torch.from_numpy(table[0][:5]).float()
    _, hidden = net.forward(X, training=True)
    assert_allclose(hidden.detach().mean(dim=0), net.module_.norm.bias.detach(), atol=1e-5)
    assert hidden.requires_grad


# --- modules that give no prediction --------------------------------------------------------------


def module_that(change):
    class Odd(Linear):
        def forward(self, X):
            logits = super().forward(X)
            return logits if self.training else change(logits)

    return Odd


METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_rows", [20, 240])
def test_rows_that_a_module_drops_are_noticed(teacher, table, method, n_rows):
    net = teacher(module=module_that(lambda logits: logits[:-1]), train_split=None, max_epochs=1).fit(*table)
    with pytest.raises(ValueError, match="one row for each sample"):
        getattr(net, method)(table[0][:n_rows])


@pytest.mark.parametrize("method", METHODS)
def test_logits_that_are_not_finite_are_an_error(teacher, table, method):
    broken = module_that(lambda logits: logits.masked_fill(logits == logits.max(), torch.nan))
    net = teacher(module=broken, train_split=None, max_epochs=1).fit(*table)
    with pytest.raises(ValueError, match="NaN or infinite logits for"):
        getattr(net, method)(table[0])


def test_a_class_that_cannot_be_has_probability_zero(teacher, table):
    masked = module_that(
        lambda logits: torch.cat([logits[:, :2], torch.full_like(logits[:, 2:], -torch.inf)], 1)
    )
    net = teacher(module=masked, train_split=None, max_epochs=1).fit(*table)
    proba = net.predict_proba(table[0])
    assert_array_equal(proba[:, 2], 0)
    assert_allclose(proba.sum(axis=1), 1)


def test_a_dataset_with_missing_values_is_named_with_the_item(teacher, student, table):
    net = teacher(max_epochs=1).fit(*table)
    X = torch.from_numpy(table[0]).float()
    X[17, 2] = torch.nan
    dataset = TensorDataset(X, torch.from_numpy(np.unique(table[1], return_inverse=True)[1]))
    named = "Item 17 of the Dataset TensorDataset holds NaN or infinity"
    with pytest.raises(ValueError, match=f"for 1 of 240 rows, the first is row 17. {named}"):
        net.predict(dataset)
    with pytest.raises(ValueError, match=r"the first is row 1\. Item 17 of the Dataset TensorDataset"):
        net.predict(Subset(dataset, [3, 17]))
    for make in (teacher, student):
        with pytest.raises(NonFiniteLossError, match=f"loss of epoch 1 is nan. {named}"):
            make(max_epochs=1).fit(dataset)
    fold = [(np.arange(200), np.arange(200, 240))]
    search = SmoothingSearchCV(
        student(max_epochs=1), {"smoothing": ["none", "uniform"]}, cv=fold, error_score="raise"
    )
    with pytest.raises(NonFiniteLossError, match=f"loss of epoch 1 is nan. {named}"):
        search.fit(dataset)


def test_a_last_step_that_diverges_gives_no_prediction(teacher, table):
    net = teacher(
        module=Linear, optimizer=torch.optim.SGD, lr=1e38, max_epochs=1, batch_size=-1, train_split=None
    ).fit(table[0] * 1e3, table[1])
    with pytest.raises(ValueError, match="diverged"):
        net.predict_proba(table[0] * 1e3)


def test_log_probabilities_stay_finite_where_probabilities_underflow(teacher, table):
    net = teacher(module=module_that(lambda logits: logits * 1e5), max_epochs=1, train_split=None).fit(*table)
    log_proba = net.predict_log_proba(table[0])
    assert np.isfinite(log_proba).all()
    assert log_proba.min() < -1000
    net = teacher().fit(*table)
    assert_allclose(net.predict_log_proba(table[0]), np.log(net.predict_proba(table[0])), rtol=1e-10)


# --- callbacks that monitor a hold-out ------------------------------------------------------------


@pytest.mark.parametrize(
    "callback",
    [
        EarlyStopping(),
        Checkpoint(monitor="valid_loss_best"),
        LRScheduler(torch.optim.lr_scheduler.ReduceLROnPlateau, monitor="valid_acc"),
        EarlyStopping(monitor="f1"),
    ],
    ids=["EarlyStopping", "Checkpoint", "plateau", "own score"],
)
@pytest.mark.parametrize("how", ["train_split", "partial_fit", "few rows"])
@pytest.mark.filterwarnings("ignore:Only .* rows would be held out")
def test_a_callback_that_monitors_a_hold_out_needs_one(teacher, table, callback, how, tmp_path):
    if isinstance(callback, Checkpoint):
        callback = Checkpoint(monitor=callback.monitor, dirname=tmp_path)
    net = teacher(callbacks=[EpochScoring("f1_macro", name="f1"), ("watcher", callback)])
    X, y = table
    calls = {
        "train_split": lambda: net.set_params(train_split=None).fit(X, y),
        "partial_fit": lambda: net.partial_fit(X, y, classes=np.unique(y)),
        "few rows": lambda: net.fit(X[:20], y[:20]),
    }
    message = f"'watcher' .{type(callback).__name__}. monitors '{callback.monitor}'.*none.*'train_loss'"
    with pytest.raises(ValueError, match=message):
        calls[how]()


def test_a_callback_that_monitors_the_training_loss_needs_no_hold_out(teacher, table):
    net = teacher(callbacks=[EarlyStopping(monitor="train_loss")], train_split=None).fit(*table)
    assert net.history[-1, "train_loss"] > 0


def test_a_callback_that_monitors_what_nobody_records_says_what_there_is(teacher, table):
    message = "'watcher' .EarlyStopping. monitors 'val_loss'.*train_loss, .*valid_loss"
    with pytest.raises(ValueError, match=message):
        teacher(callbacks=[("watcher", EarlyStopping(monitor="val_loss"))]).fit(*table)


def test_a_key_error_of_a_callbacks_own_stays_what_it_is(teacher, table):
    class Failing(Callback):
        monitor = "valid_loss"

        def on_epoch_end(self, net, **kwargs):
            raise KeyError("valid_loss")

    with pytest.raises(KeyError, match="valid_loss"):
        teacher(callbacks=[Failing()]).fit(*table)


def test_a_data_loader_class_goes_on_working_on_arrays(teacher, table):
    net = teacher(iterator_train=DataLoader, iterator_valid=DataLoader, max_epochs=1).fit(*table)
    plain = teacher(max_epochs=1).fit(*table)
    assert_allclose(net.predict_proba(table[0]), plain.predict_proba(table[0]), rtol=1e-5)
