"""What goes in: kinds of X, y and metadata that work, and clear errors for those that do not."""

from datetime import date
from enum import Enum

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix, dok_array
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Checkpoint, EarlyStopping
from skorch.helper import SliceDataset, SliceDict, predefined_split
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils._net.inputs import dataset_labels
from sk_ils._sklearn_compat import InvalidParameterError
from sk_ils.classifiers import NonFiniteLossError
from sk_ils.metrics import expected_calibration_error
from sk_ils.smoothing import ILS1


class Pairs(Dataset):
    """A user's Dataset, without targets."""

    def __init__(self, X, y):
        self.X_, self.y_ = torch.as_tensor(X, dtype=torch.float32), y

    def __len__(self):
        return len(self.y_)

    def __getitem__(self, index):
        return self.X_[index], self.y_[index]


class WithTargets(Pairs):
    """A Dataset in torchvision's manner: labels of all rows in `targets`, read items are counted."""

    def __init__(self, X, y, target_transform=None):
        super().__init__(X, y)
        self.targets = y
        self.target_transform = target_transform
        self.read = 0

    def __getitem__(self, index):
        self.read += 1
        x, y = super().__getitem__(index)
        return x, y if self.target_transform is None else self.target_transform(y)


class Relabelled(Dataset):
    """A wrapper that changes items and passes everything else on, `targets` too."""

    def __init__(self, inner, index=None, relabel=lambda y: y):
        self.inner, self.relabel = inner, relabel
        self.index = range(len(inner)) if index is None else index

    def __len__(self):
        return len(self.index)

    def __getitem__(self, number):
        x, y = self.inner[self.index[number]]
        return x, self.relabel(y)

    def __getattr__(self, name):
        return getattr(self.__dict__["inner"], name)


class SmallConvNet(nn.Module):
    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.channels = n_features_in
        self.layers = nn.Sequential(
            nn.Conv2d(n_features_in, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.LazyLinear(n_classes),
        )

    def forward(self, X):
        return self.layers(X)


class TokenNet(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.embedding = nn.EmbeddingBag(17, 8)
        self.output = nn.Linear(8, n_classes)

    def forward(self, X):
        return self.output(self.embedding(X))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["x", "y", "z"]),
        np.array(["x", "y", "z"], dtype=object),
        np.array([-5, 3, 100]),
        np.array([1, 2, 3], dtype=np.int32),
        np.array([1.0, 2.0, 3.0]),
        pd.Series(["x", "y", "z"], dtype="category").to_numpy(),
    ],
    ids=lambda labels: f"{labels.dtype}",
)
def test_labels_of_any_kind_give_the_same_network(student, table, labels):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    reference = student().fit(X, codes)
    clf = student().fit(X, labels[codes])
    np.testing.assert_array_equal(clf.classes_, np.unique(labels))
    np.testing.assert_array_equal(clf.predict_proba(X), reference.predict_proba(X))
    np.testing.assert_array_equal(clf.predict(X), labels[reference.predict(X)])


@pytest.mark.parametrize("convert", [list, pd.Series, torch.as_tensor])
def test_labels_come_in_any_container(student, table, convert):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    np.testing.assert_array_equal(
        student().fit(X, convert(codes)).predict_proba(X), student().fit(X, codes).predict_proba(X)
    )


def test_two_classes_may_be_booleans(student, table):
    X, y = table
    clf = student().fit(X, y == "ant")
    assert clf.predict(X).dtype == bool
    log_odds = clf.decision_function(X)
    assert log_odds.shape == (len(X),)
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), clf.predict_proba(X)[:, 1])
    np.testing.assert_array_equal(clf.predict(X), log_odds > 0)


@pytest.mark.parametrize("convert", [pd.DataFrame, torch.as_tensor, np.ndarray.tolist])
def test_inputs_come_in_any_container(student, table, convert):
    X, y = table
    X_in = convert(X)
    if convert is pd.DataFrame:
        X_in.columns = list("abcdef")
    clf = student().fit(X_in, y)
    np.testing.assert_array_equal(clf.predict_proba(X_in), student().fit(X, y).predict_proba(X))
    if convert is pd.DataFrame:
        np.testing.assert_array_equal(clf.feature_names_in_, list("abcdef"))


def test_images_reach_a_users_module_with_its_sizes(student):
    images, y = load_digits(return_X_y=True)
    X = images[:300].reshape(-1, 1, 8, 8) / 16
    clf = student(module=SmallConvNet, max_epochs=15).fit(X, y[:300])
    assert clf.module_.channels == 1
    assert clf.n_features_in_ == 1
    assert clf.score(X, y[:300]) > 0.8
    with pytest.raises(ValueError, match=r"rows of shape \(1, 7, 8\).*fitted on rows of shape \(1, 8, 8\)"):
        clf.predict(X[:, :, 1:])
    with pytest.raises(ValueError, match=r"shape \(1, 8, 8\), but .* \(n_samples, 1, 8, 8\).*X\[None\]\.$"):
        clf.predict(X[0])
    with pytest.raises(ValueError, match=r"shape \(300, 8, 8\), but .* \(n_samples, 1, 8, 8\)\.$"):
        clf.predict(X[:, 0])


