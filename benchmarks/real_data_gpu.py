"""All of Fashion-MNIST with a residual network, for a machine with a GPU.

    python benchmarks/real_data_gpu.py --data-dir DIR

Every rule at parameters out of the middle of the paper's grids: a search of this size is for those who have
the time. Without a GPU it says so and does nothing, unless ``--device cpu`` is asked for. Results go where
those of `real_data.py` go, and `real_data_report.py` prints them.
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

import torch
from real_data import RESULTS, command_line
from real_data_methods import FORMS, NAMES, model_of, rows_of_scores, scores_on_test
from real_data_nets import SmallResNet
from real_data_sets import Split, load_fashion
from real_data_store import Store

from sk_ils import InstanceSmoothedClassifier
from sk_ils.smoothing import ILS, ILS1, ILS2, NoSmoothing, SelfDistillation, SoftBootstrap, UniformSmoothing

FIXED = (
    NoSmoothing(),
    UniformSmoothing(epsilon=0.1),
    ILS1(shift=0.95, curvature=1.0),
    ILS2(epsilon=0.1),
    ILS(shift=0.95, curvature=1.0),
    SelfDistillation(),
    SoftBootstrap(),
)


def rows_of_seed(split, options, seed):
    """Return the rows of all rules for one seed, with the seconds of each fit; they share a teacher."""
    rows = []
    with tempfile.TemporaryDirectory() as memory:
        for rule in FIXED:
            net = InstanceSmoothedClassifier(
                SmallResNet,
                smoothing=rule,
                max_epochs=options.epochs,
                batch_size=options.batch_size,
                train_split=1 / 12,
                device=options.device,
                random_state=seed,
                memory=memory,
            )
            start = perf_counter()
            model = model_of(net, scale=False).fit(split.X_train, split.y_train)
            seconds = perf_counter() - start
            scores = scores_on_test(model, split.X_test, split.y_test)
            params = {"net__smoothing": rule}
            rows += rows_of_scores(NAMES[type(rule)], params, scores, FORMS, seconds=seconds)
    return rows


def main():
    """Fill the results seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--max-train", type=int, default=60_000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("No GPU: skipped.")
        return
    data = load_fashion(options.data_dir)
    split = Split(
        data.X_train[: options.max_train], data.y_train[: options.max_train], data.X_test, data.y_test
    )
    settings = {name: getattr(options, name) for name in ("epochs", "batch_size", "max_train")}
    store = Store(options.results / "fashion_resnet.csv", settings)
    for seed in sorted(set(range(options.seeds)) - store.seeds()):
        rows = rows_of_seed(split, options, seed)
        store.add([{"table": "fashion_resnet", "seed": seed, **row} for row in rows], command_line())
        print(f"fashion_resnet seed {seed}: {sum(row['seconds'] for row in rows) / 2:.0f} s", flush=True)


if __name__ == "__main__":
    main()
