"""The paper's experiments on synthetic data: Tables V and VI, Figs 6, 7 and 11 as numbers, variants of Eq. 3.

Maher and Kull, ICMLA 2021, appendix A, on the reconstructed Gaussian circles of `sk_ils.datasets`. Of each
data set 50 rows a class train, 50 serve early stopping, temperature and the choice of parameters, as in the
paper, and 5000 test. Networks have five hidden layers of 64 ReLU units; Adam, learning rate 1e-2, at most
500 epochs, patience 10, the epoch of the lowest validation cross-entropy. The batch size is not published:
ours is the whole training set of 150 rows, with which the circles were reconstructed. Temperatures are the
estimator's, with its weak prior 2 (ln T)^2; the paper's have none. The paper's T of ILS2 and ILS applies to
raw teacher logits, so that our rule gets T / T_cal.

    python -m benchmarks.paper --n-data-sets 100
    python -m benchmarks.paper --n-data-sets 100 --teacher truth
    python -m benchmarks.paper --n-data-sets 20 --batch-size 32

write benchmarks/results/paper_synthetic/, paper_synthetic_truth/ and paper_synthetic_batch32/. The second has
the true class probabilities as the teacher's, and leaves out Table VI and Figs 6 and 7, which ask for others.
The third asks what the unpublished batch size has to do with it.
"""

import argparse
import os
import platform
import sys
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import sklearn
import torch
from joblib import Parallel, delayed
from sklearn.model_selection import PredefinedSplit
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from benchmarks.paper.tables import CURVATURE, LIMITS, MEASURES, N_BINS, SHIFT, all_tables, choose
from benchmarks.plain import PlainMLP
from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils.datasets import make_gaussian_circles
from sk_ils.metrics import expected_calibration_error
from sk_ils.smoothing import ILS, ILS1, ILS2, NoSmoothing, SelfDistillation, UniformSmoothing
from sk_ils.temperature import log_softmax, softmax

RESULTS = Path(__file__).parents[1] / "results"

# The paper's grids of constant factors and of temperatures, which are on raw teacher logits.
EPSILON = [0.001, 0.005, *np.arange(0.01, 0.2, 0.02).round(2).tolist()]
TEMPERATURE = [1.0, 2.0, 4.0, 6.0]
# Fig. 11 shows more of P1 and P2 than the grid.
WIDE_SHIFT, WIDE_CURVATURE = [0.7, *SHIFT, 0.9], [*CURVATURE, 4.0, 10.0]
# Variants of Eq. 3 are chosen from a part of the grid. Without a cap targets leave the simplex; the cap 0.999
# is the last that keeps them on it.
FEW_SHIFT, FEW_CURVATURE = [0.75, 0.8, 0.85], [0.75, 1.25, 2.0]
CAPS = [0.1, 0.2, 0.3, 0.5, 0.999]
# Figs 6 and 7 end at 0.2; what lies beyond tells whether that is their edge or the data's.
FACTOR = [0.0, 0.01, 0.02, *np.arange(0.04, 0.21, 0.02).round(2).tolist(), 0.25, 0.3, LIMITS[-1]]


class OneSidedILS1(ILS1):
    """ILS1 that leaves alone what the teacher is surer of than `shift`."""

    def _smoothing_factor(self, true_class_proba):
        return super()._smoothing_factor(true_class_proba.clamp(max=self.shift))


def eq3_variants():
    """Return the variants of Eq. 3 as (class, cap); two-sided with the cap 0.2 is the package's."""
    variants = {f"two-sided, cap {cap}": (ILS1, cap) for cap in CAPS}
    return variants | {f"one-sided, cap {cap}": (OneSidedILS1, cap) for cap in (0.2, 0.999)}


def candidates(t_cal):
    """Return the rules of each method and of each variant of Eq. 3."""
    temperature = [T / t_cal for T in TEMPERATURE]
    rules = {
        "No LS": [NoSmoothing()],
        "LS": [UniformSmoothing(e) for e in EPSILON],
        "ILS1": [ILS1(shift=p, curvature=c) for p in WIDE_SHIFT for c in WIDE_CURVATURE],
        "ILS2": [ILS2(epsilon=e, temperature=T) for e in EPSILON for T in temperature],
        "ILS": [
            ILS(shift=p, curvature=c, temperature=T) for p in SHIFT for c in CURVATURE for T in temperature
        ],
    }
    for name, (kind, cap) in eq3_variants().items():
        settings = [(p, c) for p in FEW_SHIFT for c in FEW_CURVATURE]
        rules[name] = [kind(shift=p, curvature=c, max_epsilon=cap) for p, c in settings]
    return rules


def cross_entropy(log_proba, y):
    """Return the mean negative log-probability of the labels, in nats."""
    return -log_proba[np.arange(len(y)), y].mean()