def test_images_go_into_the_default_network_too(student):
    images, y = load_digits(return_X_y=True)
    X = images[:300].reshape(-1, 1, 8, 8) / 16
    flat = student().fit(X.reshape(300, 64), y[:300])
    np.testing.assert_allclose(
        student().fit(X, y[:300]).predict_proba(X), flat.predict_proba(X.reshape(300, 64))
    )


def test_integer_tokens_stay_integers_when_dtype_is_none(student):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    X = rng.integers(0, 8, (200, 5)) + 8 * y[:, None]
    clf = student(module=TokenNet, dtype=None, max_epochs=20).fit(X, y)
    assert clf.score(X, y) > 0.95
    with pytest.raises(ValueError, match=r"Long, Int.*takes whole numbers.*dtype=None"):
        student(module=TokenNet).fit(X, y)


def test_float64_trains_in_float64(student, table):
    X, y = table
    clf = student(dtype="float64").fit(X, y)
    assert next(clf.module_.parameters()).dtype == torch.float64
    assert next(clf.teacher_.module_.parameters()).dtype == torch.float64
    np.testing.assert_allclose(clf.predict_proba(X), student().fit(X, y).predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("kind", [Pairs, WithTargets])
@pytest.mark.parametrize("explicit", [True, False])
def test_a_dataset_gives_the_network_of_its_arrays(student, table, kind, explicit):
    X, y = table
    if kind is WithTargets and not explicit:
        clf = student().fit(kind(X, y))
    else:
        clf = student().fit(
            kind(X, y.tolist() if kind is Pairs and not explicit else y), y if explicit else None
        )
    np.testing.assert_allclose(clf.predict_proba(kind(X, y)), student().fit(X, y).predict_proba(X), atol=1e-5)
    assert set(clf.predict(kind(X, y))) <= set(y)
    assert clf.n_features_in_ == 6


def test_a_tensor_dataset_brings_its_own_labels(student, table):
    X, y = table
    codes = torch.as_tensor(np.unique(y, return_inverse=True)[1])
    dataset = TensorDataset(torch.as_tensor(X, dtype=torch.float32), codes)
    clf = student().fit(dataset)
    np.testing.assert_array_equal(clf.classes_, [0, 1, 2])


def test_labels_of_a_dataset_are_those_of_its_items(teacher, table):
    X, y = table
    insects = {"ant": "insect", "bee": "insect", "cat": "cat"}
    whole = WithTargets(X, y)
    halves = [torch.utils.data.Subset(whole, range(start, start + 120)) for start in (0, 120)]
    for dataset, labels in [
        (WithTargets(X, y, target_transform=insects.get), [insects[name] for name in y]),
        (halves[1], y[120:]),
        (torch.utils.data.ConcatDataset(halves[::-1]), np.roll(y, 120)),
        (TensorDataset(torch.as_tensor(X).float(), torch.arange(len(y)) % 2), np.arange(len(y)) % 2),
    ]:
        clf = teacher(max_epochs=1).fit(dataset)
        np.testing.assert_array_equal(clf.classes_, np.unique(labels))
        given = teacher(max_epochs=1).fit(dataset, np.asarray(labels))
        np.testing.assert_array_equal(clf.predict_proba(dataset), given.predict_proba(dataset))


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (
            lambda d: Relabelled(d, relabel={"ant": "bee", "bee": "bee", "cat": "cat"}.get),
            "targets.*is 'ant'",
        ),
        (lambda d: Relabelled(d, index=range(60)), "60 items, but 240 targets"),
        (lambda d: Relabelled(d, index=range(239, -1, -1)), "contradicts itself: item"),
    ],
    ids=["relabelled", "filtered", "turned"],
)
def test_targets_that_contradict_the_items_are_refused(student, table, wrap, message):
    X, y = table
    dataset = wrap(WithTargets(X, y))
    assert_refused(student(), message, X=dataset)
    y_of_items = np.array([label for _, label in (dataset[index] for index in range(len(dataset)))])
    assert set(student(max_epochs=1).fit(dataset, y_of_items).classes_) == set(y_of_items)


def test_of_a_large_dataset_with_targets_few_items_are_read_and_one_of_each_class(teacher):
    y = np.zeros(20_001, dtype=int)
    y[10_007] = 1  # between the items that are read anyway
    dataset = WithTargets(np.zeros((len(y), 1)), torch.as_tensor(y))
    np.testing.assert_array_equal(dataset_labels(dataset), y)
    assert dataset.read <= 1002
    with pytest.raises(ValueError, match=r"item 10007 has the label 0, but targets\[10007\] is 1"):
        dataset_labels(Relabelled(dataset, relabel=lambda y: 0 * y))


def test_a_hold_out_of_a_users_own_dataset_has_the_labels_of_its_items(teacher, table):
    X, y = table

    class Own(Pairs):
        def __init__(self, X, y):
            super().__init__(X, y)
            self.X, self.y = X, np.roll(y, 1)

    valid = predefined_split(Own(X[:60], y[:60]))
    plain = predefined_split(Pairs(X[:60], y[:60]))
    one, other = (teacher(train_split=split).fit(X[60:], y[60:]) for split in (valid, plain))
    assert one.history[:, "valid_loss"] == other.history[:, "valid_loss"]


