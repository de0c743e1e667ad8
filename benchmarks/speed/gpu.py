"""What a fit on a GPU costs beside a hand-written torch loop, and a search beside the fits that it replaces.

Run ``python -m benchmarks.speed.gpu``. Prints two tables. The first has seconds per epoch (fit) or per call
(predict_proba) of hard-label training, medians over interleaved repetitions in one process, as ratios to the
hand-written loop of the same row; all contenders keep the data on the GPU if they can. The second has the
seconds of SmoothingSearchCV for 120 candidates in three folds beside one fit of one candidate times 360, as
GridSearchCV does them one after the other. ``--device cpu --rows 2000`` tries the script without a GPU.
"""

import argparse
import platform
import time
from datetime import UTC, datetime

import numpy as np
import sklearn
import skorch
import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn

from benchmarks.plain import PlainMLP
from benchmarks.real_data.nets import SmallResNet
from benchmarks.speed.overhead import hand_fit, hand_predict, interleaved, print_rows
from benchmarks.speed.search import GRID, N_SPLITS
from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier

N_CLASSES = 10


def make_data(n_rows, n_features):
    """Return inputs and labels that a linear model would learn in part."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    logits = X @ rng.standard_normal((n_features, N_CLASSES), dtype=np.float32) / n_features**0.5
    return X, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def timer(device):
    """Return a function that calls another and then waits for the GPU."""

    def run(function):
        result = function()
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return run


def compare(title, make_module, data, *, batch_size, epochs, repetitions, device, mixed_precision=False):
    """Print what an epoch and a prediction cost, by hand, with this package and with stock skorch."""
    X, y = data
    n_valid = len(X) // 5
    X_valid, y_valid, X_train, y_train = X[:n_valid], y[:n_valid], X[n_valid:], y[n_valid:]
    common = {
        "module": make_module,
        "optimizer": torch.optim.AdamW,
        "lr": 1e-3,
        "batch_size": batch_size,
        "max_epochs": epochs,
        "train_split": predefined_split(Dataset(X_valid, y_valid)),
        "verbose": 0,
        "device": device,
    }
    ours = TeacherClassifier(**common, patience=None, random_state=0)
    stock = NeuralNetClassifier(**common, criterion=nn.CrossEntropyLoss, iterator_train__shuffle=True)
    run = timer(device)

    def by_hand():
        tensors = [torch.from_numpy(part).to(device) for part in (X_train, y_train, X_valid, y_valid)]
        return hand_fit(*tensors, batch_size=batch_size, epochs=epochs, module=make_module().to(device))

    contenders = {
        "hand-written loop": lambda: run(by_hand),
        "TeacherClassifier": lambda: run(lambda: ours.fit(X_train, y_train)),
        "stock skorch": lambda: run(lambda: stock.fit(X_train, y_train)),
    }
    if mixed_precision:
        mixed = clone(ours).set_params(mixed_precision="bf16")
        contenders["TeacherClassifier, bf16"] = lambda: run(lambda: mixed.fit(X_train, y_train))
        compiled = clone(mixed).set_params(compile=True)
        contenders["TeacherClassifier, bf16, compiled"] = lambda: run(lambda: compiled.fit(X_train, y_train))
    seconds = interleaved(contenders, repetitions)
    print_rows(f"{title}, epoch", {k: v / epochs for k, v in seconds.items()}, "hand-written loop")
    module, X_there = by_hand(), torch.from_numpy(X).to(device)
    contenders = {
        "hand-written loop, data there": lambda: hand_predict(module, X_there, batch_size),
        "hand-written loop, data here": lambda: hand_predict(
            module, torch.from_numpy(X).to(device), batch_size
        ),
        "TeacherClassifier": lambda: ours.predict_proba(X),
        "stock skorch": lambda: stock.predict_proba(X),
    }
    seconds = interleaved(contenders, repetitions)
    print_rows(f"{title}, predict", seconds, "hand-written loop, data here")


def compare_search(data, *, epochs, device):
    """Print what the search costs beside the fits that it replaces."""
    X, y = data
    net = InstanceSmoothedClassifier(
        module=PlainMLP,
        module__hidden_sizes=(64, 64),
        batch_size=128,
        max_epochs=epochs,
        patience=None,
        device=device,
        random_state=0,
    )
    search = SmoothingSearchCV(net, GRID, cv=N_SPLITS, scoring="neg_log_loss", refit=False)
    SmoothingSearchCV(net.set_params(max_epochs=1), GRID, cv=2, refit=False).fit(X[:1000], y[:1000])
    net.set_params(max_epochs=epochs)
    start = time.perf_counter()
    search.fit(X, y)
    ours = time.perf_counter() - start
    part = slice(0, len(X) - len(X) // N_SPLITS)
    net.fit(X[part], y[part])
    proba = net.teacher_.predict_proba(X[part])
    start = time.perf_counter()
    net.fit(X[part], y[part], teacher_proba=proba)
    alone = time.perf_counter() - start
    n_fits = len(search.cv_results_["params"]) * N_SPLITS
    print(f"\n{n_fits // N_SPLITS} candidates x {N_SPLITS} folds, MLP 64-64, batch 128, {epochs} epochs")
    print(f"{'SmoothingSearchCV, teachers too':<36}{ours:9.1f} s {1:7.2f}x")
    print(f"{f'one fit, {alone:.2f} s, x {n_fits}':<36}{alone * n_fits:9.1f} s {alone * n_fits / ours:7.2f}x")


def print_header(arguments):
    """Print command, date, card and versions."""
    options = " ".join(f"--{name} {value}" for name, value in vars(arguments).items())
    print(f"# python -m benchmarks.speed.gpu {options}")
    card = torch.cuda.get_device_name() if arguments.device == "cuda" else "no GPU"
    print(
        f"# {datetime.now(tz=UTC):%Y-%m-%d}, {card}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, skorch {skorch.__version__}, scikit-learn {sklearn.__version__}",
        flush=True,
    )


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    print_header(arguments)
    common = {
        "epochs": arguments.epochs,
        "repetitions": arguments.repetitions,
        "device": arguments.device,
    }
    table, images = make_data(arguments.rows, 64), make_data(arguments.rows // 6, 784)
    for width, batch_size in ((64, 128), (512, 1024)):
        compare(
            f"MLP {width}-{width}, batch {batch_size}",
            lambda width=width: PlainMLP(64, N_CLASSES, (width, width)),
            table,
            batch_size=batch_size,
            **common,
        )
    compare(
        "ResNet-18, batch 256",
        lambda: SmallResNet(N_CLASSES, width=64, n_stages=4),
        images,
        batch_size=256,
        mixed_precision=True,
        **common,
    )
    compare_search(make_data(arguments.rows // 6, 16), epochs=10 * arguments.epochs, device=arguments.device)


if __name__ == "__main__":
    main()
