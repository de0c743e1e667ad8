"""Teachers of every kind, what the student sees of them, and the cache of fitted ones."""

import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from types import ModuleType

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.dataset import Dataset as SkorchDataset
from skorch.helper import predefined_split
from torch.utils.data import Dataset, TensorDataset

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier, classifiers
from sk_ils._net.teacher_cache import content
from sk_ils.smoothing import ILS, ILS1, ILS2, SelfDistillation
from sk_ils.temperature import fit_temperature


class Record(list):
    """A list that is no part of what a teacher is: copies of it begin empty."""

    def __reduce_ex__(self, protocol):
        return Record, ()


class Recording(ClassifierMixin, BaseEstimator):
    """A teacher that notes what it was given, in a list that its clones share."""

    calls = Record()

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        self.calls.append((X, y, self.random_state))
        self.classes_ = np.unique(y)
        self.model_ = GaussianNB().fit(np.asarray(X), y, sample_weight)
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(np.asarray(X))


@pytest.fixture
def calls():
    Recording.calls.clear()
    return Recording.calls


class Constant(ClassifierMixin, BaseEstimator):
    """A teacher that says the same whatever it was fitted on, and notes the rows of each question.

    The first column of X is a name of the row. The notes are in a list that its clones share.
    """

    questions = []  # noqa: RUF012

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.fitted_on_ = X[:, 0]
        return self

    def predict_proba(self, X):
        self.questions.append((self.fitted_on_, X[:, 0]))
        return softmax(X[:, 1:4], axis=1)


class PickyRule:
    """A user's own rule: an object with the methods, NumPy in and out."""

    needs_teacher = True

    def __init__(self, amount=0.1):
        self.amount = amount

    def __repr__(self):
        return "PickyRule"

    def targets(self, y, teacher_logits, student_logits=None):
        assert isinstance(teacher_logits, np.ndarray)
        onehot = np.eye(teacher_logits.shape[1])[y]
        return (1 - self.amount) * onehot + self.amount * softmax(teacher_logits, axis=1)

    def smoothing_factor(self, true_class_proba):
        return self.amount * (1 - np.asarray(true_class_proba))


class ListeningRule(PickyRule):
    """Notes the teacher's logits that it is given, in a list that its copies share."""

    heard = []  # noqa: RUF012

    def targets(self, y, teacher_logits, student_logits=None):
        self.heard.append(teacher_logits)
        return super().targets(y, teacher_logits, student_logits)


def split_by(held_out):
    """Return a split that holds out the rows of a mask."""
    index = np.arange(len(held_out))

    def split(dataset, y, groups=None):
        return (torch.utils.data.Subset(dataset, index[part]) for part in (~held_out, held_out))

    return split


def log_floored(proba):
    return np.log(np.maximum(proba, 1e-7))


def test_no_smoothing_equals_the_default_teacher_exactly(student, teacher, table):
    X, y = table
    shared = {"max_epochs": 12, "patience": 4, "optimizer__weight_decay": 0.1, "dtype": "float64"}
    none = student(smoothing="none", **shared).fit(X, y)
    smoothed = student(smoothing="ils", **shared).fit(X, y)
    alone = teacher(**shared).fit(X, y)
    assert none.teacher_ is None
    for other in (smoothed.teacher_, alone):
        np.testing.assert_array_equal(none.predict_proba(X), other.predict_proba(X))
    assert (none.predict_proba(X) != smoothed.predict_proba(X)).any()
    assert smoothed.teacher_temperature_ == alone.temperature_


@pytest.mark.parametrize(
    "smoothing",
    [
        "none",
        "uniform",
        "ils1",
        "ils2",
        "ils",
        "class",
        "distillation",
        "bootstrap",
        ILS(shift=1.0),
        PickyRule(),
    ],
    ids=repr,
)
def test_every_rule_trains_a_network_that_beats_the_prior(student, table, smoothing):
    X, y = table
    clf = student(smoothing=smoothing, max_epochs=20).fit(X, y)
    assert clf.score(X, y) > 0.6
    needs_teacher = clf.smoothing_.needs_teacher
    assert (clf.teacher_ is not None) == needs_teacher
    if not needs_teacher:
        with pytest.raises(AttributeError, match="without a teacher"):
            clf.teacher_predict_proba(X)


def test_a_rule_that_smooths_nothing_gives_the_hard_label_network(student, table):
    X, y = table
    hard = student(smoothing="none").fit(X, y).predict_proba(X)
    for smoothing in (
        ILS1(max_epsilon=0.0),
        ILS2(epsilon=0.0),
        ILS(curvature=0.0),
        SelfDistillation(weight=0.0),
    ):
        np.testing.assert_array_equal(student(smoothing=smoothing).fit(X, y).predict_proba(X), hard)