def test_a_users_collate_function_sees_his_items_only(student, table):
    X, y = table
    seen = []

    def collate(items):
        seen.append(type(items[0][1]).__name__)
        return torch.stack([x for x, _ in items]), torch.zeros(len(items))

    student(iterator_train__collate_fn=collate, iterator_valid__collate_fn=collate).fit(Pairs(X, y))
    assert set(seen) == {"str_"}


def test_arrays_go_through_another_loader_if_one_is_asked_for(student, table):
    X, y = table
    clf = student(iterator_train=torch.utils.data.DataLoader).fit(X, y)
    assert clf.score(X, y) > 0.5


def test_sample_weight_counts_as_repetition_also_in_the_hold_out(teacher, table):
    X, y = table
    weight = np.arange(len(y)) % 3
    valid = np.arange(len(y)) % 4 == 0
    exact = {"batch_size": -1, "dtype": "float64", "max_epochs": 20}

    def split_by(mask):
        index = np.arange(len(mask))

        def split(dataset, y, groups=None):
            return (torch.utils.data.Subset(dataset, index[part]) for part in (~mask, mask))

        return split

    weighted = teacher(train_split=split_by(valid), **exact).fit(X, y, sample_weight=weight)
    repeated = teacher(train_split=split_by(np.repeat(valid, weight)), **exact).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight)
    )
    np.testing.assert_allclose(weighted.history[:, "valid_loss"], repeated.history[:, "valid_loss"])
    np.testing.assert_allclose(weighted.history[:, "valid_acc"], repeated.history[:, "valid_acc"])
    # Not the temperature: its prior counts against Kish's effective number of rows.
    for clf in weighted, repeated:
        clf.temperature_ = 1.0
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-3)


BAD = {
    "NaN in X": (lambda X, y: {"X": np.where(np.arange(6) == 2, np.nan, X), "y": y}, "NaN"),
    "infinity in X": (lambda X, y: {"X": np.where(np.arange(6) == 2, np.inf, X), "y": y}, "infinity"),
    "one-dimensional X": (lambda X, y: {"X": X[:, 0], "y": y}, "2D array"),
    "no y": (lambda X, y: {"X": X, "y": None}, "requires y to be passed"),
    "short y": (lambda X, y: {"X": X, "y": y[:-1]}, "inconsistent numbers of samples"),
    "continuous y": (lambda X, y: {"X": X, "y": X[:, 0]}, "continuous"),
    "NaN in y": (lambda X, y: {"X": X, "y": np.where(y == "ant", np.nan, 1.0)}, "y contains NaN"),
    "infinity in y": (lambda X, y: {"X": X, "y": np.where(y == "ant", np.inf, 1.0)}, "y contains infinity"),
    "None in y": (lambda X, y: {"X": X, "y": np.where(y == "ant", None, y)}, "None or NA"),
    "NA in y": (lambda X, y: {"X": X, "y": pd.Series(np.where(y == "ant", pd.NA, y))}, "None or NA"),
    "mixed y": (lambda X, y: {"X": X, "y": np.where(y == "ant", 1, y.astype(object))}, "mix|string"),
    "one class": (lambda X, y: {"X": X, "y": np.full(len(y), "ant")}, "one class only"),
    "two-dimensional y": (lambda X, y: {"X": X, "y": np.c_[y, y]}, "1d array"),
    "short weights": (lambda X, y: {"X": X, "y": y, "sample_weight": [1.0]}, "sample_weight"),
    "negative weights": (lambda X, y: {"X": X, "y": y, "sample_weight": -np.ones(len(y))}, "egative"),
    "zero weights": (lambda X, y: {"X": X, "y": y, "sample_weight": np.zeros(len(y))}, "zero"),
    "short groups": (lambda X, y: {"X": X, "y": y, "groups": [1]}, "groups has 1 values"),
    "empty Dataset": (lambda X, y: {"X": Pairs(X[:0], y[:0])}, "at least one item"),
    "one-hot y": (
        lambda X, y: {"X": X, "y": np.eye(3)[np.unique(y, return_inverse=True)[1]]},
        r"argmax\(axis=1",
    ),
    "several labels a row": (
        lambda X, y: {"X": X, "y": np.c_[np.ones(len(y)), y == y[0]]},
        "a classifier for each column, as by MultiOutputClassifier",
    ),
    "one-hot y of a Dataset": (lambda X, y: {"X": Pairs(X, torch.eye(3)[np.arange(len(y)) % 3])}, "argmax"),
    "labels of an Enum": (
        lambda X, y: {"X": X, "y": [Size(1 + "abc".index(name[0])) for name in y]},
        "type Size.*names or values",
    ),
    "None in groups": (lambda X, y: {"X": X, "y": y, "groups": [None, *y[1:]]}, "groups contains NaN, None"),
    "mixed groups": (
        lambda X, y: {"X": X, "y": y, "groups": np.array([1, *y[1:]], dtype=object)},
        "groups mixes types",
    ),
    "Dataset of x only": (lambda X, y: {"X": list_dataset(X), "y": y}, "pairs"),
    "booleans of type object": (
        lambda X, y: {"X": X, "y": (y == y[0]).astype(object)},
        r"type object.*values of the type bool.*y\.astype\(bool\)",
    ),
    "dates as labels": (
        lambda X, y: {"X": X, "y": pd.Series([date(2020, 1, 1 + (name == y[0])) for name in y])},
        r"values of the type date.*astype\(str\)",
    ),
}
TABLE = pd.DataFrame({"age": [1.0, 2.0], "city": ["a", "b"], "day": pd.to_datetime(["2020-01-01"] * 2)})
NO_TABLE = {
    "dict": (lambda X: {"ids": X, "mask": X}, r"keys \['ids', 'mask'\].*Dataset whose items"),
    "SliceDict": (lambda X: SliceDict(ids=X), "SliceDict with the keys.*Dataset whose items"),
    "list of dicts": (lambda X: [{"a": 1.0} for _ in X], "DictVectorizer"),
    "DataLoader": (lambda X: torch.utils.data.DataLoader(X), "pass its Dataset, and batch_size"),
    "sparse": (csr_matrix, r"X is sparse.*OneHotEncoder\(sparse_output=False\)"),
    "sparse, as a dict": (dok_array, r"X is sparse.*OneHotEncoder\(sparse_output=False\)"),
    "list of pairs": (lambda X: [(torch.as_tensor(x), 0) for x in X], "SmoothingSearchCV.*SliceDataset"),
    "frame": (
        lambda X: TABLE.loc[np.arange(len(X)) % 2],
        r"'city' \(\w+\), 'day' \(datetime.*TableVectorizer",
    ),
    "category": (
        lambda X: TABLE[["city"]].astype("category").loc[np.arange(len(X)) % 2],
        r"'city' \(category\)",
    ),
    "strings": (lambda X: np.where(X > 0, "low", "high")[:, :2], r"0 \(<U4\), 1 \(<U4\).*OrdinalEncoder"),
    "missing values of pandas": (
        lambda X: pd.DataFrame({"a": pd.array([pd.NA, *range(len(X) - 1)], dtype="Int64"), "b": X[:, 0]}),
        "Input X contains NaN in the columns 'a': fill",
    ),
    "missing values": (
        lambda X: np.where(np.arange(X.shape[1]) == 2, np.nan, X),
        r"NaN in the columns 2: .*SimpleImputer\(add_indicator=True\) or by skrub",
    ),
    "missing values of pixels": (lambda X: np.full((len(X), 2, 2), np.nan), "Input X contains NaN: fill"),
    "list of strings": (lambda X: [[1.0, "low"] for _ in X], r"1 \(object\)"),
    "dates only": (
        lambda X: TABLE[["day"]].loc[np.arange(len(X)) % 2],
        r"'day' \(datetime64.*TableVectorizer",
    ),
    "dates only, some missing": (
        lambda X: pd.DataFrame({"day": [pd.NaT, *pd.date_range("2020-01-01", periods=len(X) - 1)]}),
        r"'day' \(datetime64.*TableVectorizer",
    ),
    "array of durations": (
        lambda X: (1000 * X).astype("timedelta64[s]"),
        r"0 \(timedelta64\[s\]\), 1 \(timedelta64",
    ),
}
TEACHER_PROBA = {
    "NaN": (lambda P: np.where(P > 2, P, np.nan), "holds nan"),
    "short": (lambda P: P[:-1], "shape"),
    "another number of classes": (lambda P: P[:, :2], "one column for"),
    "logits": (lambda P: np.log(P), "probabilities"),
    "sums of 2": (lambda P: 2 * P, "probabilities"),
    "strings": (lambda P: P.astype(str), "numbers"),
}


