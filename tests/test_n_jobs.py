"""Searches whose splits are fitted by joblib's workers: processes, threads, a Dask cluster."""

import os
import signal
import time

import numpy as np
import pytest
from distributed import Client, LocalCluster
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import ThreadingBackend
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ils import SmoothingSearchCV
from sk_ils.model_selection import CrossFittedClassifier

pytestmark = [
    pytest.mark.filterwarnings("ignore:The best candidate lies at the edge of the grid"),
]

GRID = {"smoothing": ["none", "uniform", "ils"], "lr": [1e-3, 1e-2]}
# Networks trained on targets that are nearly uniform leave the race after a split.
RACE = [{"smoothing": ["none"]}, {"smoothing": ["uniform"], "smoothing__epsilon": [0.99, 0.999]}]
FOLDS = StratifiedKFold(3)


@pytest.fixture(scope="module")
def rows(table):
    X, y = table
    return X[:150], np.unique(y, return_inverse=True)[1][:150]


@pytest.fixture
def student(student):
    """Return a constructor of students in float64, where equality is more than a few digits."""
    return lambda **parameters: student(**{"dtype": "float64", "max_epochs": 8, **parameters})


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two worker processes."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def assert_equal(one, other, X):
    """Compare all numbers of two searches but the times."""
    for name, value in one.cv_results_.items():
        if "score" in name and "time" not in name:
            np.testing.assert_allclose(other.cv_results_[name], value, rtol=0, atol=1e-12, err_msg=name)
    assert one.best_params_ == other.best_params_
    np.testing.assert_allclose(other.predict_proba(X), one.predict_proba(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"param_grid": GRID, "return_train_score": True},
        {"param_grid": GRID, "ensemble": True, "racing": False},
        {"param_grid": RACE, "ensemble": True},
        {"param_grid": RACE, "scoring": ["neg_log_loss", "accuracy"], "refit": "accuracy"},
    ],
    ids=["plain", "ensemble", "race", "two scores"],
)
def test_workers_give_the_numbers_of_one_process(rows, student, backend, parameters):
    X, y = rows
    one, other = (SmoothingSearchCV(student(), cv=FOLDS, **parameters) for _ in range(2))
    one.fit(X, y)
    with parallel_config(backend, n_jobs=2):
        other.fit(X, y)
    assert_equal(one, other, X)


def test_what_a_race_drops_has_no_scores_of_splits_that_were_begun_with_it(rows, student):
    X, y = rows
    with parallel_config("loky", n_jobs=2):
        raced = SmoothingSearchCV(student(), RACE, cv=FOLDS, ensemble=True).fit(X, y)
    scores = np.array([raced.cv_results_[f"split{split}_test_score"] for split in range(3)])
    assert np.isfinite(scores).sum(axis=0).tolist() == [3, 1, 1]


class Counted(StandardScaler):
    """Leaves a file for each fit."""

    def __init__(self, folder=None):
        super().__init__()
        self.folder = folder

    def fit(self, X, y=None):
        handle = os.open(os.path.join(self.folder, f"{time.time_ns()}-{os.getpid()}"), os.O_CREAT)
        os.close(handle)
        return super().fit(X, y)


class CountedTeacher(LogisticRegression):
    """Leaves a file for each fit."""

    def __init__(self, folder=None):
        super().__init__()
        self.folder = folder

    def fit(self, X, y, sample_weight=None):
        handle = os.open(os.path.join(self.folder, f"{time.time_ns()}-{os.getpid()}"), os.O_CREAT)
        os.close(handle)
        return super().fit(X, y, sample_weight)


def test_preprocessing_and_teacher_are_fitted_once_a_split(rows, student, tmp_path):
    X, y = rows
    steps, teachers = tmp_path / "steps", tmp_path / "teachers"
    steps.mkdir()
    teachers.mkdir()
    model = make_pipeline(Counted(str(steps)), student(teacher=CountedTeacher(str(teachers))))
    grid = {"instancesmoothedclassifier__smoothing": ["none", "ils", "ils1", "ils2"]}
    SmoothingSearchCV(model, grid, cv=FOLDS, refit=False, n_jobs=2).fit(X, y)
    assert len(list(steps.iterdir())) == len(list(teachers.iterdir())) == 3
    grid["instancesmoothedclassifier__lr"] = [1e-3, 1e-2]
    SmoothingSearchCV(model, grid, cv=FOLDS, refit=False, n_jobs=2).fit(X, y)
    assert len(list(steps.iterdir())) == 6


