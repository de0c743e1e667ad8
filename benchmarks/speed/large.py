"""One epoch of teacher and student on a Dataset that is larger than the memory it may take.

Run ``python -m benchmarks.speed.large [--rows N]``; Linux only, a CPU, and room on a disk.
Writes rows of noise with linear classes to a temporary folder, maps them into memory, and fits an
`InstanceSmoothedClassifier` on them, in a process of its own. Prints the peak of the process's anonymous
memory (RssAnon, sampled every 20 ms; Python, torch and all imports included), and beside it what
docs/guide/speed.md says: the anonymous memory after a small fit, the targets, and the bytes a row.
"""

import argparse
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sklearn
import torch
from torch.utils.data import Dataset

from benchmarks.plain import PlainMLP
from benchmarks.speed.peaks import anonymous_bytes, in_new_process, sampled_peak
from sk_ils import InstanceSmoothedClassifier

N_FEATURES = 64
N_CLASSES = 10
HIDDEN = 64
BATCH_SIZE = 8192
HOLD_OUT = 0.2
# Class index, row number, order of an epoch.
BYTES_A_ROW = 16
# Of an item of a batch, as Python's objects.
BYTES_AN_ITEM = 2000
_CHUNK_ROWS = 100_000


class MappedRows(Dataset):
    """Rows and labels in two files of NumPy's."""

    def __init__(self, folder):
        # Copy on write, since torch warns of what cannot be written to; nothing is written.
        self.X = np.asarray(np.load(folder / "X.npy", mmap_mode="c"))
        self.targets = np.asarray(np.load(folder / "y.npy", mmap_mode="c"))

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return self.X[index], self.targets[index]


def write_rows(folder, n_rows):
    """Write rows of noise, whose class is the largest of ten linear functions."""
    rng = np.random.default_rng(0)
    options = {"mode": "w+"}
    X = np.lib.format.open_memmap(folder / "X.npy", dtype=np.float32, shape=(n_rows, N_FEATURES), **options)
    y = np.lib.format.open_memmap(folder / "y.npy", dtype=np.int64, shape=(n_rows,), **options)
    weights = rng.standard_normal((N_FEATURES, N_CLASSES), dtype=np.float32)
    for start in range(0, n_rows, _CHUNK_ROWS):
        part = X[start : start + _CHUNK_ROWS]
        rng.standard_normal(out=part, dtype=np.float32)
        noise = rng.standard_normal((len(part), N_CLASSES), dtype=np.float32)
        y[start : start + len(part)] = (part @ weights + 4 * noise).argmax(axis=1)
    X.flush()
    y.flush()


def predicted_bytes(n_rows, base):
    """Return what docs/guide/speed.md says of a fit beside `base`, what there is without rows."""
    n_train = n_rows - round(HOLD_OUT * n_rows)
    outputs = 4 * BATCH_SIZE * (2 * HIDDEN + N_CLASSES)
    batch = BYTES_AN_ITEM * BATCH_SIZE + 3 * outputs
    return base + 4 * n_train * N_CLASSES + BYTES_A_ROW * n_rows + batch


def new_classifier(batch_size=BATCH_SIZE):
    """Return the classifier, for one epoch."""
    return InstanceSmoothedClassifier(
        module=PlainMLP,
        module__hidden_sizes=(HIDDEN,),
        max_epochs=1,
        batch_size=batch_size,
        train_split=HOLD_OUT,
        device="cpu",
        random_state=0,
    )


def fit(folder):
    """Return bytes after a small fit, bytes at the peak of the fit, its CPU seconds, and what came of it."""
    torch.set_num_threads(1)
    new_classifier().fit(np.zeros((1000, N_FEATURES), np.float32), np.arange(1000) % N_CLASSES)
    base = anonymous_bytes()
    start = time.process_time()
    with sampled_peak() as peak:
        net = new_classifier().fit(MappedRows(folder))
    seconds = time.process_time() - start
    return base, peak.bytes, seconds, [part.history[-1, "valid_acc"] for part in (net.teacher_, net)]


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.large",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--dir", type=Path, help="where the temporary folder is made")
    arguments = parser.parse_args()
    print(f"# python -m benchmarks.speed.large --rows {arguments.rows}")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    versions += f", scikit-learn {sklearn.__version__}"
    print(f"# {datetime.now(tz=UTC):%Y-%m-%d}, {os.cpu_count()} cores, {versions}")
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        write_rows(folder, arguments.rows)
        size = sum(file.stat().st_size for file in folder.iterdir())
        base, peak, seconds, accuracies = in_new_process(fit, folder)
    predicted = predicted_bytes(arguments.rows, base)
    shape = f"{arguments.rows} rows, {N_FEATURES} columns, float32, {N_CLASSES} classes"
    print(f"{shape}: {size / 1e6:.0f} MB on disk")
    print(f"anonymous memory: {base / 1e6:.0f} MB after a small fit, {peak / 1e6:.0f} MB at the peak")
    print(
        f"the formula of docs/guide/speed.md: {predicted / 1e6:.0f} MB; "
        f"measured/formula {peak / predicted:.2f}"
    )
    print(f"one epoch of teacher and student: {seconds:.0f} CPU s; accuracy on the hold-out", end=" ")
    print(", ".join(f"{accuracy:.3f}" for accuracy in accuracies))


if __name__ == "__main__":
    main()
