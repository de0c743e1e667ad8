"""What a search gains by two workers: processes of joblib's loky, and a Dask cluster.

Run ``python -m benchmarks.speed.cluster`` on an otherwise idle machine of two cores or more. Prints medians
of wall-clock seconds over interleaved repetitions, as ratios to the same search with ``n_jobs=1``; workers
are started before, with one thread each. The data are a linear model with noise, 64 columns, 10 classes;
the grid is the ensemble's default, 12 candidates in four folds.
"""

import argparse
import os
import platform
import time
import warnings
from contextlib import nullcontext
from datetime import UTC, datetime
from statistics import median

import dask
import distributed
import joblib
import torch
from distributed import Client, LocalCluster
from joblib import parallel_config

from benchmarks.speed.gpu import make_data
from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV
from sk_ils.model_selection import default_param_grid

N_WORKERS = 2


def seconds_of(context, X, y, *, ensemble):
    """Return the seconds of a search in a context of joblib."""
    net = InstanceSmoothedClassifier(random_state=0, device="cpu", max_epochs=30)
    search = SmoothingSearchCV(
        net, default_param_grid(ensemble=True), cv=4, ensemble=ensemble, refit=ensemble
    )
    start = time.perf_counter()
    with context, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    return time.perf_counter() - start


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    print(f"# python -m benchmarks.speed.cluster --rows {options.rows} --repetitions {options.repetitions}")
    print(
        f"# {datetime.now(tz=UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, joblib {joblib.__version__}, distributed {distributed.__version__}",
        flush=True,
    )
    torch.set_num_threads(1)
    # Dask's own environment has MALLOC_TRIM_THRESHOLD_, too: with it glibc gives the memory of every step
    # back, which takes as long as the training. Processes that are started later inherit it.
    dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1}})
    X, y = make_data(options.rows, 64)
    with (
        LocalCluster(n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        contexts = {
            "n_jobs=1": nullcontext,
            "loky, two processes": lambda: parallel_config("loky", n_jobs=N_WORKERS, inner_max_num_threads=1),
            "Dask, two workers": lambda: parallel_config("dask"),
        }
        for title, ensemble in (("search", False), ("ensemble, with its race", True)):
            seconds = {name: [] for name in contexts}
            for make in contexts.values():  # what is imported, or started, once
                seconds_of(make(), X[:500], y[:500], ensemble=ensemble)
            for _ in range(options.repetitions):
                for name, make in contexts.items():
                    seconds[name].append(seconds_of(make(), X, y, ensemble=ensemble))
            own = median(seconds["n_jobs=1"])
            for name, values in seconds.items():
                print(f"{title:<26}{name:<24}{median(values):8.1f} s{median(values) / own:8.2f}x", flush=True)


if __name__ == "__main__":
    main()
