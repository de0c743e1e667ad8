"""The training loop: best epoch, seeds, parameters, partial_fit."""

import inspect
import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import log_loss
from skorch.callbacks import Callback
from torch import nn

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier
from sk_ils._net.split import stratified_split


class DropoutNet(nn.Module):
    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features_in, 16),
            nn.BatchNorm1d(16),
            nn.Dropout(0.5),
            nn.ReLU(),
            nn.Linear(16, n_classes),
        )

    def forward(self, X):
        return self.layers(X)


def held_out(clf, X, y):
    """Return the default hold-out of a fit with an integer seed."""
    codes = np.unique(y, return_inverse=True)[1]
    seed = int(np.random.RandomState(clf.random_state).randint(2**31 - 1))
    valid = stratified_split(codes, clf.train_split, seed).valid
    return X[valid], y[valid]


def test_the_epoch_with_the_lowest_validation_cross_entropy_is_restored(teacher, table):
    X, y = table
    clf = teacher(max_epochs=80, lr=0.05, temperature_scaling=False).fit(X, y)
    losses = clf.history[:, "valid_loss"]
    assert np.argmin(losses) < len(losses) - 5, "the data do not overfit: nothing is tested"
    X_valid, y_valid = held_out(clf, X, y)
    assert log_loss(y_valid, clf.predict_proba(X_valid)) == pytest.approx(min(losses), abs=1e-6)


def test_the_validation_loss_is_that_of_hard_labels_whatever_the_rule(student, table):
    X, y = table
    clf = student(smoothing="uniform", smoothing__epsilon=0.5, temperature_scaling=False).fit(X, y)
    X_valid, y_valid = held_out(clf, X, y)
    loss = log_loss(y_valid, clf.predict_proba(X_valid))
    assert min(clf.history[:, "valid_loss"]) == pytest.approx(loss, abs=1e-6)


def test_patience_counts_epochs_without_a_lower_loss(teacher, table):
    clf = teacher(max_epochs=200, lr=0.05, patience=7).fit(*table)
    losses = clf.history[:, "valid_loss"]
    assert len(losses) < 200
    assert len(losses) - 1 - np.argmin(losses) == 7


@pytest.mark.parametrize("module", [None, DropoutNet])
@pytest.mark.parametrize("smoothing", ["none", "ils"])
def test_the_same_seed_gives_identical_probabilities(student, table, smoothing, module):
    X, y = table
    first, second, other = (
        student(module=module, smoothing=smoothing, random_state=seed, **_sizes(module)).fit(X, y)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    np.testing.assert_array_equal(first.fit(X, y).predict_proba(X), second.predict_proba(X))
    assert (first.predict_proba(X) != other.predict_proba(X)).any()


def _sizes(module):
    return {} if module is None else {"module__n_classes": 3}


def test_without_a_seed_two_fits_differ_and_torch_is_left_alone(student, table):
    X, y = table
    first, second = (student(random_state=None).fit(X, y).predict_proba(X) for _ in range(2))
    assert (first != second).any()


def test_a_random_state_instance_moves_on_with_each_fit(teacher, table):
    X, y = table
    first = teacher(random_state=np.random.RandomState(0))
    second = teacher(random_state=np.random.RandomState(0))
    one = first.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(one, second.fit(X, y).predict_proba(X))
    assert (first.fit(X, y).predict_proba(X) != one).any()


def test_training_is_shuffled(teacher, table):
    X, y = table
    shuffled = teacher().fit(X, y)
    in_order = teacher(iterator_train__shuffle=False).fit(X, y)
    assert (shuffled.predict_proba(X) != in_order.predict_proba(X)).any()


def test_rows_of_probabilities_sum_to_one_and_their_log_is_the_decision_function(student, table):
    X, y = table
    clf = student().fit(X, y)
    proba = clf.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.exp(clf.decision_function(X)), proba)