def test_the_rule_sees_the_teachers_logits_over_its_temperature(student, table):
    X, y = table
    clf = student().fit(X, y)
    expected = softmax(
        clf.teacher_._logits(torch.as_tensor(X, dtype=torch.float32)) / clf.teacher_temperature_, axis=1
    )
    np.testing.assert_allclose(clf.teacher_predict_proba(X), expected, rtol=1e-5)
    assert clf.teacher_temperature_ != 1
    given = student().fit(X, y, teacher_proba=clf.teacher_predict_proba(X))
    np.testing.assert_allclose(given.predict_proba(X), clf.predict_proba(X), atol=1e-4)
    assert given.teacher_ is None


@pytest.mark.parametrize(
    "teacher",
    [
        HistGradientBoostingClassifier(max_iter=10),
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        TeacherClassifier(max_epochs=3),
        InstanceSmoothedClassifier(smoothing="uniform", max_epochs=3),
    ],
    ids=lambda teacher: type(teacher).__name__,
)
@pytest.mark.parametrize("teacher_cv", [None, 3])
def test_any_unfitted_classifier_teaches_and_is_not_changed(student, table, teacher, teacher_cv):
    X, y = table
    clf = student(teacher=teacher, teacher_cv=teacher_cv).fit(X, y)
    assert type(clf.teacher_) is type(teacher)
    assert not hasattr(teacher, "classes_")
    assert clf.teacher_temperature_ != 1
    proba = clf.teacher_predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    again = student(teacher=teacher, teacher_cv=teacher_cv).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))


@pytest.mark.parametrize("smoothing", ["uniform", "ils2"])
def test_a_student_as_teacher_smooths_its_labels_too(student, table, smoothing):
    X, y = table
    alone = student(smoothing=smoothing, smoothing__epsilon=0.5)
    # a nested teacher takes the outer one's seed, as every network without a seed of its own does
    taught = student(teacher=student(smoothing=smoothing, smoothing__epsilon=0.5)).fit(X, y)
    np.testing.assert_array_equal(taught.teacher_.predict_proba(X), alone.fit(X, y).predict_proba(X))
    more = student(teacher=student(smoothing=smoothing, smoothing__epsilon=0.5))
    more.partial_fit(X, y, classes=np.unique(y))
    alone = student(smoothing=smoothing, smoothing__epsilon=0.5).partial_fit(X, y, classes=np.unique(y))
    np.testing.assert_array_equal(more.teacher_.predict_proba(X), alone.predict_proba(X))


def test_a_teacher_gets_the_training_rows_as_the_user_passed_them(student, table, calls):
    X, y = table
    frame = pd.DataFrame(X, columns=list("abcdef"), index=np.arange(len(y))[::-1])
    student(teacher=Recording()).fit(frame, y)
    ((rows, labels, random_state),) = calls
    assert isinstance(rows, pd.DataFrame)
    assert len(rows) == len(labels) == 192
    assert isinstance(random_state, int)
    np.testing.assert_array_equal(labels, y[len(y) - 1 - rows.index])


def test_out_of_fold_logits_come_from_teachers_that_did_not_see_the_row(student, table):
    X, y = table
    tree = RandomForestClassifier(n_estimators=10, bootstrap=False, random_state=0)
    seen = student(teacher=tree, smoothing="ils1").fit(X, y)
    unseen = student(teacher=tree, smoothing="ils1", teacher_cv=5).fit(X, y)
    # The forest is certain of every row that it has seen (1e-7 for the two others), so ILS1 is a constant.
    certain = softmax(np.log([1, 1e-7, 1e-7]) / seen.teacher_temperature_)[0]
    constant = float(ILS1().smoothing_factor(certain))
    hard = student(smoothing="uniform", smoothing__epsilon=constant * 3 / 2).fit(X, y)
    np.testing.assert_allclose(seen.predict_proba(X), hard.predict_proba(X), atol=1e-3)
    assert abs(unseen.predict_proba(X) - hard.predict_proba(X)).max() > 0.01
    assert len(unseen.teacher_.estimators_) == 10