Size = Enum("Size", ["small", "middle", "large"])


def list_dataset(X):
    class Single(Pairs):
        def __getitem__(self, index):
            return self.X_[index]

    return Single(X, np.zeros(len(X)))


def assert_refused(clf, message, **fit_parameters):
    epochs = []
    with pytest.raises(ValueError, match=message):
        clf.set_params(callbacks=[("count", EpochCounter(epochs))]).fit(**fit_parameters)
    assert not epochs, "training began before the error"
    assert not hasattr(clf, "classes_")


class EpochCounter:
    """A callback that notes each epoch."""

    def __init__(self, epochs):
        self.epochs = epochs

    def initialize(self):
        return self

    def set_params(self, **_):
        return self

    def get_params(self, deep=True):
        return {}

    def on_epoch_begin(self, *_, **__):
        self.epochs.append(1)

    def __getattr__(self, name):
        if name.startswith("on_"):
            return lambda *_, **__: None
        raise AttributeError(name)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_training(student, table, case):
    change, message = BAD[case]
    assert_refused(student(), message, **change(*table))


@pytest.mark.parametrize("case", NO_TABLE)
def test_what_is_no_table_of_numbers_is_refused_with_the_way_out(student, table, case):
    X, y = table
    change, message = NO_TABLE[case]
    with pytest.raises((TypeError, ValueError), match=message):
        student().fit(change(X), y)


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: torch.as_tensor(a).requires_grad_(),
        lambda a: torch.as_tensor(a).to_sparse(),
        lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
        lambda a: a[::-1][::-1].astype(">f8"),
    ],
    ids=["with gradient", "sparse tensor", "read-only", "big-endian"],
)
def test_arrays_in_any_state_give_the_same_network(student, table, convert):
    X, y = table
    weight, proba = np.linspace(0.5, 1.5, len(y)), np.tile([0.2, 0.3, 0.5], (len(y), 1))
    plain = student().fit(X, y, sample_weight=weight, teacher_proba=proba)
    clf = student().fit(convert(X), y, sample_weight=convert(weight), teacher_proba=convert(proba))
    np.testing.assert_array_equal(clf.predict_proba(convert(X)), plain.predict_proba(X))