def test_a_row_is_predicted_the_same_alone_and_among_others(student, table):
    X, y = table
    clf = student().fit(X, y)
    alone = np.concatenate([clf.decision_function(X[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, clf.decision_function(X)[:20], rtol=1e-7, atol=1e-7)


def test_a_module_instance_is_a_parameter_that_fit_does_not_change(student, table):
    X, y = table
    with torch.random.fork_rng():
        module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    before = [p.detach().clone() for p in module.parameters()]
    clf = student(module=module).fit(X, y)
    for old, new, trained in zip(before, module.parameters(), clf.module_.parameters(), strict=True):
        assert torch.equal(old, new)
        assert not torch.equal(old, trained)
    np.testing.assert_array_equal(clf.predict_proba(X), clone(clf).fit(X, y).predict_proba(X))


def test_a_module_may_return_more_than_logits(student, table):
    class Tuple(nn.Linear):
        def forward(self, X):
            return super().forward(X), X, 1, {"mean": X.mean()}, None

    X, y = table
    sizes = {"module__in_features": 6, "module__out_features": 3}
    clf = student(module=Tuple, **sizes).fit(X, y)
    expected = student(module=nn.Linear, **sizes).fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X[:3]), expected.predict_proba(X[:3]))
    batches = list(clf.forward_iter(X))
    logits, inputs, *others = clf.forward(X)
    torch.testing.assert_close(logits, expected.forward(X))
    torch.testing.assert_close(inputs, torch.from_numpy(X).float())
    assert [list(parts) for parts in zip(*batches, strict=True)][2:] == others
    assert (others[0], others[2]) == ([1] * 8, [None] * 8)


def test_set_params_changes_a_fitted_network_at_the_next_fit_only(student, table):
    X, y = table
    clf = student().fit(X, y)
    before = clf.predict_proba(X)
    clf.set_params(module__hidden_sizes=(4,), smoothing="ils2", max_epochs=2)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    np.testing.assert_array_equal(
        clf.fit(X, y).predict_proba(X),
        student(module__hidden_sizes=(4,), smoothing="ils2", max_epochs=2).fit(X, y).predict_proba(X),
    )


def test_parameters_come_back_as_they_were_given():
    clf = InstanceSmoothedClassifier(
        None, lr=0.1, module__hidden_sizes=(3,), callbacks__print_log=None, smoothing__epsilon=0.5
    )
    for copy in (clone(clf), clone(clone(clf)).set_params()):
        parameters = copy.get_params()
        assert parameters["lr"] == 0.1
        assert parameters["module__hidden_sizes"] == (3,)
        assert parameters["callbacks__print_log"] is None
        assert parameters["smoothing__epsilon"] == 0.5
        assert parameters["device"] == "auto"
    assert "module__hidden_sizes=(3,)" in repr(clf)
    assert "smoothing=ILS2(epsilon=0.5)" in repr(clf)


class Scaled(InstanceSmoothedClassifier):
    def __init__(self, module=None, *, factor=1.0, **kwargs):
        super().__init__(module, **kwargs)
        self.factor = factor


def test_a_subclass_with_one_parameter_more_need_not_repeat_the_others():
    clf = Scaled(None, factor=2.0, lr=0.1, smoothing="ils1", module__hidden_sizes=(3,))
    for copy in (clone(clf), clone(clf).set_params(smoothing__shift=0.5)):
        parameters = copy.get_params()
        assert parameters["factor"] == 2.0
        assert parameters["lr"] == 0.1
        assert parameters["module__hidden_sizes"] == (3,)
    assert copy.smoothing.shift == 0.5
    assert set(clf.get_params(deep=False)) == {
        "factor",
        *InstanceSmoothedClassifier(module__hidden_sizes=(3,)).get_params(deep=False),
    }


def test_what_a_subclass_does_not_pass_on_is_none_of_its_parameters():
    class Fixed(TeacherClassifier):
        def __init__(self, factor=1.0):
            super().__init__(lr=0.5)
            self.factor = factor

    assert set(Fixed().get_params(deep=False)) == {"factor"}
    assert clone(Fixed(factor=3.0)).factor == 3.0


@pytest.mark.parametrize("kind", [TeacherClassifier, InstanceSmoothedClassifier])
def test_the_docstring_tells_every_parameter_in_the_order_of_the_constructor(kind):
    from numpydoc.docscrape import ClassDoc

    documented = [name for entry in ClassDoc(kind)["Parameters"] for name in entry.name.split(", ")]
    named = [p for p in inspect.signature(kind).parameters if p != "kwargs"]
    assert documented == [*named, "**kwargs"]


def test_no_batch_at_all_is_an_error_that_says_why(teacher, table):
    with pytest.raises(ValueError, match="no train batch"):
        teacher(batch_size=1000, iterator_train__drop_last=True).fit(*table)


def test_a_validation_batch_without_weight_counts_nothing(teacher, table):
    X, y = table
    weight = (np.arange(len(y)) < 200).astype(float)
    index = np.arange(len(y))

    def split(dataset, y):
        return (torch.utils.data.Subset(dataset, index[part]) for part in (slice(100), slice(100, None)))

    clf = teacher(train_split=split, iterator_valid__batch_size=40).fit(X, y, sample_weight=weight)
    accuracy = (clf.predict(X[100:200]) == y[100:200]).mean()
    assert np.isfinite(clf.history[:, "valid_loss"]).all()
    best = np.argmin(clf.history[:, "valid_loss"])
    assert clf.history[int(best), "valid_acc"] == pytest.approx(accuracy)


def test_a_factor_on_all_weights_changes_nothing(teacher, table):
    X, y = table
    # with SGD, because the steps of Adam do not depend on the scale of the loss
    clf = teacher(optimizer=torch.optim.SGD, lr=0.1, dtype="float64")
    plain = clf.fit(X, y).predict_proba(X)
    for factor in (1e-300, 0.01, 3.0, 1e308):
        weighted = clf.fit(X, y, sample_weight=np.full(len(y), factor)).predict_proba(X)
        np.testing.assert_allclose(weighted, plain, rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factor", [1e-300, 1e-40, 0.1, 1e40, 1e300])
def test_the_scale_of_unequal_weights_changes_nothing(teacher, table, dtype, factor):
    X, y = table
    weight = np.random.default_rng(0).exponential(size=len(y))
    clf = teacher(optimizer=torch.optim.SGD, lr=0.1, dtype=dtype, max_epochs=3)
    proba, temperature = [], []
    for w in weight, factor * weight:
        proba.append(clf.fit(X, y, sample_weight=w).predict_proba(X))
        temperature.append(clf.temperature_)
    np.testing.assert_allclose(*proba, rtol=2e-3)
    assert temperature[0] == pytest.approx(temperature[1], rel=3e-4)


# --- going on -----------------------------------------------------------------------------------------


def test_partial_fit_goes_on_from_where_the_network_is(teacher, table):
    X, y = table
    clf = teacher(lr=0.003)
    losses = [log_loss(y, clf.partial_fit(X, y, classes=np.unique(y)).predict_proba(X)) for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert len(clf.history) == 20
    assert clf.temperature_ == 1


def test_partial_fit_needs_the_classes_once_and_then_the_same(student, table):
    X, y = table
    with pytest.raises(ValueError, match="classes must be passed"):
        student().partial_fit(X, y)
    clf = student(smoothing="uniform").partial_fit(
        X[:100], np.where(y == "ant", "bee", y)[:100], classes=np.unique(y)
    )
    np.testing.assert_array_equal(clf.classes_, np.unique(y))
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match="classes is"):
        clf.partial_fit(X, y, classes=["ant", "bee"])
    with pytest.raises(ValueError, match="not among the classes"):
        clf.partial_fit(X, np.where(y == "ant", "dog", y))
    with pytest.raises(ValueError, match="features"):
        clf.partial_fit(X[:, :3], y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_partial_fit_after_fit_keeps_the_temperatures(student, table):
    X, y = table
    clf = student().fit(X, y)
    before = clf.temperature_, clf.teacher_temperature_, clf.predict_proba(X)
    clf.partial_fit(X, y)
    assert (clf.temperature_, clf.teacher_temperature_) == before[:2]
    assert (clf.predict_proba(X) != before[2]).any()


def test_lr_reaches_the_optimizer_that_partial_fit_goes_on_with(teacher, table):
    clf = teacher().fit(*table).set_params(lr=0.5)
    assert clf.partial_fit(*table).optimizer_.param_groups[0]["lr"] == 0.5


def test_warm_start_goes_on_and_a_cold_start_begins_again(teacher, table):
    X, y = table
    warm = teacher(warm_start=True).fit(X, y).fit(X, y)
    assert len(warm.history) == 10
    assert len(teacher().fit(X, y).fit(X, y).history) == 5


def test_a_warm_start_takes_no_other_features(teacher, table):
    X, y = table
    clf = teacher(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="X has 3 features, but TeacherClassifier is expecting 6"):
        clf.fit(X[:, :3], y)


def test_a_warm_start_keeps_its_classes_where_y_lacks_one(teacher, table):
    X, y = table
    clf = teacher(warm_start=True).fit(X, y)
    rows = y != "bee"
    with pytest.warns(UserWarning, match=r"No row of class \['bee'\]"):
        clf.fit(X[rows], y[rows])
    assert clf.classes_.tolist() == ["ant", "bee", "cat"]
    assert len(clf.history) == 10
    # "cat" is the last column still, and the network has learned that there is no bee any more
    proba = clf.predict_proba(X[rows])
    assert proba.shape == (rows.sum(), 3)
    assert (clf.predict(X[rows]) == y[rows]).mean() > 0.6


class RowOrder(Callback):
    """Notes the first feature of every training row, in the order of training."""

    def __init__(self, seen):
        self.seen = seen

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        if training:
            self.seen.extend(batch[0][:, 0].tolist())


def test_every_partial_fit_has_an_order_of_rows_of_its_own_that_the_seed_repeats(teacher, table):
    X, y = table

    def orders(seed):
        seen = []
        clf = teacher(random_state=seed, max_epochs=1, callbacks=[RowOrder(seen)])
        for _ in range(3):
            clf.partial_fit(X, y, classes=np.unique(y))
        return np.reshape(seen, (3, len(y)))

    first, second, third = orders(0)
    assert sorted(first) == sorted(second) == sorted(third) == sorted(X[:, 0].astype(np.float32).tolist())
    assert (first != second).any()
    assert (second != third).any()
    assert (first != third).any()
    np.testing.assert_array_equal(orders(0), [first, second, third])
    assert (orders(1)[0] != first).any()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_fit_where_gradients_are_off_is_one_where_they_are_on(table, student, teacher, mode):
    X, y = table
    with torch.random.fork_rng(), mode():
        linear = nn.Linear(6, 3)
    for net in (student(max_epochs=2), teacher(max_epochs=2), student(max_epochs=2, module=linear)):
        proba = net.fit(X, y).predict_proba(X)
        more = net.partial_fit(X, y).predict_proba(X)
        with mode():
            np.testing.assert_array_equal(net.fit(X, y).predict_proba(X), proba)
            np.testing.assert_array_equal(net.partial_fit(X, y).predict_proba(X), more)
        net.partial_fit(X, y)  # what was trained there can be trained on anywhere


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba", "decision_function"])
def test_a_prediction_takes_no_array_of_the_results_size_but_the_result(teacher, method):
    X, y = np.random.default_rng(0).normal(size=(4000, 3)), np.arange(4000) % 100
    clf = teacher(max_epochs=1, train_split=None, batch_size=1000).fit(X, y)
    getattr(clf, method)(X[:100])
    tracemalloc.start()
    result = getattr(clf, method)(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.8 * result.nbytes  # 0.65 of it is a chunk


def test_forward_iter_must_give_each_row_once(table):
    class Twice(TeacherClassifier):
        def forward_iter(self, X, **kwargs):
            for output in super().forward_iter(X, **kwargs):
                yield output
                yield output

    X, y = table
    clf = Twice(max_epochs=1, train_split=None).fit(X, y)
    with pytest.raises(ValueError, match="one row for each of 240 samples; it gave 480"):
        clf.predict_proba(X)


def test_the_history_has_the_mean_over_samples_of_what_batches_recorded(teacher, table):
    clf = teacher(max_epochs=2, batch_size=50).fit(*table)
    for name, size in (
        ("train_loss", "train_batch_size"),
        ("valid_loss", "valid_batch_size"),
        ("valid_acc", "valid_batch_size"),
    ):
        for epoch in range(2):
            values, sizes = zip(*clf.history[epoch, "batches", :, [name, size]], strict=True)
            assert clf.history[epoch, name] == np.average(values, weights=sizes)
        assert clf.history[0, f"{name}_best"]


def test_every_part_is_put_into_the_mode_but_what_refuses_it(teacher, table):
    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    class Net(nn.Module):
        def __init__(self, n_features_in, n_classes):
            super().__init__()
            self.norm, self.drop = (
                Frozen(n_features_in),
                nn.Sequential(nn.Dropout(), nn.BatchNorm1d(n_features_in)),
            )
            self.last, self.none = nn.Linear(n_features_in, n_classes), None
            self.modes = []

        def forward(self, X):
            self.modes.append([module.training for module in self.modules()])
            return self.last(self.drop(self.norm(X)))

    modes = teacher(module=Net, max_epochs=1).fit(*table).module_.modes
    on, off = [True, False, True, True, True, True], [False] * 6
    assert on in modes
    assert off in modes
    assert all(mode in (on, off) for mode in modes)


class Hears(Callback):
    """Keeps what it is told at the begin of a training."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.y = y


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_the_labels_of_all_rows_are_made_only_for_who_hears_of_them(table, verbose):
    class Telling(TeacherClassifier):
        """Notes what its callbacks are told."""

        def notify(self, method_name, **kwargs):
            if method_name in ("on_train_begin", "on_train_end"):
                told.append(kwargs["y"])
            super().notify(method_name, **kwargs)

    X, y = table
    told = []
    Telling(max_epochs=1, random_state=0, verbose=verbose).fit(X, y)
    assert told == [None, None]
    hears = Hears()
    Telling(max_epochs=1, random_state=0, callbacks=[hears]).fit(X, y)
    assert set(hears.y) == set(y)
