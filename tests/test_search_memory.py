"""The memory of a search: what a stack may take, and what happens if it is not enough."""

import errno
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import FitFailedWarning

from sk_ils import SmoothingSearchCV
from sk_ils._net.module_errors import is_out_of_memory
from sk_ils._search import candidates, support
from sk_ils._search.memory import available_main_memory
from sk_ils.smoothing import SmoothingRule

# It depends on the data and is none of these tests' business.
pytestmark = pytest.mark.filterwarnings("ignore:The best candidate lies at the edge of the grid")

GRID = {"smoothing": ["uniform"], "smoothing__epsilon": [0.01, 0.05, 0.1, 0.2, 0.3, 0.4]}
CPU_ERROR = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 3200000 bytes."


def scores_of(search):
    return search.cv_results_["mean_test_score"]


@pytest.fixture
def sizes(monkeypatch):
    """Return a list that notes how many candidates each stack has."""
    noted = []
    train_stacked = candidates.train_stacked

    def noting(net, chunk, *args):
        noted.append(len(chunk))
        return train_stacked(net, chunk, *args)

    monkeypatch.setattr(candidates, "train_stacked", noting)
    return noted


# --- when it is not enough ----------------------------------------------------------------------------

UNDER_A_LIMIT = """
import resource
import numpy as np
from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV

rng = np.random.default_rng(0)
X, y = rng.normal(size=(2500, 5)), np.arange(2500) % 500
net = InstanceSmoothedClassifier(module__hidden_sizes=(8,), max_epochs=1, batch_size=500,
    random_state=0, device="cpu")
grid = {"smoothing": ["uniform"], "smoothing__epsilon": np.linspace(0.01, 0.3, 32)}
split = [(np.arange(2000), np.arange(2000, 2500))]
search = SmoothingSearchCV(net, {"smoothing": ["none", "uniform"]}, cv=split, refit=False)
search.fit(X, y)  # loads all that is loaded late
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + 100_000_000, resource.RLIM_INFINITY))
for max_parallel in (32, None):
    search.set_params(param_grid=grid, max_parallel=max_parallel).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_a_search_with_100_mb_to_spare_halves_its_stack_and_finishes():
    """Its targets alone are 32 times 3.2 MB."""
    run = subprocess.run([sys.executable, "-c", UNDER_A_LIMIT], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "failed" not in run.stderr


class Greedy(SmoothingRule):
    """A rule whose targets do not fit into the memory the first times that it is asked."""

    needs_teacher = False
    calls: list = []  # noqa: RUF012

    def __init__(self, error=None, n_failures=1):
        self.error = error
        self.n_failures = n_failures

    def torch_targets(self, y, logits):
        self.calls.append(1)
        if len(self.calls) <= self.n_failures:
            raise self.error
        return torch.full_like(logits, 1 / logits.shape[1])

    def _smoothing_factor(self, true_class_proba):
        return 0 * true_class_proba


@pytest.mark.parametrize("n_failures", [1, 3])
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(CPU_ERROR), torch.OutOfMemoryError("CUDA")])
def test_targets_that_do_not_fit_halve_the_stack(table, student, sizes, error, n_failures):
    Greedy.calls.clear()
    grid = {"smoothing": ["none", "uniform", "ils1", Greedy(error, n_failures)]}
    split = [(np.arange(160), np.arange(160, 240))]
    search = SmoothingSearchCV(student(), grid, cv=split, refit=False).fit(*table)
    assert np.isfinite(scores_of(search)).all()
    assert len(Greedy.calls) == n_failures + 1
    assert max(sizes) < 4  # no stack of all was ever complete


class GreedyTeacher(ClassifierMixin, BaseEstimator):
    """A teacher that needs more memory than there is when it is fitted the first time."""

    calls: list = []  # noqa: RUF012

    def fit(self, X, y):
        self.calls.append(1)
        if len(self.calls) == 1:
            raise MemoryError
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def test_a_teacher_that_does_not_fit_beside_a_stack_is_fitted_beside_a_smaller_one(table, student):
    GreedyTeacher.calls.clear()
    grid = {"smoothing": ["uniform", "ils1", "ils2", "ils"]}
    split = [(np.arange(160), np.arange(160, 240))]
    search = SmoothingSearchCV(student(teacher=GreedyTeacher()), grid, cv=split, refit=False).fit(*table)
    assert np.isfinite(scores_of(search)).all()
    assert len(GreedyTeacher.calls) == 2


def test_a_network_that_does_not_fit_as_a_stack_of_one_is_trained_alone(table, student, monkeypatch):
    grid = {"smoothing": ["none", "uniform"]}
    expected = scores_of(SmoothingSearchCV(student(dtype="float64"), grid, cv=2, refit=False).fit(*table))

    def too_large(*args):
        raise MemoryError

    monkeypatch.setattr(candidates, "train_stacked", too_large)
    search = SmoothingSearchCV(student(dtype="float64"), grid, cv=2, refit=False).fit(*table)
    np.testing.assert_allclose(scores_of(search), expected, rtol=0, atol=1e-9)


def test_a_candidate_that_does_not_fit_alone_fails_with_a_word_on_the_memory(table, student):
    Greedy.calls.clear()
    grid = {"smoothing": ["none", Greedy(MemoryError(), n_failures=100)]}
    search = SmoothingSearchCV(student(), grid, cv=2, refit=False)
    with (
        pytest.warns(FitFailedWarning, match="MemoryError(.|\n)*Lower batch_size"),
        pytest.warns(match="non-"),
    ):
        search.fit(*table)
    assert np.isnan(scores_of(search)).tolist() == [False, True]
    with pytest.raises(MemoryError):
        search.set_params(error_score="raise").fit(*table)


def test_no_room_for_two_networks_is_said_as_it_is(table, student, monkeypatch):
    def too_large(*args):
        raise RuntimeError(CPU_ERROR)

    monkeypatch.setattr(support, "Stack", too_large)
    with pytest.warns(UserWarning, match="one by one.*the memory does not suffice for two"):
        SmoothingSearchCV(student(max_epochs=1), GRID, cv=2, refit=False).fit(*table)


def raised_from(cause):
    error = ValueError("the fit failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((2**40,), np.dtype(float)), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError(CPU_ERROR), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (raised_from(MemoryError()), True),
        (raised_from(ValueError("a bug")), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(errno.ENOENT, "No such file"), False),
    ],
)
def test_errors_of_memory_are_known(error, expected):
    assert is_out_of_memory(error) is expected


# --- how much there is --------------------------------------------------------------------------------


def test_available_memory_bounds_the_stack(table, student, sizes, monkeypatch):
    monkeypatch.setattr(support, "available_main_memory", lambda: 200_000)
    monkeypatch.setattr(support, "available_memory", lambda device: 200_000)
    SmoothingSearchCV(student(), GRID, cv=3, refit=False).fit(*table)
    assert 1 <= max(sizes) < 6


def test_memory_of_a_candidate_is_counted_in_weights_outputs_and_targets(table, student, monkeypatch):
    net = student()
    data = net.prepare_fit(*table, seed=0)
    assert support.affordable_size(net, data) > 1000
    weights = (54 * 16 + 16 + 16 * 3 + 3) * 4
    outputs = (54 + 16 + 16 + 3) * 4 * 32  # encoded input, layer, ReLU and logits of a batch
    targets = 192 * 3 * 4
    one = 6 * weights + 3 * outputs + 2 * targets
    five = 2 * (5 * one + 2 * targets)  # half of it for five networks and what is there once
    for free, size in ((0, 1), (five - 2, 4), (five, 5)):
        monkeypatch.setattr(support, "available_main_memory", lambda free=free: free)
        monkeypatch.setattr(support, "available_memory", lambda device, free=free: free)
        assert support.affordable_size(net, data) == size
        # Two processes at the same time share what is free.
        assert support.affordable_size(net, data, n_workers=2) <= max(1, size // 2)
    assert not any(module._forward_hooks for module in net.module_.modules())


MB = 2**20
MACHINE = "MemTotal: 8388608 kB\nMemFree: 1024 kB\nMemAvailable: 4194304 kB\n"  # 4 GB available
STAT = f"anon 5\ninactive_file {10 * MB}\nactive_file {20 * MB}\n"


def group(folder, version, limit, used=40 * MB):
    """Return the files of a control group."""
    if version == 2:
        return {
            f"{folder}/memory.max": limit,
            f"{folder}/memory.current": used,
            f"{folder}/memory.stat": STAT,
        }
    stat = f"total_inactive_file {10 * MB}\ntotal_active_file {20 * MB}\n"
    return {
        f"{folder}/memory.limit_in_bytes": limit,
        f"{folder}/memory.usage_in_bytes": used,
        f"{folder}/memory.stat": stat,
    }


V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4096),
        ({"proc/self/cgroup": "0::/\n", **group(V2, 2, 100 * MB)}, 90),  # 10 MB are no page cache
        ({"proc/self/cgroup": "0::/\n", **group(V2, 2, "max")}, 4096),
        ({"proc/self/cgroup": "0::/a/b\n", **group(f"{V2}/a/b", 2, 100 * MB)}, 90),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                **group(f"{V2}/a", 2, 50 * MB),
                **group(f"{V2}/a/b", 2, 100 * MB),
            },
            40,
        ),
        ({"proc/self/cgroup": "0::/a\n", **group(f"{V2}/a", 2, "max"), f"{V2}/a/memory.high": 70 * MB}, 60),
        ({"proc/self/cgroup": "0::/../host\n", **group(V2, 2, 100 * MB)}, 90),
        ({"proc/self/cgroup": "5:cpu:/\n4:memory:/job\n0::/\n", **group(f"{V1}/job", 1, 100 * MB)}, 90),
        ({"proc/self/cgroup": "4:hugetlb,memory:/docker/x\n", **group(V1, 1, 100 * MB)}, 90),
        ({"proc/self/cgroup": "4:memory:/\n", **group(V1, 1, 9223372036854771712)}, 4096),
        ({"proc/self/cgroup": "0::/\n", **group(V2, 2, 30 * MB, used=90 * MB)}, 0),
    ],
    ids=[
        "machine",
        "v2",
        "v2 without a limit",
        "v2 nested",
        "v2, the outer one is tighter",
        "v2 high",
        "v2, a path of the host",
        "v1",
        "v1 in a container",
        "v1 without a limit",
        "exhausted",
    ],
)
def test_available_memory_is_the_least_of_machine_and_control_groups(tmp_path, files, expected):
    for name, content in {"proc/meminfo": MACHINE, **files}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(content))
    assert available_main_memory(tmp_path) == expected * MB


def test_available_memory_of_this_machine_is_a_positive_number():
    assert available_main_memory() > MB


def test_available_memory_is_guessed_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sysconf_names", {})
    assert available_main_memory(tmp_path) == 4 * 2**30