def test_columns_of_a_frame_may_be_weights_labels_and_groups(student, table):
    X, y = table
    frame = pd.DataFrame({"y": y, "weight": np.linspace(0.5, 1.5, len(y)), "group": np.arange(len(y)) // 4})
    plain = student().fit(X, y, sample_weight=frame.weight.to_numpy(), groups=frame.group.to_numpy())
    clf = student().fit(X, frame.y, sample_weight=frame.weight, groups=frame.group)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


def test_slices_of_a_dataset_go_through_scikit_learns_cross_validation(student, table):
    X, y = table
    dataset = Pairs(X, y)
    sliced = cross_val_score(student(max_epochs=1), SliceDataset(dataset, 0), SliceDataset(dataset, 1), cv=2)
    np.testing.assert_array_equal(sliced, cross_val_score(student(max_epochs=1), X, y, cv=2))
    with pytest.raises(TypeError, match="SliceDataset"):
        cross_val_score(student(), dataset, y, cv=2, error_score="raise")


@pytest.mark.parametrize("case", TEACHER_PROBA)
def test_bad_teacher_probabilities_are_refused_before_training(student, table, case):
    X, y = table
    change, message = TEACHER_PROBA[case]
    proba = np.full((len(y), 3), 1 / 3)
    assert_refused(student(), message, X=X, y=y, teacher_proba=change(proba))


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("names", [["ant", "bee", "cat"], [0, 1, 2], [1, 2, 3]])
def test_the_columns_of_teacher_probabilities_go_by_their_names(student, table, names, text):
    X, y = table[0], np.array(names)[np.unique(table[1], return_inverse=True)[1]]
    proba = np.random.default_rng(0).dirichlet(np.ones(3), size=len(y))
    frame = pd.DataFrame(proba, columns=[str(name) for name in names] if text else names)
    plain, named = (
        student(smoothing="ils2", max_epochs=2).fit(X, y, teacher_proba=given).predict_proba(X)
        for given in (proba, frame.iloc[:, [2, 0, 1]])
    )
    np.testing.assert_array_equal(plain, named)


def test_other_names_of_the_columns_of_teacher_probabilities_are_refused(student, table):
    X, y = table
    frame = pd.DataFrame(np.full((len(y), 3), 1 / 3), columns=["p_ant", "p_bee", "p_cat"])
    message = r"columns are \['p_ant', .*the labels \['ant', 'bee', 'cat'\]"
    assert_refused(student(), message, X=X, y=y, teacher_proba=frame)


def test_teacher_probabilities_are_tensors_or_rounded(student, table):
    X, y = table
    proba = np.random.default_rng(0).dirichlet(np.ones(3), size=len(y))
    clf = student(smoothing="ils2", max_epochs=2)
    plain = clf.fit(X, y, teacher_proba=proba).predict_proba(X)
    tensor = torch.tensor(proba, requires_grad=True)
    np.testing.assert_array_equal(clf.fit(X, y, teacher_proba=tensor).predict_proba(X), plain)
    with pytest.warns(UserWarning, match="rows of teacher_proba do not sum to 1"):
        clf.fit(X, y, teacher_proba=proba.round(3).tolist())
    np.testing.assert_allclose(clf.predict_proba(X), plain, atol=1e-2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"smoothing": "ilss"}, "Did you mean 'ils'"),
        ({"smoothing": 3}, "rule object"),
        ({"smoothing": "LS"}, "Did you mean 'uniform'"),
        ({"smoothing": 0.1}, r'Did you mean smoothing="uniform", smoothing__epsilon=0\.1'),
        ({"smoothing": "ils", "smoothing__shift": 1.5}, "shift"),
        ({"teacher_mode": "offline"}, "teacher_mode"),
        ({"teacher_cv": 1}, "teacher_cv"),
        ({"teacher_cv": 3, "teacher_mode": "online"}, "teacher_cv"),
        ({"teacher": "forest"}, "predict_proba"),
        ({"teacher": TeacherClassifier}, "predict_proba"),
        ({"train_split": 1.5}, "train_split"),
        ({"patience": 0}, "patience"),
        ({"dtype": "float16"}, "dtype"),
        ({"batch_size": 0}, "batch_size"),
        ({"max_epochs": -1}, "max_epochs"),
        ({"temperature_scaling": "yes"}, "temperature_scaling"),
        ({"random_state": "zero"}, "random_state"),
        ({"memory": 3}, "memory"),
    ],
)
def test_parameters_outside_their_range_are_refused_at_fit(student, table, parameters, message):
    clf = student(**parameters)
    with pytest.raises(InvalidParameterError, match=message):
        clf.fit(*table)
    assert not hasattr(clf, "classes_")


@pytest.mark.parametrize("size", [0, "auto", None, 2.5])
def test_a_batch_size_that_is_none_is_refused_in_prediction_too(teacher, table, size):
    clf = teacher().fit(*table)
    for parameters in ({"batch_size": size}, {"batch_size": 32, "iterator_valid__batch_size": size}):
        with pytest.raises(ValueError, match=f"batch_size must be an integer of at least 1.* {size!r}"):
            clf.set_params(**parameters).predict_proba(table[0])


