"""Fashion-MNIST: the ensemble beside single networks, for the default MLP and a small convolutional one.

    python -m benchmarks.comparison.images --data-dir DIR --device cuda

DIR holds the folder ``fashion-mnist`` with its four idx files. A network, a seed and a method are one row of
``results/comparison/images.csv``; what is there is not run again. As many images as `--rows` says are drawn
for training, stratified; the authors' 10,000 test images test. Batches of 512, all else as the package has
it. Without a GPU (``--device cpu``) it takes hours. ``benchmarks.comparison.report --images`` prints tables.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from sklearn.model_selection import train_test_split

from benchmarks.comparison.__main__ import RESULTS, append, measured, note_run
from benchmarks.comparison.tables import Task
from benchmarks.real_data.nets import SmallConvNet
from benchmarks.real_data.sets import load_fashion
from benchmarks.real_data.store import read_rows
from sk_ils.modules import MLP

#: Name of a set in the results, and its network.
NETWORKS = {"fashion_mlp": MLP, "fashion_conv": SmallConvNet}
METHODS = (
    "one network, hard labels +T",
    "one network, LS +T",
    "one network, default +T",
    "deep ensemble of five +T",
    "five folds, hard labels +T",
    "five folds, LS tuned +T",
    "five folds, any rule tuned +T",
)


def image_task(official, name, seed, *, rows, device):
    """Return the task of a network: images drawn by the seed, and parameters."""
    X, _, y, _ = train_test_split(
        official.X_train, official.y_train, train_size=rows, stratify=official.y_train, random_state=seed
    )
    network = {"module": NETWORKS[name], "batch_size": 512, "device": device}
    return Task(pd.DataFrame(X), y, pd.DataFrame(official.X_test), official.y_test, network)


def run(options):
    """Run what is not in the results yet."""
    official = load_fashion(options.data_dir)
    rows = read_rows(options.results) if options.results.exists() else []
    done = {(row["table"], int(row["seed"]), row["method"]) for row in rows}
    for seed in options.seeds:
        for name in options.networks:
            task = image_task(official, name, seed, rows=options.rows, device=options.device)
            for method in METHODS:
                if (name, seed, method) not in done:
                    row = {"table": name, "seed": seed, "method": method, **measured(method, task, seed)}
                    append(options.results, row)
                    print(f"{name:<14}{seed:>2}  {method:<34}{row['log_loss']:8.4f}", flush=True)


def parse_arguments(arguments=None):
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison.images",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS / "images.csv")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parsed = parse_arguments()
    card = torch.cuda.get_device_name() if parsed.device.startswith("cuda") else "CPU"
    words = [word for word in sys.argv[1:] if word not in ("--data-dir", str(parsed.data_dir))]
    note_run(
        parsed.results, " ".join(["python -m benchmarks.comparison.images --data-dir DIR", *words, "#", card])
    )
    run(parsed)