def test_a_frozen_teacher_is_used_as_it_is_with_temperature_one(student, table):
    X, y = table
    fitted = LogisticRegression().fit(X, y)
    clf = student(teacher=FrozenEstimator(fitted)).fit(X, y)
    assert clf.teacher_.estimator is fitted
    assert clf.teacher_temperature_ == 1
    given = student().fit(X, y, teacher_proba=fitted.predict_proba(X))
    np.testing.assert_allclose(clf.predict_proba(X), given.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(clf.teacher_predict_proba(X), fitted.predict_proba(X))


def test_a_frozen_network_teaches_its_calibrated_probabilities(student, teacher, table):
    X, y = table
    fitted = teacher().fit(X, y)
    clf = student(teacher=FrozenEstimator(fitted)).fit(X, y)
    np.testing.assert_allclose(clf.teacher_predict_proba(X), fitted.predict_proba(X))


def test_classes_that_a_frozen_teacher_does_not_know_are_refused(student, table):
    X, y = table
    fitted = LogisticRegression().fit(X, np.where(y == "ant", "dog", y))
    with pytest.raises(ValueError, match=r"knows the classes \['bee', 'cat', 'dog'\], but y holds \['ant'"):
        student(teacher=FrozenEstimator(fitted)).fit(X, y)
    with pytest.raises(ValueError, match="features"):
        student(teacher=FrozenEstimator(LogisticRegression().fit(X[:, :3], y))).fit(X, y)
    with pytest.raises(NotFittedError):
        student(teacher=FrozenEstimator(LogisticRegression())).fit(X, y)


class Distorted(ClassifierMixin, BaseEstimator):
    """A teacher whose probabilities, or classes, are changed on their way out."""

    def __init__(self, change=None, classes=None):
        self.change = change
        self.classes = classes

    def fit(self, X, y):
        self.model_ = GaussianNB().fit(X, y)
        if self.classes != "missing":
            self.classes_ = self.model_.classes_ if self.classes is None else np.array(self.classes)
        return self

    def predict_proba(self, X):
        proba = self.model_.predict_proba(X)
        return proba if self.change is None else self.change(proba)


DISTORTED = {
    "one column": ({"change": lambda P: P[:, :1]}, r"one column for each class.*got \(\d+, 1\)"),
    "one column alone": ({"change": lambda P: P[:, 0]}, r"got \(\d+,\)"),
    "fewer rows": ({"change": lambda P: P[1:]}, r"must have shape"),
    "logits": ({"change": np.log}, r"between 0 and 1; row 0 holds -"),
    "zeros": ({"change": np.zeros_like}, r"must sum to 1; row 0 sums to 0"),
    "rows that sum to 2": ({"change": lambda P: 2 * P}, r"between 0 and 1; row|row 0 sums to 2"),
    "NaN": ({"change": lambda P: np.where(P.min() < P, P, np.nan)}, "holds nan"),
    "codes": ({"classes": [0, 1, 2]}, r"knows the classes \[0, 1, 2\], but y holds \['ant'.*not their codes"),
    "one class twice": ({"classes": ["ant", "bee", "bee"]}, r"each once"),
    "no classes": ({"classes": "missing"}, r"has no classes_"),
}


@pytest.mark.parametrize("use", ["cached", "out of fold", "online", "frozen", "frozen online"])
@pytest.mark.parametrize("case", DISTORTED)
def test_a_teacher_that_gives_no_probabilities_of_the_labels_is_refused(student, table, case, use):
    X, y = table
    parameters, message = DISTORTED[case]
    teacher = Distorted(**parameters)
    if use.startswith("frozen"):
        teacher = FrozenEstimator(teacher.fit(X, y))
    mode = "online" if "online" in use else "cached"
    clf = student(teacher=teacher, teacher_mode=mode, teacher_cv=2 if use == "out of fold" else None)
    with pytest.raises(ValueError, match=message) as error:
        clf.fit(X, y)
    assert "teacher Distorted" in str(error.value)
    assert not hasattr(clf, "classes_")


@pytest.mark.parametrize("frozen", [False, True])
def test_the_columns_of_a_teacher_go_by_its_classes_not_by_their_order(student, table, frozen):
    X, y = table
    turned = Distorted(change=lambda P: P[:, ::-1].astype(np.float32), classes=["cat", "bee", "ant"])
    plain = Distorted(change=lambda P: P.astype(np.float32))
    teachers = [FrozenEstimator(t.fit(X, y)) if frozen else t for t in (turned, plain)]
    one, other = (student(teacher=t).fit(X, y) for t in teachers)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


class Columns(BaseEstimator):
    """A step of a Pipeline that needs the names of the columns."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X[["f", "a"]].to_numpy()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("step", [StandardScaler(), Columns()], ids=["no warning", "no error"])
def test_a_teacher_that_is_asked_in_every_batch_sees_the_column_names(student, table, frozen, step):
    X, y = table
    X = pd.DataFrame(X, columns=list("abcdef"))
    teacher = make_pipeline(step, LogisticRegression())
    teacher = FrozenEstimator(teacher.fit(X, y)) if frozen else teacher
    online, cached = (student(teacher=teacher, teacher_mode=mode).fit(X, y) for mode in ("online", "cached"))
    np.testing.assert_allclose(online.predict_proba(X), cached.predict_proba(X), atol=1e-4)


def test_a_class_that_the_teacher_never_saw_is_told(student, table):
    X, y = table
    y = np.where(np.arange(len(y)) == 5, "dog", y)
    with pytest.warns(UserWarning, match=r"The teacher never saw class \['dog'\]"):
        student(teacher=GaussianNB(), teacher_cv=3).fit(X, y)


@pytest.mark.parametrize("mode", ["cached", "online"])
@pytest.mark.parametrize("absent", ["ant", "bee", "dog"])
def test_a_class_that_only_the_hold_out_has_gets_its_own_column(student, table, mode, absent):
    X, y = table
    y = np.where(y == absent, "cat", y)
    held_out = np.arange(len(y)) < 40
    y[:20] = absent
    ListeningRule.heard.clear()
    # one batch with the rows in their order, so that the rule hears them so in both modes
    clf = student(
        smoothing=ListeningRule(),
        teacher=GaussianNB(),
        teacher_mode=mode,
        train_split=split_by(held_out),
        batch_size=-1,
        iterator_train__shuffle=False,
        max_epochs=1,
    )
    with (
        pytest.warns(UserWarning, match="never saw class"),
        pytest.warns(UserWarning, match="No row of class"),
    ):
        clf.fit(X, y)
    alone = GaussianNB().fit(X[~held_out], y[~held_out])
    proba = np.zeros((len(y), len(clf.classes_)))
    for name, column in zip(alone.classes_, alone.predict_proba(X).T, strict=True):
        proba[:, clf.classes_.tolist().index(name)] = column
    logits = log_floored(proba) / clf.teacher_temperature_
    np.testing.assert_allclose(clf.teacher_predict_proba(X), softmax(logits, axis=1))
    np.testing.assert_allclose(ListeningRule.heard[0], logits[~held_out], rtol=1e-5)


def test_a_hold_out_from_elsewhere_is_asked_of_a_table_classifier(student, table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    arrays = predefined_split(SkorchDataset(X[:60], codes[:60]))
    clf = student(teacher=GaussianNB(), train_split=arrays).fit(X[60:], codes[60:])
    assert clf.teacher_temperature_ != 1
    pairs = TensorDataset(torch.as_tensor(X[:60], dtype=torch.float32), torch.as_tensor(codes[:60]))
    with pytest.raises(ValueError, match="cannot be asked about a torch Dataset"):
        student(teacher=GaussianNB(), train_split=predefined_split(pairs)).fit(X[60:], codes[60:])


def test_each_training_rows_weight_reaches_the_teacher_and_each_held_out_ones_its_temperature(student, table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    weight = np.random.default_rng(0).exponential(size=len(y)) ** 2
    held_out = np.arange(len(y)) % 3 == 0
    clf = student(teacher=GaussianNB(), train_split=split_by(held_out)).fit(X, y, sample_weight=weight)
    alone = GaussianNB().fit(X[~held_out], y[~held_out], sample_weight=weight[~held_out])
    np.testing.assert_allclose(clf.teacher_.theta_, alone.theta_)
    logits = log_floored(alone.predict_proba(X[held_out]))
    temperature, unweighted = (fit_temperature(logits, codes[held_out], w) for w in (weight[held_out], None))
    assert clf.teacher_temperature_ == pytest.approx(temperature)
    assert unweighted != pytest.approx(temperature, rel=0.01)


def test_the_weights_count_in_the_temperature_of_out_of_fold_logits(student, table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    weight = np.random.default_rng(0).exponential(size=len(y)) ** 2
    held_out = np.arange(len(y)) % 3 == 0
    clf = student(teacher=Constant(), teacher_cv=3, train_split=split_by(held_out))
    clf.fit(X, y, sample_weight=weight)
    train = ~held_out
    logits = log_floored(softmax(X[train, 1:4], axis=1))  # every fold's teacher says the same
    temperature, unweighted = (fit_temperature(logits, codes[train], w) for w in (weight[train], None))
    assert clf.teacher_temperature_ == pytest.approx(temperature)
    assert unweighted != pytest.approx(temperature, rel=0.01)


def test_a_teacher_that_takes_no_weights_is_told_in_a_warning(student, table):
    X, y = table
    with pytest.warns(UserWarning, match="KNeighborsClassifier takes no sample_weight"):
        student(teacher=KNeighborsClassifier()).fit(X, y, sample_weight=np.ones(len(y)))


def test_out_of_fold_teachers_saw_no_row_of_the_groups_they_are_asked_about(student, table):
    X, y = table
    groups = np.random.default_rng(0).permutation(len(y)) // 8
    Constant.questions.clear()
    student(teacher=Constant(), teacher_cv=3, train_split=split_by(groups % 5 == 0)).fit(
        np.c_[groups, X], y, groups=groups
    )
    assert len(Constant.questions) == 3
    for fitted_on, asked_about in Constant.questions:
        assert not set(fitted_on) & set(asked_about)
    asked = np.concatenate([asked_about for _, asked_about in Constant.questions])
    np.testing.assert_array_equal(np.sort(asked), np.sort(groups[groups % 5 != 0]))


def test_teacher_and_teacher_proba_exclude_each_other(student, table):
    X, y = table
    with pytest.raises(ValueError, match="teacher_proba replaces the teacher"):
        student(teacher=LogisticRegression()).fit(X, y, teacher_proba=np.full((len(y), 3), 1 / 3))


def test_parameters_of_the_teacher_are_reached_by_name(student, table):
    clf = InstanceSmoothedClassifier(teacher=LogisticRegression(), teacher__C=0.5).set_params(
        teacher__tol=0.1
    )
    assert (clf.teacher.C, clf.teacher.tol) == (0.5, 0.1)
    assert clf.get_params()["teacher__C"] == 0.5
    with pytest.raises(ValueError, match="teacher is None: pass teacher="):
        student().set_params(teacher__C=0.5)
    with pytest.raises(ValueError, match="teacher__C cannot be set: teacher=3 has no set_params"):
        student(teacher=3).set_params(teacher__C=0.5)


# --- online -------------------------------------------------------------------------------------------


class Jittered(Dataset):
    """Random augmentation: each access returns another x."""

    def __init__(self, X, y):
        self.X_, self.targets = torch.as_tensor(X, dtype=torch.float32), y

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.X_[index] + 0.1 * torch.randn(self.X_.shape[1]), self.targets[index]


@pytest.mark.parametrize("smoothing", ["ils", "distillation", PickyRule()], ids=repr)
def test_asking_in_every_batch_equals_asking_once_where_rows_do_not_change(student, table, smoothing):
    X, y = table
    online = student(smoothing=smoothing, teacher_mode="online").fit(X, y)
    cached = student(smoothing=smoothing).fit(X, y)
    np.testing.assert_allclose(online.predict_proba(X), cached.predict_proba(X), atol=1e-4)


def test_targets_off_the_simplex_are_refused_in_every_mode(student, table):
    X, y = table
    for mode in ("cached", "online"):
        with pytest.raises(ValueError, match="no probability vectors"):
            student(smoothing=PickyRule(amount=1.5), teacher_mode=mode).fit(X, y)


def test_teachers_of_every_kind_are_asked_in_every_batch(student, teacher, table):
    X, y = table
    kinds = [teacher(), LogisticRegression(), FrozenEstimator(teacher().fit(X, y))]
    for kind in kinds:
        online, cached = (student(teacher=kind, teacher_mode=mode).fit(X, y) for mode in ("online", "cached"))
        np.testing.assert_allclose(online.predict_proba(X), cached.predict_proba(X), atol=1e-4)


def test_augmented_datasets_train_online_and_leave_the_global_generators(student, table):
    X, y = table
    first, second = (student(teacher_mode="online").fit(Jittered(X, y)) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert first.score(X, y) > 0.5
    assert first.teacher_.history[-1, "train_loss"] != first.history[-1, "train_loss"]


@pytest.mark.parametrize("teacher", [None, FrozenEstimator])
def test_datasets_are_taught_by_networks(student, table, teacher):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    data = TensorDataset(torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(codes))
    if teacher is not None:
        teacher = FrozenEstimator(student(smoothing="none").fit(X, codes))
    clf = student(teacher=teacher, teacher_cv=3 if teacher is None else None).fit(data)
    arrays = student(teacher=teacher, teacher_cv=3 if teacher is None else None).fit(X, codes)
    np.testing.assert_allclose(clf.predict_proba(data), arrays.predict_proba(X), atol=1e-4)


def test_a_dataset_cannot_be_taught_by_a_table_classifier(student, table):
    X, y = table
    with pytest.raises(ValueError, match="cannot be fitted on a torch Dataset"):
        student(teacher=LogisticRegression()).fit(Jittered(X, y))
    clf = student(smoothing="ils2", teacher=DummyClassifier(strategy="prior"), max_epochs=1).fit(X, y)
    with pytest.raises(TypeError, match="DummyClassifier takes tables, not Datasets"):
        clf.teacher_predict_proba(Jittered(X, y))


# --- partial_fit --------------------------------------------------------------------------------------


def test_partial_fit_trains_a_network_teacher_on_the_same_rows_first(student, teacher, table):
    X, y = table
    clf = student().partial_fit(X, y, classes=np.unique(y)).partial_fit(X, y)
    alone = teacher().partial_fit(X, y, classes=np.unique(y)).partial_fit(X, y)
    np.testing.assert_array_equal(clf.teacher_.predict_proba(X), alone.predict_proba(X))
    assert clf.teacher_temperature_ == clf.temperature_ == 1
    assert (clf.predict_proba(X) != alone.predict_proba(X)).any()


def test_partial_fit_uses_a_frozen_teacher_as_it_is_and_refuses_others(student, table):
    X, y = table
    fitted = LogisticRegression().fit(X, y)
    clf = student(teacher=FrozenEstimator(fitted)).partial_fit(X, y, classes=np.unique(y))
    assert clf.teacher_.estimator is fitted
    with pytest.raises(ValueError, match=r"partial_fit needs a teacher.*LogisticRegression"):
        student(teacher=LogisticRegression()).partial_fit(X, y, classes=np.unique(y))
    with pytest.raises(ValueError, match="teacher_proba"):
        student().fit(X, y, teacher_proba=fitted.predict_proba(X)).partial_fit(X, y)


# --- memory -------------------------------------------------------------------------------------------


def test_a_search_over_the_rule_fits_one_teacher_a_fold(student, table, calls, tmp_path):
    X, y = table
    grid = {"smoothing__epsilon": [0.05, 0.1, 0.2], "smoothing__temperature": [1, 2]}
    search = GridSearchCV(
        student(teacher=Recording(), memory=str(tmp_path)),
        grid,
        cv=StratifiedKFold(3),
        scoring="neg_log_loss",
    ).fit(X, y)
    assert len(calls) == 3 + 1  # the refit has its own
    plain = GridSearchCV(
        student(teacher=Recording()), grid, cv=StratifiedKFold(3), scoring="neg_log_loss"
    ).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])


def test_a_students_own_parameters_do_not_fit_its_given_teacher_again(student, table, calls, tmp_path):
    for parameters in ({"lr": 0.01}, {"lr": 0.02}, {"max_epochs": 2}, {"smoothing": "ils2"}):
        student(teacher=Recording(), memory=str(tmp_path), **parameters).fit(*table)
    assert len(calls) == 1


def test_whatever_a_teacher_depends_on_fits_it_again(student, table, calls, tmp_path):
    X, y = table
    other_X = X.copy()
    other_X[3, 3] += 1e-9  # below float32's resolution, but not below the teacher's
    weight, groups = np.arange(len(y)) % 3 + 1.0, np.arange(len(y)) // 4
    out_of_fold = {"teacher_cv": 2, "train_split": None}  # three fits; groups decide the folds only
    for parameters, data, metadata in [
        ({}, (X, y), {}),
        ({"random_state": 1}, (X, y), {}),
        ({"teacher": Recording(random_state=3)}, (X, y), {}),
        ({"train_split": 0.3}, (X, y), {}),
        ({"teacher_cv": 2}, (X, y), {}),  # three fits
        ({}, (other_X, y), {}),
        ({}, (X, np.roll(y, 1)), {}),
        ({}, (X, y), {"sample_weight": weight}),
        ({}, (X, y), {"sample_weight": np.roll(weight, 1)}),
        (out_of_fold, (X, y), {}),
        (out_of_fold, (X, y), {"groups": groups}),
        (out_of_fold, (X, y), {"groups": np.roll(groups, 2)}),
    ]:
        before = len(calls)
        made = student(**{"teacher": Recording(), "memory": str(tmp_path)} | parameters)
        made.fit(*data, **metadata)
        assert len(calls) - before == (3 if "teacher_cv" in parameters else 1)


def test_the_default_teacher_is_cached_too(student, table, tmp_path):
    X, y = table
    first = student(memory=str(tmp_path)).fit(X, y)
    second = student(memory=str(tmp_path), smoothing__epsilon=0.5).fit(X, y)
    third = student(memory=str(tmp_path)).fit(X.astype(np.float32).tolist(), y)  # the same to a network
    assert first.teacher_.history[:, "dur"] == second.teacher_.history[:, "dur"]
    assert first.teacher_.history[:, "dur"] == third.teacher_.history[:, "dur"]
    np.testing.assert_array_equal(first.predict_proba(X), student().fit(X, y).predict_proba(X))


FIRST_PROCESS = """
import sys
sys.path.insert(0, memory)
import numpy as np, pandas as pd, torch
from torch import nn
from sklearn.base import clone
from sk_ils import InstanceSmoothedClassifier, TeacherClassifier
from their_net import Net
rng = np.random.default_rng(0)
X = rng.normal(size=(100, 4))
y = np.array(["ant", "bee"], dtype=object)[(X[:, 0] > 0).astype(int)]
torch.manual_seed(0)
module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 2))
clf = InstanceSmoothedClassifier(module, memory=memory, random_state=0, max_epochs=2, device="cpu")
for rows in (pd.DataFrame(X, columns=list("abcd")), torch.as_tensor(X)):
    print(clf.fit(rows, y).teacher_.history[:, "dur"])