def test_an_error_of_a_worker_is_the_searchs(rows, student):
    X, y = rows
    search = SmoothingSearchCV(student(), {"lr": [1e30]}, cv=FOLDS, error_score="raise", n_jobs=2)
    with pytest.raises(ArithmeticError, match="loss of epoch"):
        search.fit(X, y)
    assert not hasattr(search, "cv_results_")


def test_one_by_one_is_said_once_and_here(rows, student):
    class Own(type(student())):
        def get_loss(self, *args, **kwargs):
            return super().get_loss(*args, **kwargs)

    own = Own(**student().get_params(deep=False))
    search = SmoothingSearchCV(own, {"smoothing": ["none", "uniform"]}, cv=FOLDS, refit=False, n_jobs=2)
    with pytest.warns(UserWarning, match="overrides get_loss") as caught:
        search.fit(*rows)
    assert len([warning for warning in caught if "one by one" in str(warning.message)]) == 1


class ListsOnly(ThreadingBackend):
    """A backend that gives its results at once, as Ray's does."""

    supports_return_generator = False


def test_a_backend_need_not_give_results_one_by_one(rows, student):
    X, y = rows
    register_parallel_backend("lists", ListsOnly)
    one, other = (SmoothingSearchCV(student(), RACE, cv=FOLDS, ensemble=True) for _ in range(2))
    one.fit(X, y)
    with parallel_config("lists", n_jobs=2):
        other.fit(X, y)
    assert_equal(one, other, X)


def test_averages_take_workers_too(rows, student):
    X, y = rows
    one, other = (CrossFittedClassifier(student(), cv=FOLDS, n_jobs=n).fit(X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize("n_jobs", [0, "two", 1.5])
def test_other_numbers_of_workers_are_refused(rows, student, n_jobs):
    with pytest.raises(ValueError, match="n_jobs"):
        SmoothingSearchCV(student(), GRID, n_jobs=n_jobs).fit(*rows)


# --- a cluster ----------------------------------------------------------------------------------------


def test_a_cluster_gives_the_numbers_of_one_process(rows, student, cluster):
    X, y = rows
    one, other = (SmoothingSearchCV(student(), GRID, cv=FOLDS) for _ in range(2))
    one.fit(X, y)
    with parallel_config("dask"):
        other.fit(X, y)
    assert_equal(one, other, X)


def test_a_grid_search_of_scikit_learns_runs_on_a_cluster(rows, student, cluster):
    X, y = rows
    one, other = (GridSearchCV(student(), GRID, cv=FOLDS, scoring="neg_log_loss") for _ in range(2))
    one.fit(X, y)
    with parallel_config("dask"):
        other.fit(X, y)
    assert_equal(one, other, X)


class KillsOnce(StandardScaler):
    """Kills its own process when it is fitted for the first time."""

    def __init__(self, file=None):
        super().__init__()
        self.file = file

    def fit(self, X, y=None):
        try:
            os.close(os.open(self.file, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return super().fit(X, y)
        os.kill(os.getpid(), signal.SIGKILL)
        return self


def test_a_killed_worker_does_not_lose_the_search(rows, student, cluster, tmp_path):
    X, y = rows
    grid = {"instancesmoothedclassifier__smoothing": ["none", "uniform"]}
    one, other = (
        SmoothingSearchCV(make_pipeline(steps, student()), grid, cv=FOLDS, refit=False)
        for steps in (StandardScaler(), KillsOnce(str(tmp_path / "killed")))
    )
    one.fit(X, y)
    with parallel_config("dask"):
        other.fit(X, y)
    assert (tmp_path / "killed").exists()
    for split in range(3):
        name = f"split{split}_test_score"
        np.testing.assert_allclose(other.cv_results_[name], one.cv_results_[name], rtol=0, atol=1e-12)
