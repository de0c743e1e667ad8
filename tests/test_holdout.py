"""The hold-out: its size, its classes, its groups, and who shares it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold
from skorch.callbacks import Callback
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split

from sk_ils import TeacherClassifier
from sk_ils._net.split import stratified_split


class SplitRecorder(Callback):
    """Notes the inputs of the training and validation part."""

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.train_ = dataset_train.X.numpy()
        self.valid_ = None if dataset_valid is None else dataset_valid.X.numpy()


def parts(clf):
    recorder = dict(clf.callbacks_)["SplitRecorder"]
    return recorder.train_, recorder.valid_


def numbered(table):
    """Return a table whose first column is the row number, so that rows can be found again."""
    X, y = table
    return np.c_[np.arange(len(X)) / 100, X], y


def row_numbers(part):
    return set((part[:, 0] * 100).round().astype(int))


@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=12),
    fraction=st.floats(0.05, 0.6),
    seed=st.integers(0, 1000),
)
def test_every_class_keeps_a_training_row_and_gives_its_share(counts, fraction, seed):
    codes = np.repeat(np.arange(len(counts)), counts)
    train, valid = stratified_split(codes, fraction, seed)
    np.testing.assert_array_equal(np.sort(np.r_[train, valid]), np.arange(len(codes)))
    held_out = np.bincount(codes[valid], minlength=len(counts))
    assert (held_out <= np.maximum(np.array(counts) - 1, 0)).all()
    room = np.minimum(fraction * np.array(counts), np.array(counts) - 1)
    assert (abs(held_out - room) <= 1).all()
    if min(counts) > 1:
        assert len(valid) <= round(fraction * len(codes))


def test_a_fifth_is_held_out_by_default_and_shuffled_by_the_seed(teacher, table):
    X, y = numbered(table)
    train, valid = parts(teacher(callbacks=[SplitRecorder()]).fit(X, y))
    assert len(valid) == len(X) // 5
    assert row_numbers(train) | row_numbers(valid) == set(range(len(X)))
    assert not row_numbers(train) & row_numbers(valid)
    _, other = parts(teacher(callbacks=[SplitRecorder()], random_state=1).fit(X, y))
    assert row_numbers(other) != row_numbers(valid)


def test_classes_with_one_row_stay_in_training(teacher, table):
    X, y = numbered(table)
    y = y.astype(object)
    y[[3, 77]] = ["rare", "rarer"]
    train, _ = parts(teacher(callbacks=[SplitRecorder()]).fit(X, y))
    assert {3, 77} <= row_numbers(train)


def test_groups_stay_on_one_side(student, table):
    X, y = numbered(table)
    groups = np.arange(len(y)) // 7
    clf = student(callbacks=[SplitRecorder()]).fit(X, y, groups=groups)
    for net in (clf, clf.teacher_):
        train, valid = parts(net)
        assert not set(groups[sorted(row_numbers(train))]) & set(groups[sorted(row_numbers(valid))])
        assert 0.1 < len(valid) / len(X) < 0.3


def test_too_few_rows_mean_no_hold_out_with_a_warning(student, table):
    X, y = table
    with pytest.warns(UserWarning, match="Only 8 of 40 rows would be held out"):
        clf = student().fit(X[:40], y[:40])
    assert clf.temperature_ == clf.teacher_temperature_ == 1
    assert "valid_loss" not in clf.history[-1]


def test_one_group_means_no_hold_out_with_a_warning(teacher, table):
    X, y = table
    with pytest.warns(UserWarning, match=r"Only 0 of 240 rows.*Pass more rows, more groups, a larger"):
        teacher().fit(X, y, groups=np.ones(len(y)))


def test_rows_of_weight_zero_do_not_count_as_a_hold_out(teacher, table):
    X, y = table
    weight = np.zeros(len(y))
    weight[:30] = 1
    with pytest.warns(UserWarning, match=r"Only \d of 240 rows would be held out"):
        teacher().fit(X, y, sample_weight=weight)


def test_no_split_trains_on_everything_without_a_warning(student, table):
    X, y = table
    clf = student(train_split=None, callbacks=[SplitRecorder()]).fit(X, y)
    train, valid = parts(clf)
    assert valid is None
    assert len(train) == len(X)
    assert clf.temperature_ == clf.teacher_temperature_ == 1


@pytest.mark.parametrize("passed_on", ["default teacher", "own net as teacher"])
@pytest.mark.parametrize(
    "split", [0.3, ValidSplit(4, stratified=True), ValidSplit(0.25, stratified=True, random_state=3)]
)
def test_teacher_and_student_share_one_hold_out(student, table, split, passed_on):
    X, y = numbered(table)
    own = TeacherClassifier(
        max_epochs=2, train_split=None, callbacks=[SplitRecorder()], random_state=9, device="cpu"
    )
    clf = student(
        train_split=split,
        callbacks=[SplitRecorder()],
        teacher=own if passed_on == "own net as teacher" else None,
    ).fit(X, y)
    for mine, its in zip(parts(clf), parts(clf.teacher_), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert clf.teacher_temperature_ != 1


def test_a_predefined_split_is_shared_and_all_rows_train(student, table):
    X, y = numbered(table)
    valid = predefined_split(Dataset(X[:60].astype(np.float32), y[:60]))
    clf = student(train_split=valid, callbacks=[SplitRecorder()]).fit(X[60:], y[60:])
    for net in (clf, clf.teacher_):
        train, held_out = parts(net)
        assert row_numbers(train) == set(range(60, len(X)))
        assert row_numbers(held_out) == set(range(60))
    assert clf.temperature_ != 1


def test_a_predefined_torch_dataset_brings_its_labels(teacher, table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    X = torch.as_tensor(X, dtype=torch.float32)
    valid = torch.utils.data.TensorDataset(X[:60], torch.as_tensor(codes[:60]))
    by_dataset = teacher(train_split=predefined_split(valid)).fit(X[60:], codes[60:])
    by_arrays = teacher(train_split=predefined_split(Dataset(X[:60], codes[:60]))).fit(X[60:], codes[60:])
    np.testing.assert_allclose(by_dataset.temperature_, by_arrays.temperature_, rtol=1e-4)


def test_an_unknown_class_in_a_predefined_split_is_refused(teacher, table):
    X, y = table
    valid = predefined_split(Dataset(X[:60].astype(np.float32), np.full(60, "dog")))
    with pytest.raises(ValueError, match=r"not among the classes: \['dog'\]"):
        teacher(train_split=valid).fit(X[60:], y[60:])


def test_a_predefined_split_without_labels_is_refused(teacher, table):
    X = torch.as_tensor(table[0], dtype=torch.float32)
    bare = predefined_split(torch.utils.data.TensorDataset(X[:60]))
    with pytest.raises(ValueError, match=r"hold-out.* pairs \(x, y\).*; got tuple of length 1"):
        teacher(train_split=bare).fit(*table)


@pytest.mark.parametrize("as_dataset", [False, True])
def test_rows_in_the_place_of_a_split_say_how_to_pass_them(teacher, table, as_dataset):
    X, y = table
    rows = Dataset(X[:60], y[:60]) if as_dataset else (X[:60], y[:60])
    with pytest.raises(ValueError, match=r"predefined_split\(.*; got (Dataset|tuple)\.$") as caught:
        teacher(train_split=rows).fit(X[60:], y[60:])
    assert isinstance(caught.value, TypeError)


def test_groups_reach_a_splitter_of_the_user(teacher, table):
    X, y = numbered(table)
    groups = np.arange(len(y)) // 7
    clf = teacher(train_split=ValidSplit(GroupKFold(5)), callbacks=[SplitRecorder()])
    train, valid = parts(clf.fit(X, y, groups=groups))
    assert not set(groups[sorted(row_numbers(train))]) & set(groups[sorted(row_numbers(valid))])


def test_a_class_without_a_training_row_is_told(teacher, table):
    X, y = table
    order = np.argsort(y, kind="stable")
    with pytest.warns(UserWarning, match=r"No row of class \['ant'\] is in the training part"):
        teacher(train_split=ValidSplit(3)).fit(X[order], y[order])


def test_a_split_that_returns_other_data_is_refused(teacher, table):
    with pytest.raises(ValueError, match="train_split must return"):
        teacher(train_split=lambda dataset, y: ([1], [2])).fit(*table)
    with pytest.raises(TypeError, match=r"must return a pair.* got ValidSplit.*ValidSplit\(5\)"):
        teacher(train_split=ValidSplit).fit(*table)
    with pytest.raises(TypeError, match=r"called as train_split\(dataset, y\).* too many positional"):
        teacher(train_split=lambda dataset: (dataset, dataset)).fit(*table)
    X, y = table
    with pytest.raises(TypeError, match=r"train_split\(dataset, y, groups=groups\).*'groups'"):
        teacher(train_split=lambda dataset, y: (dataset, dataset)).fit(X, y, groups=np.arange(len(y)))
