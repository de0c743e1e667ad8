"""Smoothing and its rivals on real data: twelve tables and Fashion-MNIST, five seeds each.

    python -m benchmarks.real_data --data-dir DIR [--half choosing|reporting|both] [--tables NAME ...]
    python -m benchmarks.real_data --data-dir DIR --variants --half choosing
    python -m benchmarks.real_data --data-dir DIR --holdout --half choosing
    python -m benchmarks.real_data --data-dir DIR --timing --tables satimage letter
    python -m benchmarks.real_data --data-dir DIR --tables fashion_mlp fashion_conv
    python -m benchmarks.real_data --data-dir DIR --tables fashion_resnet --device cuda
    python -m benchmarks.real_data.report

DIR holds the folders ``pmlb`` and ``fashion-mnist``; without ``--data-dir`` the sets come from OpenML.
Results go to ``benchmarks/results/real_data``, one CSV of the methods and one of all candidates for each
set, seed by seed: a run can be interrupted and goes on where it was, and two processes can take different
sets. The report reads these files only.

The protocol, fixed before anything was run:

* Twelve multi-class tables of the Penn Machine Learning Benchmarks, all that we have. Sorted by size, every
  other one is for choosing (grids, defaults, variants), the rest reports; see `benchmarks.real_data.sets`.
* One stratified split a seed, the same for all methods: at most 2,000 rows for training (70 % of a small
  table), because smoothing and calibration matter where rows are few, and at most 5,000 for the test.
* Five seeds; their mean is one number a table, for seeds are no independent data. Ranks and intervals are
  over tables.
* Features are standardised inside the pipeline. The network is a plain MLP 128-128, AdamW
  with learning rate 1e-3, batches of 128, 100 epochs of which the one with the lowest cross-entropy on a
  hold-out of 20 % counts. Nothing else is tuned, for any method.
* Each method's parameters are chosen on two folds of the training part by cross-entropy: the raw form of a
  method ("ILS") by that of the network's own probabilities, the scaled form ("ILS +T") by that after
  temperature scaling. Two folds score every row once at the price of one fit on all; more would cost seeds.
  Numbers of candidates: LS 5, ILS1 9, ILS2 15, ILS 18, cLS 5, self-distillation 9, soft bootstrap 4, Beta
  smoothing 3; hard labels have nothing to choose.
* The winners are trained on the whole training part, and tested once: the scaled form of a method at its
  temperature, the raw form at temperature 1.
* The deep ensemble has five plain networks with different seeds and a common hold-out; "+T" is one
  temperature of the pooled probabilities.

Fashion-MNIST comes three times, asked for by name, always with its authors' test images: the MLP and a small
convolutional network on 2,000 training images, for CPUs, and a ResNet-14 on all 60,000, for a GPU: 30 epochs,
batches of 256, a hold-out of 5,000 images; of its candidates only the winners are trained on all rows.

Metrics: accuracy, cross-entropy (nats), Brier score (sum over classes), ECE and class-wise ECE (15 bins of
equal width). A fold's candidates are trained as one stacked network by `SmoothingSearchCV`, with the numbers
of one-by-one fits; `--timing` measures what a plain fit of each method's choice costs.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch

from benchmarks.plain import PlainMLP
from benchmarks.real_data.methods import method_rows, model_of, parameters_of
from benchmarks.real_data.nets import SmallConvNet, SmallResNet
from benchmarks.real_data.rivals import BetaSmoothedClassifier
from benchmarks.real_data.sets import HALVES, IMAGES, TABLES, Split, load_fashion, load_table, split_rows
from benchmarks.real_data.store import RESULTS, Store, read_rows
from benchmarks.real_data.variants import holdout_rows, variant_rows
from sk_ils import InstanceSmoothedClassifier

N_TIMINGS = 3


@dataclass(frozen=True)
class Setup:
    """Sizes and network of a set, where they differ from a table's."""

    module: type = PlainMLP
    max_train: int = 2000
    max_test: int = 5000
    epochs: int = 100
    batch_size: int = 128
    train_split: float = 0.2
    test_all: bool = True  # every candidate, or only the winners


SETUPS = {
    "fashion_conv": Setup(SmallConvNet),
    "fashion_resnet": Setup(SmallResNet, 60_000, 10_000, 30, 256, 1 / 12, test_all=False),
}


