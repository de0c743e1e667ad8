"""What the choice of torch's threads costs, on an idle machine and beside a busy neighbour.

    python -m benchmarks.speed.threads

Each row is a network of two hidden layers and a batch size: milliseconds of a training step with one thread,
with all that torch takes by itself, and with the package's choice: medians of fits in turn, in one process.
Idle, the choice is a ratio to the better of the two; beside a neighbour, to one thread. The neighbour is one
process that keeps a core busy, in a session of its own, as another user's or container's is. Steps of more
than 5e10 operations, which take seconds, are left out.

The machine must be idle otherwise, and needs two cores or more; OMP_NUM_THREADS must not be set.
"""

import argparse
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from statistics import median
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.plain import PlainMLP
from sk_ils import TeacherClassifier
from sk_ils._net import threads

WIDTHS = (16, 64, 128, 256, 1024, 4096)
BATCHES = (32, 128, 1024, 8192)
N_FEATURES, N_CLASSES = 64, 10
MAX_FLOPS = 5e10
# A fit takes about this long, if a core does 2e10 operations a second and a step takes 0.2 ms at least.
_SECONDS = 0.25


def flops_of(width, batch_size):
    """Return the floating-point operations of a training step: forward, and twice as many backward."""
    weights = N_FEATURES * width + width * width + width * N_CLASSES
    return 6.0 * weights * batch_size


def fit_seconds(width, batch_size, n_steps):
    """Return the seconds of a step, of a fit of so many."""
    X = np.random.default_rng(0).normal(size=(batch_size * n_steps, N_FEATURES)).astype(np.float32)
    y = np.arange(len(X)) % N_CLASSES
    net = TeacherClassifier(
        PlainMLP,
        module__hidden_sizes=(width, width),
        batch_size=batch_size,
        max_epochs=1,
        train_split=None,
        device="cpu",
        random_state=0,
    )
    start = time.perf_counter()
    net.fit(X, y)
    return (time.perf_counter() - start) / n_steps


def contenders(n_threads):
    """Return by name how many threads torch may take, and from how many operations on it takes them."""
    return {"one": (1, np.inf), "all": (n_threads, 0.0), "ours": (n_threads, threads._THREADED_FLOPS)}


def measure(width, batch_size, n_threads, repetitions, *, share=1.0):
    """Return the median milliseconds of a step by contender, of a share of the usual steps."""
    n_steps = max(4, min(400, int(share * _SECONDS / max(flops_of(width, batch_size) / 2e10, 2e-4))))
    seconds = {name: [] for name in contenders(n_threads)}
    for _ in range(repetitions):
        for name, (allowed, threshold) in contenders(n_threads).items():
            torch.set_num_threads(allowed)
            with patch.object(threads, "_THREADED_FLOPS", threshold):
                seconds[name].append(fit_seconds(width, batch_size, n_steps))
            torch.set_num_threads(n_threads)
    return {name: 1000 * median(values) for name, values in seconds.items()}


@contextmanager
def busy_neighbour():
    """Keep a core busy by a process in a session of its own."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait()


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    n_threads = torch.get_num_threads()
    if n_threads < 2:
        raise SystemExit(
            "torch has one thread here: unset OMP_NUM_THREADS, on a machine of two cores or more."
        )
    cases = [(w, b) for w in WIDTHS for b in BATCHES if flops_of(w, b) <= MAX_FLOPS]
    cases.sort(key=lambda case: flops_of(*case))
    print(f"torch {torch.__version__}, {n_threads} threads; ours takes them from", end=" ")
    print(f"{threads._THREADED_FLOPS:.1g} operations a step")
    print(f"{'':<38}{'idle':^30}{'beside a busy process':^30}")
    header = "".join(f"{name:>8}" for name in ("one", "all", "ours")) + f"{'ratio':>6}"
    print(f"{'units':>6}{'batch':>7}{'operations':>12}{'':>13}{header}{header}")
    measure(64, 128, n_threads, 1)
    for width, batch_size in cases:
        idle = measure(width, batch_size, n_threads, arguments.repetitions)
        with busy_neighbour():
            # Steps may take a hundred times as long there.
            beside = measure(width, batch_size, n_threads, arguments.repetitions, share=0.05)
        ratios = idle["ours"] / min(idle["one"], idle["all"]), beside["ours"] / beside["one"]
        cells = "".join(
            "".join(f"{times[name]:8.2f}" for name in ("one", "all", "ours")) + f"{ratio:6.2f}"
            for times, ratio in zip((idle, beside), ratios, strict=True)
        )
        print(
            f"{width:>6}{batch_size:>7}{flops_of(width, batch_size):>12.1e}{'ms a step':>13}{cells}",
            flush=True,
        )


if __name__ == "__main__":
    main()
