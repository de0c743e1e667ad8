"""What memory a search and a classifier take at the peak, beside what docs/guide/speed.md says.

Run ``python -m benchmarks.speed.memory [--largest]``; Linux only, a CPU. Prints one table.
Each case runs in a process of its own. Its memory is the peak of the resident set during ``fit``, less what
was resident before, with everything imported, the data made and a small search done. The prediction is the
formula of docs/guide/speed.md for one stack of all candidates, or for a classifier alone.
"""

import argparse
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from warnings import catch_warnings, simplefilter

import numpy as np
import sklearn
import torch

from benchmarks.plain import PlainMLP
from sk_ils import InstanceSmoothedClassifier
from sk_ils.model_selection import SmoothingSearchCV

N_FEATURES = 20
HIDDEN = 64
BATCH_SIZE = 128
N_TEST = 1000


@dataclass(frozen=True)
class Case:
    """Rows that a network is trained on, classes, and candidates; 0 is a classifier alone."""

    rows: int
    classes: int
    candidates: int


CASES = [
    Case(16_000, 10, 100),
    Case(16_000, 100, 10),
    Case(16_000, 100, 30),
    Case(4_000, 1000, 10),
    Case(16_000, 1000, 3),
    Case(16_000, 1000, 10),
    Case(16_000, 1000, 0),
]
LARGEST = [Case(16_000, 1000, 30), Case(100_000, 1000, 0)]


def predicted_bytes(case):
    """Return what docs/guide/speed.md says."""
    weights = 4 * ((N_FEATURES + 1) * HIDDEN + (HIDDEN + 1) * case.classes)
    outputs = 4 * BATCH_SIZE * (2 * HIDDEN + case.classes)
    targets = 4 * case.rows * case.classes
    if case.candidates == 0:
        n_rows = round(case.rows / 0.8)
        at_a_time = 2**24 if targets > 2**21 else 8 * targets
        parts = 4 * n_rows * N_FEATURES
        return 12 * weights + 3 * outputs + parts + targets + 24 * n_rows + at_a_time
    return case.candidates * (6 * weights + 3 * outputs + 2 * targets) + 2 * targets


def resident(name):
    """Return the process's memory in bytes: VmRSS, or its peak, VmHWM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"no {name} in /proc/self/status")


def make_data(n_rows, n_classes):
    """Return noise with every class equally often."""
    X = np.random.default_rng(0).normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    return X, np.arange(n_rows) % n_classes


def fit(case, epochs):
    """Fit a search, or a classifier alone."""
    n_fold = round(case.rows / 0.8)
    net = InstanceSmoothedClassifier(
        module=PlainMLP,
        module__hidden_sizes=(HIDDEN,),
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        patience=None,
        device="cpu",
        random_state=0,
    )
    X, y = make_data(n_fold + N_TEST, case.classes)
    if case.candidates == 0:
        return measure(lambda: net.fit(X[:n_fold], y[:n_fold]))
    grid = {"smoothing": ["ils1"], "smoothing__shift": np.linspace(0.8, 0.95, case.candidates).tolist()}
    split = [(np.arange(n_fold), np.arange(n_fold, len(y)))]
    search = SmoothingSearchCV(net, grid, cv=split, refit=False, max_parallel=case.candidates)
    return measure(lambda: search.fit(X, y))


def measure(work):
    """Return the bytes by which the peak exceeds what is resident before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    with catch_warnings():
        simplefilter("ignore")  # the best of noise may lie at the edge of the grid
        work()
    return resident("VmHWM") - before


def run(case, epochs):
    """Measure a case in this process, after a small one that loads what is loaded late."""
    torch.set_num_threads(1)
    fit(Case(400, 3, min(case.candidates, 2)), 1)
    return fit(case, epochs)


def in_new_process(case, epochs):
    """Measure a case in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, case, epochs).result()


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--largest", action="store_true", help="two cases more, which take up to 5 GB")
    arguments = parser.parse_args()
    option = " --largest" if arguments.largest else ""
    print(f"# python -m benchmarks.speed.memory --epochs {arguments.epochs}{option}")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    versions += f", scikit-learn {sklearn.__version__}"
    print(f"# {datetime.now(tz=UTC):%Y-%m-%d}, {os.cpu_count()} cores, {versions}")
    print(f"MLP {HIDDEN}, batch {BATCH_SIZE}, float32; rows are those that are trained on")
    print(f"{'rows':>8}{'classes':>9}{'candidates':>12}{'measured':>12}{'predicted':>12}{'ratio':>8}")
    for case in [*CASES, *(LARGEST if arguments.largest else [])]:
        measured, predicted = in_new_process(case, arguments.epochs), predicted_bytes(case)
        candidates = case.candidates or "alone"
        print(
            f"{case.rows:8}{case.classes:9}{candidates:>12}{measured / 2**20:9.0f} MB"
            f"{predicted / 2**20:9.0f} MB{measured / predicted:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
