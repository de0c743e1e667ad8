"""What a search over smoothing costs with its candidates stacked, beside GridSearchCV.

Run ``python -m benchmarks.speed.search [--data-dir FOLDER]``; FOLDER holds ``pmlb/pendigits.tsv.gz``,
without it the data comes from OpenML. Prints two tables: SmoothingSearchCV against GridSearchCV on as many
workers; GridSearchCV's are warm, and its teachers cached; and how the stacked search's time grows with the
candidates.
Memory is the largest proportional set size of the processes together, sampled five times a second (Linux
only), with all that is loaded and, on a GPU, without what lies there.

GridSearchCV takes by far the longest: ``--grid-candidates N`` measures it on N evenly spaced candidates and
scales its time up to all. Use an otherwise idle machine: where two threads share a core with something else,
each of the stacked search's small operations waits for the slower one.
"""

import argparse
import os
import platform
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import numpy as np
import sklearn
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import fetch_openml
from sklearn.model_selection import GridSearchCV, ParameterGrid, ShuffleSplit
from sklearn.preprocessing import scale

from benchmarks.plain import PlainMLP
from sk_ils import InstanceSmoothedClassifier
from sk_ils.model_selection import SmoothingSearchCV

# The grids of the paper's synthetic data: 30 + 30 + 48 + 12 = 120 candidates.
QUADRATIC = {
    "smoothing__shift": [0.75, 0.775, 0.8, 0.825, 0.85],
    "smoothing__curvature": [0.75, 1, 1.25, 1.5, 1.75, 2],
}
CONSTANT = {"smoothing__epsilon": [0.001, 0.005, 0.01, *(0.03 + 0.02 * np.arange(9)).round(2).tolist()]}
GRID = [
    {"smoothing": ["ils1"], **QUADRATIC},
    {"smoothing": ["ils"], **QUADRATIC},
    {"smoothing": ["ils2"], **CONSTANT, "smoothing__temperature": [1, 2, 4, 6]},
    {"smoothing": ["uniform"], **CONSTANT},
]
N_SPLITS = 3
# Shifts x curvatures of ILS1 for 1, 10, 100 and 1000 candidates.
GROWTH = [(1, 1), (2, 5), (10, 10), (25, 40)]


@dataclass(frozen=True)
class Setting:
    """What all runs share."""

    data_dir: str | None
    device: str
    epochs: int
    cores: int


def load_data(data_dir):
    """Return the standardised features of pendigits and its labels."""
    if data_dir is None:
        bunch = fetch_openml("pendigits", version=1, as_frame=False)
        X, y = bunch.data, bunch.target.astype(int)
    else:
        table = np.loadtxt(Path(data_dir, "pmlb", "pendigits.tsv.gz"), delimiter="\t", skiprows=1)
        X, y = table[:, :-1], table[:, -1].astype(int)
    return scale(X).astype(np.float32), y


def as_grid(candidates):
    """Return the grid that has just these candidates."""
    return [{name: [value] for name, value in params.items()} for params in candidates]


def tree_memory():
    """Return the memory of this process and those that it has started, in MB; NaN where unknown."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    tree, todo = set(), {os.getpid()}
    while todo:
        tree |= todo
        todo = {child for child, parent in parents.items() if parent in todo} - tree
    total = 0
    for process in tree:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            if process == os.getpid():
                return float("nan")
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class PeakMemory(threading.Thread):
    """Sample the memory of the process tree until the block ends."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = tree_memory()
        self._over = threading.Event()

    def __enter__(self):
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_):
        """End."""
        self._over.set()
        self.join()

    def run(self):
        """Keep the largest sample."""
        while not self._over.wait(0.2):
            self.peak = max(self.peak, tree_memory())


def make_search(name, setting, candidates, memory, cv, epochs):
    """Return a search that only scores, without a last fit."""
    net = InstanceSmoothedClassifier(
        module=PlainMLP,
        module__hidden_sizes=(64, 64),
        batch_size=128,
        max_epochs=epochs,
        patience=None,
        device=setting.device,
        random_state=0,
    )
    options = {"param_grid": as_grid(candidates), "cv": cv, "scoring": "neg_log_loss", "refit": False}
    if name == "GridSearchCV":
        return GridSearchCV(net.set_params(memory=memory), n_jobs=setting.cores, **options)
    # A single split is one task.
    return SmoothingSearchCV(net, n_jobs=setting.cores if cv == N_SPLITS else None, **options)