def test_a_dataset_that_cannot_be_counted_is_refused(teacher, table):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([(torch.zeros(6), 0)])

    clf = teacher()
    with pytest.raises(ValueError, match=r"must have a length \(__len__\).* Stream without a length"):
        clf.fit(Stream(), table[1])
    clf.fit(*table)
    for stream in (Stream(), torch.utils.data.Dataset()):
        with pytest.raises(ValueError, match=r"must have a length \(__len__\)"):
            clf.predict_proba(stream)


@pytest.mark.parametrize("method", ["predict_proba", "forward"])
def test_a_dataset_without_items_has_nothing_to_predict(teacher, table, method):
    clf = teacher().fit(*table)
    with pytest.raises(ValueError, match="holds no rows: there is nothing to predict"):
        getattr(clf, method)(Subset(Pairs(*table), []))


def test_a_dataset_with_nan_has_no_outputs(teacher, table):
    X, y = table
    clf = teacher().fit(X, y)
    X = np.where(np.arange(len(X))[:, None] == 7, np.nan, X)
    for method in ("predict_proba", "forward"):
        with pytest.raises(ValueError, match="Item 7 of the Dataset Pairs holds NaN"):
            getattr(clf, method)(Pairs(X, y))


def test_a_dataset_that_miscounts_is_refused_in_any_kind_of_prediction(teacher, table):
    class Negative(Pairs):
        def __len__(self):
            return -1

    clf = teacher().fit(*table)
    for method in ("predict_proba", "forward"):
        with pytest.raises(ValueError, match=r"must have a length \(__len__\)"):
            getattr(clf, method)(Negative(*table))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_rows_without_a_number_are_refused(teacher, table, shape):
    X, y = np.empty((len(table[0]), *shape)), table[1]
    clf = teacher(train_split=None)
    for call in (lambda: clf.fit(X, y), lambda: clf.partial_fit(X, y, classes=np.unique(y))):
        with pytest.raises(ValueError, match=r"0 feature\(s\).* minimum of 1"):
            call()
    assert not hasattr(clf, "n_features_in_")
    clf.fit(*table)


@pytest.mark.parametrize(
    "name", ["criterion", "criterion__label_smoothing", "predict_nonlinearity", "classes"]
)
def test_parameters_that_would_change_the_method_are_refused(name):
    with pytest.raises(TypeError, match="cross-entropy"):
        TeacherClassifier(**{name: 0.1})


def test_a_misspelt_parameter_is_refused_with_the_nearest_name(student, table):
    with pytest.raises(TypeError, match=r"'max_epoch'; did you mean 'max_epochs'"):
        student(max_epoch=3).fit(*table)
    with pytest.raises(ValueError, match="unexpected argument"):
        student(modul__hidden_sizes=(3,)).fit(*table)
    with pytest.raises(ValueError, match=r"Invalid parameter 'max_epoch'"):
        student().set_params(max_epoch=3)


@pytest.mark.parametrize("given", ["constructor", "set_params"])
@pytest.mark.parametrize("smoothing", ["ils1", "instance"])
def test_a_parameter_that_the_rule_lacks_is_refused_with_those_that_it_has(given, smoothing):
    smoothing = ILS1() if smoothing == "instance" else smoothing
    constructed = {"smoothing__temperature": 2.0} if given == "constructor" else {}
    with pytest.raises(ValueError, match=r"temperature.*'curvature', 'max_epsilon', 'shift'"):
        InstanceSmoothedClassifier(smoothing=smoothing, **constructed).set_params(smoothing__temperature=2.0)


def test_a_module_with_other_outputs_than_classes_is_refused(student, table):
    X, y = table
    with pytest.raises(ValueError, match=r"one logit per class, shape \(n, 3\); it returned \(32, 7\)"):
        student(module=nn.Linear, module__in_features=6, module__out_features=7).fit(X, y)


def test_prediction_needs_a_fit_and_the_same_features(student, table):
    X, y = table
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(student(), method)(X)
    clf = student().fit(pd.DataFrame(X, columns=list("abcdef")), y)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(pd.DataFrame(X[:, :5], columns=list("abcde")))
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(pd.DataFrame(X, columns=list("abcdeg")))
    with pytest.raises(ValueError, match="expecting 6 features"):
        student().fit(X, y).predict(X[:, :5])
    with pytest.raises(ValueError, match="X holds no rows"):
        student(max_epochs=1).fit(X, y).predict(Pairs(X[:0], y[:0]))


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_loss_that_turns_nan_says_so_and_leaves_no_fitted_estimator(student, teacher, table, kind):
    X, y = table
    make = teacher if kind == "teacher" else student
    clf = make(lr=1e30, optimizer=torch.optim.SGD)
    with pytest.raises(NonFiniteLossError, match=r"loss of epoch \d+ is (nan|inf).*Lower lr"):
        clf.fit(X, y)
    assert not hasattr(clf, "classes_")
    with pytest.raises(NotFittedError):
        clf.predict(X)


class Ending(nn.Module):
    """A linear model with something at its end."""

    def __init__(self, n_features_in, n_classes, end):
        super().__init__()
        self.linear, self.end = nn.Linear(n_features_in, n_classes), end

    def forward(self, X):
        return self.end(self.linear(X))