def measures(log_proba, data):
    """Return accuracy, in all and by circle, cross-entropy and calibration error."""
    hit = log_proba.argmax(axis=1) == data.y
    accuracies = (hit.mean(), hit[data.dense].mean(), hit[~data.dense].mean())
    error = expected_calibration_error(data.y, np.exp(log_proba))
    return dict(zip(MEASURES, (*accuracies, cross_entropy(log_proba, data.y), error), strict=True))


def raw_logits(clf, X):
    """Return log-probabilities of a network before temperature scaling, but for a constant in each row."""
    return clf.decision_function(X) * clf.temperature_


class Experiment:
    """One data set and what is trained on it.

    `true_teacher` puts the true class probabilities in the place of the teacher network's; `training`
    replaces parameters of the networks.
    """

    def __init__(self, seed, *, true_teacher=False, **training):
        self.train, self.valid, self.test = (
            make_gaussian_circles(n, random_state=3 * seed + part) for part, n in enumerate((50, 50, 5000))
        )
        self.parameters = {
            "module": PlainMLP,
            "module__hidden_sizes": (64,) * 5,
            "optimizer": torch.optim.Adam,
            "lr": 1e-2,
            "max_epochs": 500,
            "patience": 10,
            "batch_size": -1,
            "train_split": predefined_split(Dataset(self.valid.X.astype(np.float32), self.valid.y)),
            "device": "cpu",
            "random_state": seed,
            **training,
        }
        # The same network that every search and fit below trains as its teacher.
        self.teacher = TeacherClassifier(**self.parameters).fit(self.train.X, self.train.y)
        self.t_cal, self.teacher_proba = self.teacher.temperature_, None
        if true_teacher:
            posteriors = (self.train.posterior, self.valid.posterior)
            self.t_cal, self.teacher_proba = 1.0, np.concatenate(posteriors)

    def fit(self, rule):
        """Return a network that is trained with a rule."""
        clf = InstanceSmoothedClassifier(smoothing=rule, **self.parameters)
        return clf.fit(self.train.X, self.train.y)

    def search(self, rules, scoring):
        """Return a column for each score and a row for each rule; all are trained as one stack."""
        X = np.concatenate([self.train.X, self.valid.X])
        y = np.concatenate([self.train.y, self.valid.y])
        fold = PredefinedSplit(np.repeat([-1, 0], [len(self.train.y), len(self.valid.y)]))
        search = SmoothingSearchCV(
            InstanceSmoothedClassifier(**self.parameters),
            {"smoothing": rules},
            cv=fold,
            scoring=scoring,
            refit=False,
            error_score="raise",
        ).fit(X, y, **({} if self.teacher_proba is None else {"teacher_proba": self.teacher_proba}))
        start = "mean_test_"
        results = search.cv_results_.items()
        return pd.DataFrame({name[len(start) :]: v for name, v in results if name.startswith(start)})

    def all_measures(self, clf, X_valid, y_valid):
        """Return the measures of a network on the test rows, and its validation cross-entropy."""
        scaled, scaled_valid = clf.decision_function(self.test.X), clf.decision_function(X_valid)
        raw, raw_valid = (log_softmax(z * clf.temperature_) for z in (scaled, scaled_valid))
        return {
            **measures(raw, self.test),
            **{f"{name} +T": value for name, value in measures(scaled, self.test).items()},
            "valid CE": cross_entropy(raw_valid, y_valid),
            "valid CE +T": cross_entropy(scaled_valid, y_valid),
            "T": clf.temperature_,
        }

    def grid(self):
        """Return a row for each candidate: its method, its parameters, its measures."""
        rules = [(name, rule) for name, group in candidates(self.t_cal).items() for rule in group]
        scores = self.search([rule for _, rule in rules], self.all_measures)
        parameters = pd.DataFrame([rule.get_params() for _, rule in rules])
        parameters["temperature"] = (parameters["temperature"] * self.t_cal).round(9)  # the paper's
        return parameters.assign(method=[name for name, _ in rules]).join(scores)

    def distilled(self, grid):
        """Return the measures of students that are distilled at T = 1, a row for each teacher."""
        teachers = {"Bayes-optimal": self.train.posterior, "No LS": self.raw_proba(self.teacher)}
        for name, kind in (("LS", UniformSmoothing), ("ILS", ILS)):
            best = choose(grid[grid["method"] == name])
            rule = kind(**{key: best[key] for key in kind().get_params()})
            if name == "ILS":
                rule.temperature /= self.t_cal
            teachers[name] = self.raw_proba(self.fit(rule))
        rows = [{"method": name, **self.student(proba)} for name, proba in teachers.items()]
        # How much of the distance from the teacher is due to the early end.
        patient = self.student(self.train.posterior, patience=None)
        return pd.DataFrame([*rows, {"method": "Bayes-optimal, all epochs", **patient}])

    def student(self, proba, **training):
        """Return the measures of a student that is distilled from probabilities of the training rows."""
        rule = SelfDistillation(weight=1.0)
        clf = InstanceSmoothedClassifier(smoothing=rule, **self.parameters | training)
        clf.fit(self.train.X, self.train.y, teacher_proba=proba)
        return self.all_measures(clf, self.valid.X, self.valid.y)

    def raw_proba(self, clf):
        """Return a network's probabilities of the training rows, before temperature scaling."""
        return softmax(raw_logits(clf, self.train.X))

    def curves(self):
        """Return how far networks of each constant factor are from the truth, by true-class probability.

        A row for each factor and bin: the sum over the bin's rows of the distance between the network's and
        the Bayes-optimal true-class probability. The bins are those of the Bayes-optimal probability (Fig. 6)
        and of the scaled teacher's (Fig. 7), on training rows and on test rows.
        """
        bins = {}
        for rows, data in (("training", self.train), ("test", self.test)):
            views = {"Bayes-optimal": data.posterior, "No LS +T": self.teacher.predict_proba(data.X)}
            for view, proba in views.items():
                index = np.minimum((true_class(proba, data) * N_BINS).astype(int), N_BINS - 1)
                bins[view, rows] = (data, index)

        def distances(clf, X_valid, y_valid):
            out = {}
            for (view, rows), (data, index) in bins.items():
                stated = true_class(softmax(raw_logits(clf, data.X)), data)
                gap = abs(stated - true_class(data.posterior, data))
                sums = np.bincount(index, gap, minlength=N_BINS)
                out |= {f"{view}|{rows}|{number}": value for number, value in enumerate(sums)}
            return out

        # LS with 1.5 f takes f from the true class of three.
        scores = self.search([UniformSmoothing(1.5 * factor) for factor in FACTOR], distances)
        long = scores.assign(factor=FACTOR).melt("factor", value_name="gap")
        keys = long.pop("variable").str.split("|", expand=True)
        long["view"], long["rows"], long["bin"] = keys[0], keys[1], keys[2].astype(int)
        counts = {key: np.bincount(index, minlength=N_BINS) for key, (_, index) in bins.items()}
        places = zip(long["view"], long["rows"], long["bin"], strict=True)
        long["count"] = [counts[view, rows][number] for view, rows, number in places]
        return long