print(clone(clf).set_params(module=Net).fit(X, y).teacher_.history[:, "dur"])
"""

THEIR_NET = """
from functools import lru_cache, partial, wraps
from torch import nn

CONFIG = {"width": 4}
WORDS = {"ant", "bee", "cat", "dog"}

def logged(function):
    @wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

@lru_cache
def width(factor=1):
    return factor * CONFIG["width"]

class Base(nn.Module):
    shift = 0.0

    def forward(self, X):
        return self.layers(X) + self.shift

class Net(Base):
    def __init__(self, n_features_in, n_classes):
        super().__init__()
        make = partial(nn.Linear, bias=True)
        self.layers = nn.Sequential(make(n_features_in, width()), self.between(), make(width(), n_classes))

    @staticmethod
    @logged
    def between():
        return nn.ReLU() if "ant" in {"ant", "bee"} & WORDS else Net
"""


@pytest.fixture
def in_session(monkeypatch):
    """Return what imports Net anew from a source without a file, as a notebook's next session does."""

    def start(source):
        session = ModuleType("their_net")
        monkeypatch.setitem(sys.modules, "their_net", session)
        exec(source, vars(session))
        return session.Net

    return start


def test_a_teacher_of_an_edited_module_is_never_stale(student, table, tmp_path, in_session):
    wider = THEIR_NET.replace('"width": 4', '"width": 64')
    first, again, other = (
        student(module=in_session(source), memory=str(tmp_path), max_epochs=1).fit(*table).teacher_
        for source in (THEIR_NET, THEIR_NET, wider)
    )
    assert first.history[:, "dur"] == again.history[:, "dur"]
    assert [len(teacher.module_.layers[0].weight) for teacher in (first, other)] == [4, 64]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import nn\n", "import nn\n\n# A comment moves all lines.\n"),
        ('"width": 4', '"width": 5'),
        ("factor=1", "factor=2"),
        ("bias=True", "bias=False"),
        ("shift = 0.0", "shift = 1.0"),
        (" + self.shift", " - self.shift"),
        ("nn.ReLU()", "nn.Tanh()"),
        ('{"ant", "bee"}', '{"bee"}'),
        ("Net(Base)", "Net(nn.Module)"),
        ("*args, **kwargs)\n    return", "**kwargs)\n    return"),
    ],
)
def test_the_key_of_the_cache_holds_what_code_does(in_session, old, new):
    assert old in THEIR_NET
    before, after = (
        joblib.hash(content(in_session(source))) for source in (THEIR_NET, THEIR_NET.replace(old, new))
    )
    assert (before == after) == ("comment" in new)