def advice_in(recwarn):
    return [str(w.message) for w in recwarn if "remove" in str(w.message)]


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("searched", [False, True])
@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (nn.Softmax(dim=1), "softmax"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.LogSoftmax(dim=1), None),
        (nn.ReLU(), None),
    ],
)
def test_a_module_that_returns_probabilities_is_told_once(student, table, recwarn, end, kind, searched):
    clf = student(module=Ending, module__end=end, max_epochs=2)
    if searched:
        clf = SmoothingSearchCV(clf, {"smoothing": ["none", "uniform"]}, cv=2)
    clf.fit(*table)
    advice = advice_in(recwarn)
    assert len(advice) == (kind is not None)
    assert all(f"remove the last {kind}" in text for text in advice)


@pytest.mark.parametrize(
    "X",
    [
        set(range(240)),
        iter([[1.0]]),
        print,
        [[1.0, 2.0]] * 239 + [[1.0]],
        np.rec.fromarrays(np.ones((2, 240))),
    ],
    ids=["set", "iterator", "function", "ragged", "record"],
)
def test_what_numpy_cannot_read_is_named_as_x_with_its_type(teacher, table, X):
    with pytest.raises(
        (TypeError, ValueError), match=r"X cannot be read as numbers.*X is a \w+; pass an array"
    ):
        teacher().fit(X, table[1])


def test_columns_of_one_name_are_refused_by_it(teacher, table):
    X, y = table
    for values in (X, X.astype(object)):
        with pytest.raises(ValueError, match="X has several columns of the name 'a'"):
            teacher().fit(pd.DataFrame(values, columns=list("abacde")), y)
    with pytest.raises(ValueError, match="y_proba has several columns of the name 'a'"):
        expected_calibration_error([0, 1], pd.DataFrame([[0.5, 0.5], [0.1, 0.9]], columns=["a", "a"]))


class SparseLogits(nn.Linear):
    def __init__(self, n_features_in, n_classes):
        super().__init__(n_features_in, n_classes)

    def forward(self, X):
        return super().forward(X).to_sparse()


def beyond(data, y):
    return Subset(data, range(30)), Subset(data, range(30, 999))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"iterator_train__sampler": 3}, "sampler must be an iterable of row numbers; got 3"),
        ({"iterator_train": None}, "'iterator_train' parameter of TeacherClassifier must be a callable"),
        ({"module": nn.Linear(6, 3, device="meta")}, "The module is on the device 'meta'"),
        ({"module": dict}, "module must be a torch Module, or what builds one"),
        ({"module": SparseLogits}, r"dense float Tensor .* it returned torch\.float32 torch\.sparse_coo"),
        ({"train_split": beyond}, "a Subset with the rows 30 to 998; there are 240"),
    ],
    ids=["sampler", "loader", "meta", "dict", "sparse logits", "rows beyond"],
)
def test_parts_that_cannot_work_are_refused_in_words(teacher, table, parameters, message):
    with pytest.raises((TypeError, ValueError), match=message):
        teacher(**parameters).fit(*table)


class DoubleLinear(nn.Linear):
    def __init__(self, n_features_in, n_classes):
        super().__init__(n_features_in, n_classes, dtype=torch.float64)


def test_longer_floats_than_torchs_are_read_as_float64(teacher, table):
    X, y = table
    clf = teacher(dtype=None, module=DoubleLinear, max_epochs=1)
    plain = clf.fit(X.astype(np.float64), y).predict_proba(X.astype(np.float64))
    long = X.astype(np.longdouble)
    np.testing.assert_array_equal(clf.fit(long, y).predict_proba(long), plain)
    logits = long[:, :3]
    np.testing.assert_array_equal(
        ILS1().targets(np.zeros(len(X), int), logits), ILS1().targets(np.zeros(len(X), int), X[:, :3])
    )


class Texts(Pairs):
    def __getitem__(self, index):
        return "text", 0


class Growing(Pairs):
    def __getitem__(self, index):
        return torch.zeros(3 + index % 2), 0


def test_items_of_unequal_size_are_refused_with_the_way_out(teacher, table):
    with pytest.raises(
        ValueError, match=r"items of the Dataset into one batch: .*iterator_valid__collate_fn"
    ):
        teacher().fit(Growing(*table), table[1])


def test_items_of_text_and_labels_without_an_order_are_told(teacher, table):
    X, y = table
    clf = teacher(max_epochs=1).fit(X, y)
    with pytest.raises(TypeError, match="A batch of type tuple cannot become Tensors"):
        clf.predict(Texts(X, y))
    with pytest.raises(ValueError, match="type Size, which cannot be sorted"):
        clf.score(X, np.array([Size(1)] * len(y), dtype=object))


@pytest.mark.parametrize("dtype", [torch.float8_e5m2, torch.float32], ids=["float8", "meta"])
def test_a_tensor_that_holds_no_readable_numbers_is_named(teacher, table, dtype):
    device = "cpu" if dtype == torch.float8_e5m2 else "meta"
    X = torch.empty((240, 6), dtype=dtype, device=device)
    with pytest.raises(
        ValueError, match=r"A Tensor of type float.* on the device .* cannot be read as numbers"
    ):
        teacher().fit(X, table[1])


