"""The default network: what it makes of columns, and what a module that adapts is shown."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import Subset, TensorDataset

from sk_ils import SmoothingSearchCV, TeacherClassifier
from sk_ils.modules import MLP


@pytest.fixture(autouse=True)
def _own_generator():
    """Let a test build networks outside of a fit."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def columns_of(X, n_bins=4, sample_weight=None, dtype=torch.float64):
    """Return what the first layer sees of X, (n, n_features, 1 + n_bins), and the function that makes it."""
    module = MLP(X.shape[1], 2, n_bins=n_bins).to(dtype)
    module.adapt(torch.as_tensor(X), None if sample_weight is None else torch.as_tensor(sample_weight))

    def read(rows):
        out = module.columns(torch.as_tensor(rows, dtype=dtype)).numpy()
        scaled, encoded = np.split(out, [X.shape[1]], axis=1)
        return np.concatenate([scaled[:, :, None], encoded.reshape(len(rows), X.shape[1], n_bins)], axis=2)

    return read(X), read


def test_a_column_enters_standardised_and_clipped_and_piecewise_linear():
    X = np.arange(9.0)[:, None] ** 2
    seen, _ = columns_of(X)
    z = ((X - X.mean()) / X.std())[:, 0]
    np.testing.assert_allclose(seen[:, 0, 0], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-12)
    edges = np.array([0, 4, 16, 36, 64])  # the values at which shares of 0, 1/4, ... of the rows are reached
    expected = np.clip((X - edges[:-1]) / np.diff(edges), 0, 1)
    np.testing.assert_allclose(seen[:, 0, 1:], expected, rtol=1e-12)


def test_the_sum_of_a_columns_bins_grows_with_its_value():
    X = np.random.default_rng(0).lognormal(size=(200, 2))
    seen, _ = columns_of(X, n_bins=8)
    for column in range(2):
        order = np.argsort(X[:, column])
        total = seen[order, column, 1:].sum(axis=1)
        assert (np.diff(total) > 0).all()
        assert total[0] == 0
        assert total[-1] == 8


@pytest.mark.parametrize("value", [0.0, 0.1, -3e20])
def test_a_constant_column_counts_as_nothing_whatever_it_is_in_prediction(value):
    _, read = columns_of(np.full((30, 1), value))
    assert (read(np.array([[value], [5.0], [-1e30]])) == 0).all()


def test_of_few_rows_no_column_is_taken_for_a_constant():
    _, read = columns_of(np.full((9, 1), 2.0))
    assert read(np.array([[2.0], [3.0]]))[:, 0, 0].tolist() == pytest.approx([0, 1 / np.sqrt(1 + 1 / 9)])


def test_values_beyond_the_training_rows_stay_bounded():
    _, read = columns_of(np.random.default_rng(0).normal(size=(50, 1)), dtype=torch.float32)
    for value in (1e3, 1e30, 3e38):
        seen = read(np.array([[value], [-value]]))[:, 0]
        assert np.abs(seen[:, 0]).max() == pytest.approx(3, rel=1e-3)
        assert (seen[0, 1:] == 1).all()
        assert (seen[1, 1:] == 0).all()


