"""The same probabilities measured by scikit-learn, torchmetrics, netcal, MAPIE and torch-uncertainty.

Run ``python -m benchmarks.metrics_of_others`` (a few seconds of CPU). torchmetrics and netcal come with the
extra ``benchmarks``; MAPIE (``pip install mapie``) and torch-uncertainty (``pip install torch-uncertainty
lightning``: it does not import without the latter) have a line instead if they are missing. torch-uncertainty
also imports torchvision, which its metrics do not use; where that cannot be imported, as beside a torch of
another build, empty modules stand for it. Prints a table for each of two models on the digits: the call, its
number, ours, and why they differ. Naive Bayes is there because many of its confidences are exactly 1.
"""

import argparse
import importlib
import sys
import warnings
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from unittest.mock import MagicMock

import numpy as np
import torch
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler

from sk_ils.metrics import (
    calibration_report,
    classwise_calibration_error,
    expected_calibration_error,
)

N_BINS = 15
# A number within this of ours is the same: torchmetrics and torch-uncertainty count in float32.
TOLERANCE = 2e-6


def make_data():
    """Return true labels, and the probabilities of two models, float32."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, train_size=200, stratify=y, random_state=0)
    scaler = StandardScaler().fit(X)
    models = {"logistic regression": LogisticRegression(max_iter=1000), "naive Bayes": GaussianNB()}
    probas = {}
    for name, model in models.items():
        proba = model.fit(scaler.transform(X), y).predict_proba(scaler.transform(X_test))
        probas[name] = proba.astype(np.float32)
    return y_test, probas


def gaps(hits, scores):
    """Return the mean distance of a column's calibration curve, weighted by its bins' rows."""
    true, stated = calibration_curve(hits, scores, n_bins=N_BINS)
    edges = np.linspace(0, 1, N_BINS + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], scores), minlength=N_BINS)
    return np.average(np.abs(true - stated), weights=counts[counts > 0])


def of_scikit_learn(y, proba):
    """Yield (call, function that makes it, our number, why they differ)."""
    report = calibration_report(y, proba, n_resamples=2, random_state=0)
    P = proba / proba.sum(axis=1, keepdims=True, dtype=np.float64)
    yield (
        "accuracy_score(y, p.argmax(1))",
        lambda: accuracy_score(y, P.argmax(1)),
        report["accuracy"].value,
        "",
    )
    yield "log_loss(y, p)", lambda: log_loss(y, proba), report["cross_entropy"].value, ""
    yield (
        "brier_score_loss(y, p, scale_by_half=False)",
        lambda: brier_score_loss(y, P, scale_by_half=False),
        report["brier_score"].value,
        "",
    )
    yield (
        "calibration_curve of each class, summed by hand",
        lambda: np.mean([gaps(y == k, proba[:, k]) for k in range(proba.shape[1])]),
        classwise_calibration_error(y, proba),
        "",
    )


def of_torchmetrics(y, proba):
    """Yield (call, function that makes it, our number, why they differ)."""
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

    P, target = torch.from_numpy(proba), torch.from_numpy(y)

    def binary(k):
        return float(binary_calibration_error(P[:, k], (target == k).int(), n_bins=N_BINS))

    for norm in ("l1", "l2", "max"):
        yield (
            f'multiclass_calibration_error(norm="{norm}")',
            lambda norm=norm: float(
                multiclass_calibration_error(P, target, num_classes=P.shape[1], n_bins=N_BINS, norm=norm)
            ),
            expected_calibration_error(y, proba, norm=norm),
            "confidences of 1 have a bin of their own",
        )
    yield (
        "binary_calibration_error, mean over classes",
        lambda: np.mean([binary(k) for k in range(P.shape[1])]),
        classwise_calibration_error(y, proba),
        "probabilities of 1 have a bin of their own",
    )
    of_eight = classwise_calibration_error(y == 8, proba[:, 8], average=None)[1]
    yield "binary_calibration_error of class 8", lambda: binary(8), of_eight, ""


def of_netcal(y, proba):
    """Yield (call, function that makes it, our number, why they differ)."""
    from netcal.metrics import ACE, ECE, MCE

    ece = expected_calibration_error(y, proba)
    yield "ECE(15)", lambda: ECE(N_BINS).measure(proba, y), ece, ""
    yield (
        "MCE(15)",
        lambda: MCE(N_BINS).measure(proba, y),
        expected_calibration_error(y, proba, norm="max"),
        "",
    )
    yield "ACE(15)", lambda: ACE(N_BINS).measure(proba, y), ece, "the bins' mean, however full they are"
    yield (
        "ECE(15, equal_intervals=False)",
        lambda: ECE(N_BINS, equal_intervals=False).measure(proba, y),
        expected_calibration_error(y, proba, strategy="quantile"),
        "edges between the values, ours at them",
    )
    yield (
        "ECE(15) of each column, mean over classes",
        lambda: np.mean(
            [ECE(N_BINS).measure(proba[:, k], (y == k).astype(int)) for k in range(proba.shape[1])]
        ),
        classwise_calibration_error(y, proba),
        "",
    )


def of_mapie(y, proba):
    """Yield (call, function that makes it, our number, why they differ)."""
    from mapie.metrics.calibration import expected_calibration_error as mapies_error
    from mapie.metrics.calibration import top_label_ece

    of_eight = classwise_calibration_error(y == 8, proba[:, 8], average=None)[1]
    for bins, why in ((N_BINS + 1, ""), (N_BINS, "num_bins counts the edges: these are 14 bins")):
        yield (
            f"expected_calibration_error(num_bins={bins}), class 8",
            lambda bins=bins: mapies_error(
                (y == 8).astype(int), proba[:, 8], num_bins=bins, split_strategy="uniform"
            ),
            of_eight,
            why,
        )
    yield (
        f"expected_calibration_error(hits, p, num_bins={N_BINS + 1})",
        lambda: mapies_error((proba.argmax(axis=1) == y).astype(int), proba, num_bins=N_BINS + 1),
        expected_calibration_error(y, proba),
        "",
    )
    yield (
        f"expected_calibration_error(num_bins={N_BINS + 1}, classwise=True)",
        lambda: mapies_error(y, proba, num_bins=N_BINS + 1, classwise=True, class_labels=y),
        classwise_calibration_error(y, proba),
        "",
    )
    yield (
        f"top_label_ece(num_bins={N_BINS + 1})",
        lambda: top_label_ece(y, proba, num_bins=N_BINS + 1, split_strategy="uniform"),
        expected_calibration_error(y, proba),
        "the ECE of each predicted label, their mean",
    )


def of_torch_uncertainty(y, proba):
    """Yield (call, function that makes it, our number, why they differ)."""
    from torch_uncertainty.metrics.classification import (
        AdaptiveCalibrationError,
        CalibrationError,
        ClasswiseCalibrationError,
        SmoothCalibrationError,
    )

    P, target = torch.from_numpy(proba), torch.from_numpy(y)
    options = {"task": "multiclass", "num_classes": proba.shape[1], "num_bins": N_BINS}
    for norm in ("l1", "l2", "max"):
        yield (
            f'CalibrationError(norm="{norm}")',
            lambda norm=norm: float(CalibrationError(norm=norm, **options)(P, target)),
            expected_calibration_error(y, proba, norm=norm),
            "confidences of 1 have a bin of their own",
        )
    yield (
        'AdaptiveCalibrationError(norm="l1")',
        lambda: float(AdaptiveCalibrationError(norm="l1", **options)(P, target)),
        expected_calibration_error(y, proba, strategy="quantile"),
        "the rows are shared out to the bins another way",
    )
    yield (
        "ClasswiseCalibrationError()",
        lambda: ClasswiseCalibrationError(num_classes=P.shape[1], num_bins=N_BINS)(P, target),
        classwise_calibration_error(y, proba),
        "probabilities of 1 have a bin of their own",
    )

    def smooth():
        metric = SmoothCalibrationError()
        metric.update(P, target)
        return metric.compute()

    ece = expected_calibration_error(y, proba)
    yield "SmoothCalibrationError()", smooth, ece, "a kernel instead of bins"


class EmptyTorchvision:
    """Finds an empty module for torchvision and each of its parts."""

    def find_spec(self, name, path=None, target=None):
        """Return a specification for torchvision only."""
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None

    def create_module(self, spec):
        """Return a module that has any attribute."""
        return MagicMock(__path__=[], __spec__=spec, __name__=spec.name)

    def exec_module(self, module):
        """Execute nothing."""


def has_torchvision():
    """Return whether torchvision can be imported; if not, empty modules are from now on."""
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):  # missing, or of another build than torch
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.meta_path.insert(0, EmptyTorchvision())
        return False
    return True


LIBRARIES = {
    "scikit-learn": ("sklearn", of_scikit_learn),
    "torchmetrics": ("torchmetrics", of_torchmetrics),
    "netcal": ("netcal", of_netcal),
    "mapie": ("mapie", of_mapie),
    "torch-uncertainty": ("torch_uncertainty", of_torch_uncertainty),
}


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics_of_others", description=__doc__)
    parser.parse_args()
    warnings.simplefilter("ignore")
    lacks_torchvision = not has_torchvision()
    y, probas = make_data()
    for model, proba in probas.items():
        share = np.mean(proba.max(axis=1) == 1)
        print(f"{model}: {len(y)} rows, 10 classes, {N_BINS} bins, {100 * share:.1f} % with confidence 1")
        print(f"  {'':<62}{'theirs':>9} {'sk_ils':>9}")
        for package, (module, calls) in LIBRARIES.items():
            try:
                importlib.import_module(module)
            except ImportError as error:
                print(f"  {package}: not imported ({error})")
                continue
            note = " (beside empty modules for torchvision)" if lacks_torchvision and "unc" in module else ""
            print(f"  {package} {version(package)}{note}")
            for call, measure, ours, why in calls(y, proba):
                print(f"    {call:<60} {compared(measure, ours, why)}")
        print()


def compared(measure, ours, why):
    """Return the rest of a line: the number of another library, ours, and why they differ."""
    try:
        found = float(measure())
    except Exception as error:  # whatever it is, the page tells of it
        return f"{type(error).__name__}: {error}"
    equal = abs(found - ours) <= TOLERANCE
    return f"{found:.6f}  {ours:.6f}  {'the same' if equal else why or 'ANOTHER'}"


if __name__ == "__main__":
    main()