@pytest.mark.parametrize("classes", [[None, 1], "ab", 3, [[0, 1]], [0, "a"]])
def test_classes_that_are_no_list_of_labels_are_refused(teacher, table, classes):
    X, y = table
    fitted = teacher().partial_fit(X, y, classes=np.unique(y))
    for clf in (teacher(), fitted):
        with pytest.raises(
            ValueError, match=r"classes must be a list|mix types|labels that are not|classes is"
        ):
            clf.partial_fit(X, y, classes=classes)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"class_weight": "balanced"},
            "'class_weight'; pass sample_weight to fit.*not for their true shares",
        ),
        ({"module_hidden_sizes": (8,)}, "'module_hidden_sizes'; did you mean 'module__hidden_sizes'"),
        ({"iterator_train_num_workers": 1}, "did you mean 'iterator_train__num_workers'"),
        ({"max_epoch": 3}, "did you mean 'max_epochs'"),
        ({"hidden_layer_sizes": (8,)}, "'hidden_layer_sizes'; here that is module__hidden_sizes"),
        ({"early_stopping": True}, "here that is patience=20"),
        ({"seed": 3}, "'seed'; here that is random_state"),
        ({"num_workers": 2}, "'num_workers'; here that is iterator_train__num_workers"),
        ({"gradient_clip_val": 1.0}, r"here that is callbacks=\[GradientNormClipping\(1.0\)\]"),
        ({"ensemble": True}, r"here that is SmoothingSearchCV\(classifier, ensemble=True\)"),
        ({"n_jobs": 2}, "here that is n_jobs of SmoothingSearchCV and CrossFittedClassifier"),
        ({"scheduler": "cosine"}, r"here that is callbacks=\[LRScheduler\(\.\.\.\)\]"),
        ({"optimizer": "adam"}, r"a class, got the name 'adam': pass torch\.optim\.Adam\.$"),
        ({"optimizer": "qwertz"}, "one of torch.optim, such as torch.optim.Adam"),
        ({"qwertz": 3}, r"unexpected parameter 'qwertz'\.$"),
    ],
)
def test_a_wrong_parameter_gets_the_hint_that_helps(teacher, table, parameters, message):
    with pytest.raises(TypeError, match=message):
        teacher(**parameters).fit(*table)


def test_a_name_in_the_modules_place_is_refused(student, teacher, table):
    with pytest.raises(TypeError, match=r"None, got 'ils'\. Did you mean smoothing='ils'\?$"):
        student(module="ils").fit(*table)
    with pytest.raises(TypeError, match=r"'module' parameter .* or None\. Got 'ils' instead\.$"):
        teacher(module="ils").fit(*table)


def test_a_device_that_is_not_there_is_refused(teacher, table, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "cuda:1", torch.device("cuda")):
        with pytest.raises(ValueError, match=r"device=.*cuda.* needs a GPU that torch can use"):
            teacher(device=device).fit(*table)
    for device in ("mps", "meta"):
        with pytest.raises(
            ValueError, match=rf"torch cannot compute on device='{device}' here: pass 'auto' or 'cpu'"
        ):
            teacher(device=device).fit(*table)
    with pytest.raises(ValueError, match=r"device must be 'auto', 'cpu', 'cuda'.* got 'gpu'"):
        teacher(device="gpu").fit(*table)


def test_torchs_names_of_the_sizes_are_filled_in_too(teacher, table):
    class Net(nn.Linear):
        def __init__(self, in_features, num_classes):
            super().__init__(in_features, num_classes)

    X, y = table
    assert teacher(module=Net).fit(X, y).module_.weight.shape == (3, 6)


def test_a_dataset_brings_the_labels_of_its_score(teacher, table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    dataset = TensorDataset(torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(codes))
    clf = teacher().fit(X, codes)
    assert clf.score(dataset) == clf.score(X, codes)
    with pytest.raises(ValueError, match="y"):
        clf.score(X)
    with pytest.raises(ValueError, match=r"must yield pairs.* got tuple of length 1"):
        clf.score(TensorDataset(dataset.tensors[0]))
    with pytest.raises(ValueError, match=r"no labels, .*such as \(x, 0\); got a batch of type list"):
        clf.predict_proba(TensorDataset(dataset.tensors[0]))


def test_a_callback_that_is_none_or_not_there_is_refused(student, table):
    for callbacks in ([3], ["EarlyStopping"], [("stop", EarlyStopping(), 3)]):
        with pytest.raises(TypeError, match="callbacks must hold skorch callbacks"):
            student(callbacks=callbacks).fit(*table)
    for given in ([("stop", EarlyStopping())], [("step", EarlyStopping), Checkpoint, Checkpoint]):
        clf = student(callbacks=given, callbacks__stap__patience=3, callbacks__print_log=None)
        with pytest.raises(
            ValueError, match=r"callback 'stap', which does not exist; did you mean 'st[oe]p'"
        ):
            clf.fit(*table)


def test_parameters_of_one_of_two_checkpoints_are_not_the_teachers(student, table, tmp_path):
    callbacks = [Checkpoint(dirname=tmp_path / "a"), Checkpoint(dirname=tmp_path / "b")]
    student(callbacks=callbacks, callbacks__Checkpoint_2__f_history="h.json", max_epochs=1).fit(*table)
    assert (tmp_path / "b" / "h.json").exists()