def run(name, setting, candidates, cv=N_SPLITS):
    """Return seconds, peak memory in MB and mean test scores of one search in this process."""
    # The stacked search of one split takes as many threads as the other ones have workers of one thread.
    torch.set_num_threads(setting.cores if name == "SmoothingSearchCV" and cv != N_SPLITS else 1)
    X, y = load_data(setting.data_dir)
    with TemporaryDirectory() as memory, joblib.parallel_config("loky", inner_max_num_threads=1):
        few = candidates[: 2 * setting.cores]
        make_search(name, setting, few, memory, cv, 1).fit(X[:1000], y[:1000])  # starts the workers
        search = make_search(name, setting, candidates, memory, cv, setting.epochs)
        with PeakMemory() as memory_used:
            start = time.perf_counter()
            search.fit(X, y)
            seconds = time.perf_counter() - start
    # Idle workers live on for five minutes, and this process would not end before them.
    get_reusable_executor().shutdown(wait=True)
    return seconds, memory_used.peak, search.cv_results_["mean_test_score"]


def in_new_process(*arguments):
    """Run a search in a process of its own, so that none starts with another's memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, *arguments).result()


def compare(setting, n_measured):
    """Print the table of both searches."""
    candidates = list(ParameterGrid(GRID))
    chosen = np.linspace(0, len(candidates) - 1, n_measured).round().astype(int)
    print(f"{len(candidates)} candidates x {N_SPLITS} folds of pendigits; MLP 64-64, batch 128,", end=" ")
    print(f"{setting.epochs} epochs; {setting.device}, {setting.cores} cores", flush=True)
    ours, our_memory, our_scores = in_new_process("SmoothingSearchCV", setting, candidates)
    print(f"{'SmoothingSearchCV':<32}{ours:9.1f} s {1:7.2f}x {our_memory:8.0f} MB", flush=True)
    measured, memory, scores = in_new_process("GridSearchCV", setting, [candidates[i] for i in chosen])
    seconds = measured * len(candidates) / n_measured
    title = f"GridSearchCV, {setting.cores} workers"
    print(f"{title:<32}{seconds:9.1f} s {seconds / ours:7.2f}x {memory:8.0f} MB")
    if n_measured < len(candidates):
        print(f"  (scaled up from {measured:.1f} s for {n_measured} of the candidates)")
    difference = np.abs(our_scores[chosen] - scores).max()
    print(f"largest difference of a candidate's mean test score: {difference:.2g} nats", flush=True)


def grow(setting):
    """Print how the time of the stacked search grows."""
    print("\nSmoothingSearchCV on one split (a third for the test), ILS1")
    split = ShuffleSplit(1, test_size=1 / 3, random_state=0)
    first = None
    for n_shifts, n_curvatures in GROWTH:
        grid = {
            "smoothing": ["ils1"],
            "smoothing__shift": np.linspace(0.8, 0.9, n_shifts).tolist(),
            "smoothing__curvature": np.linspace(2, 1, n_curvatures).tolist(),
        }
        seconds, memory, _ = in_new_process("SmoothingSearchCV", setting, list(ParameterGrid(grid)), split)
        first = seconds if first is None else first
        title = f"{n_shifts * n_curvatures} candidates"
        print(f"{title:<32}{seconds:9.1f} s {seconds / first:7.2f}x {memory:8.0f} MB", flush=True)


def print_header(arguments):
    """Print command, date and versions."""
    options = {"device": arguments.device, "epochs": arguments.epochs, "cores": arguments.cores}
    options["grid-candidates"] = arguments.grid_candidates
    print("# python -m benchmarks.speed.search", *(f"--{name} {value}" for name, value in options.items()))
    machine = f"{os.cpu_count()} cores"
    if torch.device(arguments.device).type == "cuda":
        machine += f", {torch.cuda.get_device_name(arguments.device)}"
    versions = {"Python": platform.python_version(), "torch": torch.__version__}
    versions |= {"scikit-learn": sklearn.__version__, "joblib": joblib.__version__}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"# {datetime.now(tz=UTC):%Y-%m-%d}, {machine}, {named}", flush=True)


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--cores", type=int, default=2)
    n_candidates = len(ParameterGrid(GRID))
    parser.add_argument("--grid-candidates", type=int, default=n_candidates, metavar="N")
    arguments = parser.parse_args()
    if not 1 <= arguments.grid_candidates <= n_candidates:
        parser.error(f"--grid-candidates must be between 1 and {n_candidates}.")
    print_header(arguments)
    setting = Setting(arguments.data_dir, arguments.device, arguments.epochs, arguments.cores)
    compare(setting, arguments.grid_candidates)
    grow(setting)


if __name__ == "__main__":
    main()