def test_a_weight_of_two_is_a_row_twice_and_one_of_zero_none():
    X = np.random.default_rng(0).normal(size=(40, 3))
    weight = np.random.default_rng(1).integers(0, 3, size=40)
    by_weight, read = columns_of(X, sample_weight=weight / 1.7)
    _, read_repeated = columns_of(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(read(X), read_repeated(X), atol=1e-12)
    assert not np.allclose(by_weight, columns_of(X)[0])


def test_the_network_begins_as_one_without_an_encoding():
    X = torch.rand(20, 5)
    torch.manual_seed(3)
    plain = MLP(5, 3, (7,), n_bins=0)
    torch.manual_seed(3)
    encoding = MLP(5, 3, (7,))
    for module in (plain, encoding):
        module.adapt(X)
    torch.testing.assert_close(encoding(X), plain(X))


def test_many_columns_are_not_encoded():
    first = MLP(113, 2).layers[0]
    assert first.in_features == first.weight.shape[1] == 113 * 9
    assert MLP(114, 2).layers[0].weight.shape[1] == 114


@pytest.mark.parametrize("n_bins", [-1, 2.5, None])
def test_a_number_of_bins_that_is_none_is_refused(n_bins):
    with pytest.raises(ValueError, match="n_bins must be an integer of at least 0"):
        MLP(3, 2, n_bins=n_bins)


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
def test_a_scaler_in_front_changes_nothing(student, table, factor):
    X, y = table
    X = X * [1, 10, 1, 1, 1, 1] + 5
    clf = student(dtype="float64")
    scaled = make_pipeline(StandardScaler(), clone(clf)).fit(factor * X, y).predict_proba(factor * X)
    np.testing.assert_allclose(clf.fit(X, y).predict_proba(X), scaled, atol=1e-9)


# --- what a module that adapts is shown -----------------------------------------------------------------


class Adapting(nn.Module):
    """Counts the rows that it is adapted to."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.linear = nn.Linear(n_features_in, n_classes)
        self.register_buffer("n_calls", torch.zeros(()))
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    def adapt(self, X, sample_weight=None):
        self.n_calls += 1
        self.total += X.double().sum()
        self.weight += len(X) if sample_weight is None else sample_weight.double().sum()

    def forward(self, X):
        return self.linear(X)


def test_a_module_sees_the_training_rows_once_and_before_training(teacher, table):
    assert teacher(module=Adapting).fit(*table).module_.weight == 0.8 * len(table[0])
    clf = teacher(module=Adapting, train_split=None).fit(*table)
    assert clf.module_.n_calls == 1
    assert float(clf.module_.total) == pytest.approx(table[0].sum(), rel=1e-5)
    clf.partial_fit(*table)
    clf.set_params(warm_start=True).fit(*table)
    assert clf.module_.n_calls == 1
    clf.set_params(warm_start=False).fit(*table)
    assert clf.module_.n_calls == 1  # of the new module


def test_a_network_that_is_built_anew_is_adapted_anew(teacher, table):
    X, y = table

    class OwnWay(TeacherClassifier):
        def initialize_module(self):
            self.module_ = Adapting(6, 3)
            return self

    clf = teacher(module=Adapting).fit(X, y)
    clf.initialize().partial_fit(X, y, classes=np.unique(y))
    assert clf.module_.n_calls == 1
    own = OwnWay(max_epochs=1, random_state=0, device="cpu")
    for _ in range(2):
        assert own.fit(X, y).module_.n_calls == 1


def test_a_dataset_shows_what_its_table_shows(teacher, table):
    X, y = table
    codes = torch.from_numpy(np.unique(y, return_inverse=True)[1])
    of_table = teacher(module=Adapting).fit(X, codes)
    of_dataset = teacher(module=Adapting).fit(TensorDataset(torch.from_numpy(X), codes))
    torch.testing.assert_close(of_dataset.module_.total, of_table.module_.total)
    default = teacher().fit(TensorDataset(torch.from_numpy(X), codes)).predict_proba(X)
    np.testing.assert_array_equal(teacher().fit(X, codes).predict_proba(X), default)


def test_of_many_rows_some_are_shown_the_same_in_every_fit(teacher):
    X = np.random.default_rng(0).normal(size=(12_000, 2)).astype(np.float32)
    y = np.arange(12_000) % 2
    first, second = (teacher(module=Adapting, max_epochs=1, random_state=s, train_split=None) for s in (0, 1))
    for clf in (first, second):
        clf.fit(X, y)
        assert clf.module_.weight == 10_000
    assert first.module_.total == second.module_.total
    assert first.module_.total != pytest.approx(X.sum(), rel=1e-6)


def test_weights_come_with_the_rows(teacher, table):
    X, y = table
    weight = np.where(y == "ant", 4.0, 2.0)
    module = teacher(module=Adapting, train_split=None).fit(X, y, sample_weight=weight).module_
    assert module.weight == pytest.approx(len(y))  # scaled to the mean 1


def test_a_loaded_network_is_adapted_no_more(teacher, table, tmp_path):
    clf = teacher(module=Adapting).fit(*table)
    clf.save_params(tmp_path / "file")
    new = teacher(module=Adapting)
    new.load_params(tmp_path / "file")
    new.partial_fit(*table)
    assert new.module_.n_calls == 1


def test_members_of_a_stack_are_adapted_as_a_network_alone(student, table):
    search = SmoothingSearchCV(student(module=Adapting), {"smoothing": ["none", "uniform"]}, cv=2)
    search.fit(*table)
    assert search.best_estimator_.module_.n_calls == 1
    X = 1000 * table[0]
    default = SmoothingSearchCV(student(), {"smoothing": ["uniform"]}, cv=2).fit(X, table[1])
    alone = student(smoothing="uniform").fit(X, table[1])
    np.testing.assert_allclose(default.predict_proba(X), alone.predict_proba(X), atol=1e-5)


def test_a_member_of_an_ensemble_that_is_trained_further_is_adapted_no_more(student, table):
    search = SmoothingSearchCV(student(module=Adapting), {"smoothing": ["none", "uniform"]}, ensemble=True)
    member = search.fit(*table).best_estimator_.estimators_[0]
    before = member.module_.total.clone()
    member.partial_fit(table[0][:50], table[1][:50])
    assert member.module_.n_calls == 1
    assert member.module_.total == before


@pytest.mark.filterwarnings("ignore:No row of class")
def test_a_hold_out_of_all_rows_leaves_no_batch_to_train_on(teacher, table):
    def hold_out_all(dataset, y):
        return Subset(dataset, []), dataset

    with pytest.raises(ValueError, match="There is no train batch: pass more rows"):
        teacher(train_split=hold_out_all).fit(*table)


def test_a_number_of_columns_that_is_not_that_of_the_table_names_the_batch(teacher, table):
    with pytest.raises(ValueError, match=r"MLP failed on a batch of shape \(192, 6\).*n_features_in"):
        teacher(module__n_features_in=9).fit(*table)


def test_items_that_are_lists_name_the_default_network_and_the_type(teacher, table):
    class Lists(torch.utils.data.Dataset):
        def __len__(self):
            return 60

        def __getitem__(self, index):
            return table[0][index].tolist(), 0

    clf = teacher().fit(*table)
    with pytest.raises(ValueError, match=r"The module MLP failed on a batch of type list: .* 'flatten'"):
        clf.predict_proba(Lists())


def test_a_module_of_several_inputs_is_not_adapted(teacher):
    class TwoInputs(Adapting):
        def forward(self, a, b):
            return self.linear(a + b)

    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return 60

        def __getitem__(self, index):
            return {"a": torch.ones(2), "b": torch.ones(2)}, index % 2

    clf = teacher(module=TwoInputs, module__n_features_in=2).fit(Items())
    assert clf.module_.n_calls == 0


def test_a_first_partial_fit_of_few_rows_is_told_and_goes_on_learning(teacher, table):
    X, y = table
    clf = teacher(train_split=None)
    with pytest.warns(
        UserWarning, match="scales its columns by the rows of its first training, which are 1:"
    ):
        clf.partial_fit(X[:1], y[:1], classes=np.unique(y))
    for _ in range(5):
        clf.partial_fit(X, y)
    assert clf.score(X, y) > 0.6