def test_a_second_process_finds_the_teachers_of_a_module_instance(tmp_path, monkeypatch):
    (tmp_path / "their_net.py").write_text(THEIR_NET)
    there = subprocess.run(
        [sys.executable, "-c", f"memory = {str(tmp_path)!r}\n{FIRST_PROCESS}"],
        check=True,
        capture_output=True,
        text=True,
    )
    # The second process is this one. joblib notes the code of a function once a process: as the first, it
    # might have noted it in the folder of another test.
    monkeypatch.setattr(sys, "path", list(sys.path))
    with torch.random.fork_rng(), redirect_stdout(StringIO()) as here:
        exec(FIRST_PROCESS, {"memory": str(tmp_path)})
    monkeypatch.delitem(sys.modules, "their_net")
    of_frame, of_tensor, _ = there.stdout.splitlines()
    assert of_frame != of_tensor
    assert here.getvalue() == there.stdout


class Alias:
    """As typing.TypeAliasType: the class describes the module of its instances."""

    @property
    def __module__(self):
        return "somewhere"


def test_a_class_that_describes_the_module_of_its_instances_has_a_key():
    assert content(Alias) == content(Alias)
    assert content([Alias]) != content([torch.nn.Linear])


def test_modules_that_differ_without_parameters_have_other_keys():
    one, other = torch.nn.Dropout(0.1), torch.nn.Dropout(0.2)
    assert content(one) != content(other)