def true_class(proba, data):
    """Return the probability of each row's label."""
    return proba[np.arange(len(data.y)), data.y]


def run(seed, **setting):
    """Return the frames of one data set; `setting` is the experiment's."""
    torch.set_num_threads(1)
    experiment = Experiment(seed, **setting)
    grid = experiment.grid()
    with np.errstate(divide="ignore"):
        bayes = measures(np.log(experiment.test.posterior), experiment.test)
    frames = {"bayes": pd.DataFrame([{"method": "Bayes-optimal", **bayes}]), "grid": grid}
    if experiment.teacher_proba is None:
        frames |= {"distilled": experiment.distilled(grid), "curves": experiment.curves()}
    return {name: frame.assign(**{"data set": seed}) for name, frame in frames.items()}


def run_all(n_data_sets, jobs, **setting):
    """Return the frames of all data sets, in their order."""
    start = time.perf_counter()
    tasks = (delayed(run)(seed, **setting) for seed in range(n_data_sets))
    work = Parallel(n_jobs=jobs, return_as="generator")(tasks)
    done = []
    for frames in work:
        done.append(frames)
        minutes = (time.perf_counter() - start) / 60
        print(f"{len(done)} of {n_data_sets} data sets, {minutes:.1f} minutes", file=sys.stderr, flush=True)
    return {name: pd.concat([frames[name] for frames in done], ignore_index=True) for name in done[0]}


def parse_arguments(arguments=None):
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n-data-sets", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--teacher", choices=["network", "truth"], default="network")
    parser.add_argument("--batch-size", type=int, help="in place of all 150 rows")
    parser.add_argument("--out", type=Path, help="folder for the tables, in place of the one named above")
    options = parser.parse_args(arguments)
    if options.out is None:
        truth = "_truth" if options.teacher == "truth" else ""
        batches = "" if options.batch_size is None else f"_batch{options.batch_size}"
        options.out = RESULTS / f"paper_synthetic{truth}{batches}"
    return options


def main():
    """Run the data sets, write and print the tables."""
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    training = {} if options.batch_size is None else {"batch_size": options.batch_size}
    frames = run_all(options.n_data_sets, options.jobs, true_teacher=options.teacher == "truth", **training)
    header = (
        f"# {' '.join(['python -m benchmarks.paper', *sys.argv[1:]])}\n"
        f"# {date.today()}, {(time.perf_counter() - start) / 60:.0f} minutes in {options.jobs} processes, "
        f"Python {platform.python_version()}, torch {torch.__version__}, scikit-learn {sklearn.__version__}\n"
    )
    for name, table in all_tables(frames, eq3_variants()).items():
        (options.out / f"{name}.csv").write_text(header + table.to_csv(index=False, float_format="%.5g"))
        if name != "table_v_data_sets":
            print(f"\n{name}\n{table.to_string(index=False, na_rep='', float_format='{:.4f}'.format)}")


if __name__ == "__main__":
    main()