def parse_arguments(arguments=None):
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_data",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--half", choices=HALVES, default="both")
    parser.add_argument("--tables", nargs="+", choices=[*TABLES, *IMAGES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cv", type=int, default=2, help="folds on which candidates are compared")
    parser.add_argument("--max-train", type=int, help="in place of the set's own number of training rows")
    parser.add_argument("--max-test", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    # What is run; without one of them, the methods.
    parser.set_defaults(what="methods")
    what = parser.add_mutually_exclusive_group()
    for name, text in (
        ("variants", "the variants; needs the methods' results"),
        ("holdout", "the rules, chosen on the hold-out"),
        ("timing", "plain fits; needs the methods' results"),
    ):
        what.add_argument(f"--{name}", action="store_const", dest="what", const=name, help=text)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(
            f"--device {options.device}: torch sees no GPU here; leave it out, or install a CUDA torch."
        )
    return options


def setup_of(name, options):
    """Return the setup of a set, with the sizes that the command asks for."""
    asked = {key: getattr(options, key) for key in ("max_train", "max_test", "epochs")}
    return replace(SETUPS.get(name, Setup()), **{k: v for k, v in asked.items() if v is not None})


def command_line():
    """Return the command as it can be repeated anywhere: without the place of the data."""
    words = ["python", "-m", "benchmarks.real_data", *sys.argv[1:]]
    if "--data-dir" in words:
        words[words.index("--data-dir") + 1] = "DIR"
    return " ".join(words)


def load_split(name, seed, options):
    """Return the split of a set for one seed, with features as they are in the file."""
    setup = setup_of(name, options)
    limits = {"seed": seed, "max_train": setup.max_train, "max_test": setup.max_test}
    if name not in IMAGES:
        return split_rows(*load_table(name, options.data_dir), **limits)
    official = load_fashion(options.data_dir)
    rng = np.random.default_rng(seed)
    # All training images are taken as they are; there is nothing to draw.
    fewer = setup.max_train < len(official.y_train)
    train = split_rows(official.X_train, official.y_train, **limits) if fewer else official
    test = rng.permutation(len(official.y_test))[: setup.max_test]
    return Split(train.X_train, train.y_train, official.X_test[test], official.y_test[test])


def network_of(name, options):
    """Return the parameters of every network that is trained on a set."""
    setup = setup_of(name, options)
    return {
        "module": setup.module,
        "max_epochs": setup.epochs,
        "batch_size": setup.batch_size,
        "train_split": setup.train_split,
        "patience": None,
        "device": options.device,
    }


def settings_of(name, options):
    """Return what the numbers depend on."""
    setup = setup_of(name, options)
    return {"cv": options.cv, **{key: getattr(setup, key) for key in ("max_train", "max_test", "epochs")}}


def chosen_before(name, seed, options):
    """Return {method: parameters} of a seed's winners in the methods' results, rules only."""
    file = options.results / f"{name}.csv"
    rows = [row for row in read_rows(file) if row["seed"] == str(seed)] if file.exists() else []
    if not rows:
        raise ValueError(f"There are no results of the methods on {name}, seed {seed}: run them first.")
    return {row["method"]: parameters_of(row["params"]) for row in rows}


def methods_of_seed(name, seed, options):
    """Return the results of the methods for one seed of a set, and those of all candidates."""
    split, network = load_split(name, seed, options), network_of(name, options)
    scale, test_all = name not in IMAGES, setup_of(name, options).test_all
    return method_rows(split, network, seed=seed, n_splits=options.cv, scale=scale, test_all=test_all)


def variants_of_seed(name, seed, options):
    """Return the results of the variants for one seed of a set."""
    split, network = load_split(name, seed, options), network_of(name, options)
    chosen = chosen_before(name, seed, options)
    return variant_rows(split, network, chosen, seed=seed, n_splits=options.cv), []


def holdout_of_seed(name, seed, options):
    """Return the results of the rules that are chosen on the hold-out, for one seed of a set."""
    return holdout_rows(load_split(name, seed, options), network_of(name, options), seed=seed), []


#: What can be run, seed by seed: the end of its file's name, and the function that gives its rows and those
#: of all candidates.
RUNS = {
    "methods": ("", methods_of_seed),
    "variants": ("_variants", variants_of_seed),
    "holdout": ("_holdout", holdout_of_seed),
}


def run(options):
    """Fill the results of each set, seed by seed."""
    end, rows_of_seed = RUNS[options.what]
    for name in options.tables or HALVES[options.half]:
        file = name + end
        store = Store(options.results / f"{file}.csv", settings_of(name, options))
        candidates = Store(options.results / f"{name}_candidates.csv", settings_of(name, options))
        for seed in sorted(set(range(options.seeds)) - store.seeds()):
            start = perf_counter()
            rows, settings = rows_of_seed(name, seed, options)
            marked = {"table": name, "seed": seed}
            if settings and seed not in candidates.seeds():
                candidates.add([marked | row for row in settings], command_line())
            store.add([marked | row for row in rows], command_line())
            print(f"{file} seed {seed}: {len(rows)} rows, {perf_counter() - start:.0f} s", flush=True)


def time_fits(options):
    """Print the seconds of plain fits of the scaled winners of seed 0, and their ratios to hard labels."""
    print(f"{'table':<18}{'method':<14}{'seconds':>9}{'ratio':>8}")
    for name in options.tables or HALVES[options.half]:
        split, network = load_split(name, 0, options), network_of(name, options)
        chosen = chosen_before(name, 0, options)
        models = {method: timed_model(params, network) for method, params in chosen.items() if "+T" in method}
        seconds = {method: [] for method in models}
        for _ in range(N_TIMINGS):  # they take turns
            for method, (model, n_fits) in models.items():
                start = perf_counter()
                model.fit(split.X_train, split.y_train)
                seconds[method].append(n_fits * (perf_counter() - start))
        reference = median(seconds["No LS +T"])
        for method, values in seconds.items():
            print(f"{name:<18}{method:<14}{median(values):9.2f}{median(values) / reference:8.2f}", flush=True)


def timed_model(params, network):
    """Return the model of a row of results, and how many of it make the method."""
    n_fits = params.pop("net__members", 1)
    if n_fits > 1:
        params = {"net__smoothing": "none"}
    kind = BetaSmoothedClassifier if "net__concentration" in params else InstanceSmoothedClassifier
    return model_of(kind(**network, random_state=0)).set_params(**params), n_fits


def main():
    """Run what the command asks for."""
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    time_fits(options) if options.what == "timing" else run(options)


if __name__ == "__main__":
    main()
