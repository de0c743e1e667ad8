"""Small data sets and networks that all tests share."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import sklearn
import torch
from sklearn import config_context
from sklearn.datasets import make_classification
from sklearn.utils.fixes import parse_version

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier

# Scripts: pytest would look for doctests in them.
collect_ignore = ["mutants.py", "mutation.py", "skorch_suite.py"]
collect_ignore_glob = ["fuzz*.py"]

NAMES = np.array(["ant", "bee", "cat"])


SKLEARN = parse_version(parse_version(sklearn.__version__).base_version)


def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs_sklearn"):
        version, feature = mark.args
        if parse_version(version) > SKLEARN:
            pytest.skip(f"scikit-learn {version} is the first with {feature}")


@pytest.fixture(scope="session")
def table():
    """Three classes with string labels, float64 columns, hard enough that no network is certain."""
    X, y = make_classification(
        n_samples=240, n_features=6, n_informative=4, n_classes=3, flip_y=0.1, random_state=0
    )
    return X, NAMES[y]


@pytest.fixture
def student():
    """Return a constructor of students that train in a fraction of a second."""

    def make(**parameters):
        return InstanceSmoothedClassifier(**_small(parameters))

    return make


@pytest.fixture
def teacher():
    """Return a constructor of teachers like the students."""

    def make(**parameters):
        return TeacherClassifier(**_small(parameters))

    return make


def _small(parameters):
    small = {"max_epochs": 5, "lr": 0.01, "batch_size": 32, "random_state": 0, "device": "cpu"}
    if "module" not in parameters:
        small["module__hidden_sizes"] = (16,)
    return small | parameters


@pytest.fixture
def headless():
    """Draw without a screen, and on no figure of another test: the doctests leave theirs open."""
    with mpl.rc_context(), plt.ioff():
        plt.switch_backend("agg")
        plt.close("all")
        yield
        plt.close("all")


@pytest.fixture
def routing():
    """Switch on scikit-learn's metadata routing."""
    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(autouse=True)
def _global_generators_stay_untouched():
    """No test, and so no fit in it, may move torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture
def forgetful_accelerate():
    """Let a test choose accelerate's precision, which a process can choose once only."""
    state = pytest.importorskip("accelerate.state")
    state.AcceleratorState._reset_state(reset_partial_state=True)
    yield
    state.AcceleratorState._reset_state(reset_partial_state=True)