def test_an_unwritable_cache_says_so(student, table, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OSError, match=r"memory=.* must be a folder that can be written to.*file"):
        student(memory=str(file / "cache")).fit(*table)


def test_the_teachers_temperature_is_the_one_of_the_held_out_rows(student, table):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    held_out = np.arange(len(y)) % 3 == 0
    clf = student(teacher=GaussianNB(), train_split=split_by(held_out)).fit(X, y)
    proba = GaussianNB().fit(X[~held_out], y[~held_out]).predict_proba(X[held_out])
    expected = fit_temperature(log_floored(proba), codes[held_out])
    assert clf.teacher_temperature_ == pytest.approx(expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["cached", "online"])
def test_a_network_as_teacher_may_have_another_float_type(student, teacher, table, dtype, mode):
    X, y = table
    other = {"float32": "float64", "float64": "float32"}[dtype]
    clf = student(teacher=teacher(dtype=other), dtype=dtype, teacher_mode=mode).fit(X, y)
    same = student(teacher=teacher(dtype=dtype), dtype=dtype, teacher_mode=mode).fit(X, y)
    np.testing.assert_allclose(clf.teacher_predict_proba(X), same.teacher_predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(clf.predict_proba(X), same.predict_proba(X), atol=1e-3)


def test_partial_fit_leaves_the_teacher_that_was_passed_as_it_is(student, teacher, table):
    X, y = table
    passed = teacher()
    clf = student(teacher=passed).partial_fit(X, y, classes=np.unique(y))
    assert not hasattr(passed, "classes_")
    assert hasattr(clf.teacher_, "classes_")


class Noisy(torch.nn.Module):
    """A network whose dropout is so strong that training and prediction cannot be confused."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(n_features_in, n_classes))

    def forward(self, X):
        return self.layers(X)


def test_a_teacher_that_is_asked_in_every_batch_drops_nothing_out(student, teacher, table):
    X, y = table
    noisy = teacher(module=Noisy)
    cached, online = (
        student(teacher=noisy, teacher_mode=mode, smoothing="distillation").fit(X, y)
        for mode in ("cached", "online")
    )
    np.testing.assert_allclose(online.predict_proba(X), cached.predict_proba(X), atol=1e-4)


def test_a_frozen_teacher_has_no_out_of_fold_logits(student, table):
    X, y = table
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    with pytest.raises(ValueError, match="a teacher that is not frozen"):
        student(teacher=frozen, teacher_cv=3).fit(X, y)


def test_the_key_of_the_cache_is_made_of_what_every_process_sees_alike():
    words = np.array(["ant", "bee"], dtype=object)
    assert content(words).dtype.kind == "U"
    assert content(np.ones(2)).dtype == np.float64
    assert content(torch.float32) != content(torch.float64)
    assert content({1: "a", "b": 2}) == [("1", "a"), ("b", 2)]


@pytest.mark.parametrize(
    "parameters", [{}, {"smoothing": "uniform"}, {"smoothing": "none"}, {"smoothing": "class"}]
)
def test_a_rule_may_be_asked_about_some_rows_at_a_time(student, table, monkeypatch, parameters):
    whole = student(**parameters).fit(*table).predict_proba(table[0])
    monkeypatch.setattr(classifiers, "_CHUNK_SIZE", 30)
    np.testing.assert_array_equal(student(**parameters).fit(*table).predict_proba(table[0]), whole)


def test_targets_are_hard_only_if_those_of_all_rows_are(student, table, monkeypatch):
    class SmoothsOne:
        """Smooths the one row whose teacher is least certain."""

        needs_teacher = True

        def targets(self, y, teacher_logits, student_logits=None):
            onehot = np.eye(3)[y]
            onehot[(teacher_logits[:, 0] == lowest)[:, None] & (onehot == 1)] = 0.5
            return onehot + (onehot.sum(axis=1, keepdims=True) == 0.5) * 0.25 * (onehot == 0)

        def smoothing_factor(self, true_class_proba):
            return np.zeros_like(true_class_proba)

    X, y = table
    proba = np.random.default_rng(0).dirichlet(np.ones(3), size=len(X))
    lowest = np.log(proba[:, 0]).astype(np.float32).min()
    monkeypatch.setattr(classifiers, "_CHUNK_SIZE", 30)
    clf = student(smoothing=SmoothsOne(), train_split=None)
    samples = []
    monkeypatch.setattr(type(clf), "run_training", lambda self, train, *args, **kwargs: samples.append(train))
    clf.fit(X, y, teacher_proba=proba)
    assert (samples[0].soft.max(dim=1).values == 0.5).sum() == 1


def test_a_cache_that_gives_the_array_itself_is_not_written_to(student, table):
    class InMemory:
        def __init__(self):
            self.known = {}

        def cache(self, function, ignore=None):
            def cached(key, *args):
                if key not in self.known:
                    self.known[key] = function(key, *args)
                return self.known[key]

            return cached

    memory = InMemory()
    first = student(memory=memory).fit(*table)
    (output,) = memory.known.values()
    before = output.logits.copy()
    second = student(memory=memory).fit(*table)
    np.testing.assert_array_equal(output.logits, before)
    np.testing.assert_array_equal(second.predict_proba(table[0]), first.predict_proba(table[0]))
