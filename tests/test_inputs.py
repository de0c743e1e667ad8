"""What goes in: kinds of X, y and metadata that work, and clear errors for those that do not."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier
from sk_ils._sklearn_compat import InvalidParameterError
from sk_ils.classifiers import NonFiniteLossError
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
    """A Dataset in torchvision's manner: labels of all rows in `targets`, items with a wrong dummy."""

    def __init__(self, X, y):
        super().__init__(X, np.zeros(len(y), dtype=int))
        self.targets = y


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
    np.testing.assert_allclose(weighted.temperature_, repeated.temperature_, rtol=1e-4)
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
    "Dataset of x only": (lambda X, y: {"X": list_dataset(X), "y": y}, "pairs"),
}
TEACHER_PROBA = {
    "NaN": (lambda P: np.where(P > 2, P, np.nan), "NaN"),
    "short": (lambda P: P[:-1], "shape"),
    "another number of classes": (lambda P: P[:, :2], "one column for"),
    "logits": (lambda P: np.log(P), "probabilities"),
    "sums of 2": (lambda P: 2 * P, "probabilities"),
    "strings": (lambda P: P.astype(str), "numbers"),
}


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


@pytest.mark.parametrize("case", TEACHER_PROBA)
def test_bad_teacher_probabilities_are_refused_before_training(student, table, case):
    X, y = table
    change, message = TEACHER_PROBA[case]
    proba = np.full((len(y), 3), 1 / 3)
    assert_refused(student(), message, X=X, y=y, teacher_proba=change(proba))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"smoothing": "ilss"}, "Did you mean 'ils'"),
        ({"smoothing": 3}, "rule object"),
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


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_loss_that_turns_nan_says_so_and_leaves_no_fitted_estimator(student, teacher, table, kind):
    X, y = table
    make = teacher if kind == "teacher" else student
    clf = make(lr=1e30, optimizer=torch.optim.SGD)
    with pytest.raises(NonFiniteLossError, match=r"loss of epoch \d+ is (nan|inf).*Lower lr"):
        clf.fit(1000 * X, y)
    assert not hasattr(clf, "classes_")
    with pytest.raises(NotFittedError):
        clf.predict(X)
