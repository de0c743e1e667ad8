"""Time and memory of the calibration errors beside torchmetrics and netcal.

Run ``python -m benchmarks.speed.metrics`` (needs the extra ``benchmarks``; reads memory on Linux only).
Prints one table: medians over interleaved repetitions in one process and one thread, as multiples of sk_ils
at the same size, and the largest memory that a call takes beyond what was there before. Where a library has
no class-wise form, its binary error is taken column by column.
"""

import argparse
import ctypes
import os
import time
import warnings
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from netcal.metrics import ECE
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from sk_ils.metrics import classwise_calibration_error, expected_calibration_error

N_BINS = 15
SIZES = [(10_000, 10), (1_000_000, 10), (50_000, 1000)]


def make_data(n_rows, n_classes):
    """Return labels and float32 probabilities."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n_rows, n_classes), dtype=np.float32) * 2
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    return rng.integers(0, n_classes, n_rows), proba


def torchmetrics_ece(y, proba):
    """Return torchmetrics' top-label error."""
    return float(
        multiclass_calibration_error(
            torch.from_numpy(proba), torch.from_numpy(y), num_classes=proba.shape[1], n_bins=N_BINS
        )
    )


def torchmetrics_classwise(y, proba):
    """Return the mean of torchmetrics' binary errors of all columns."""
    P, labels = torch.from_numpy(proba), torch.from_numpy(y)
    errors = [
        binary_calibration_error(P[:, k], (labels == k).long(), n_bins=N_BINS, validate_args=False)
        for k in range(P.shape[1])
    ]
    return float(torch.stack(errors).mean())


def netcal_ece(y, proba):
    """Return netcal's top-label error."""
    return float(ECE(N_BINS).measure(proba, y))


def netcal_classwise(y, proba):
    """Return the mean of netcal's binary errors of all columns."""
    metric = ECE(N_BINS)
    return float(np.mean([metric.measure(proba[:, k], (y == k).astype(int)) for k in range(proba.shape[1])]))


CONTENDERS = {
    "ECE": {
        "sk_ils": lambda y, proba: expected_calibration_error(y, proba, labels=np.arange(proba.shape[1])),
        "torchmetrics": torchmetrics_ece,
        "netcal": netcal_ece,
    },
    "class-wise": {
        "sk_ils": lambda y, proba: classwise_calibration_error(y, proba, labels=np.arange(proba.shape[1])),
        "torchmetrics": torchmetrics_classwise,
        "netcal": netcal_classwise,
    },
}


def resident(field):
    """Return VmRSS (now) or VmHWM (peak) of this process in MB, NaN where it cannot be read."""
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith(field))
    except (OSError, StopIteration):
        return float("nan")
    return int(line.split()[1]) / 1024


def extra_memory(run):
    """Return the peak memory of a call beyond what was resident before, in MB."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier calls left on the heap would hide ours
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # resets the peak
    except (OSError, AttributeError):
        return float("nan")
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def measure(contenders, y, proba, repetitions):
    """Return {name: (median seconds, extra MB, value)}; contenders take turns."""
    seconds = {name: [] for name in contenders}
    values, memory = {}, {}
    for name, function in contenders.items():
        function(y[:1000], proba[:1000])  # warm-up
        memory[name] = extra_memory(lambda function=function: function(y, proba))
        values[name] = function(y, proba)
    for _ in range(repetitions):
        for name, function in contenders.items():
            start = time.perf_counter()
            function(y, proba)
            seconds[name].append(time.perf_counter() - start)
    return {name: (median(seconds[name]), memory[name], values[name]) for name in contenders}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.metrics", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for n_rows, n_classes in SIZES:
        y, proba = make_data(n_rows, n_classes)
        for title, contenders in CONTENDERS.items():
            results = measure(contenders, y, proba, arguments.repetitions)
            reference = results["sk_ils"][0]
            for name, (seconds, memory, value) in results.items():
                size = f"{n_rows} x {n_classes}"
                print(
                    f"{title:<11} {size:<15} {name:<13} {1000 * seconds:9.2f} ms {seconds / reference:7.2f}x "
                    f"{memory:8.1f} MB   value {value:.6f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
