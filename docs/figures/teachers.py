"""Teachers asked in sample and out of fold: ``python docs/figures/teachers.py`` (some minutes)."""

from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from programs import save_figure
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict, train_test_split

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier

SEEDS = range(5)
RULES = ("ils1", "ils2", "ils", "distillation")
TEACHERS = {
    "our network": TeacherClassifier(),
    "random forest": RandomForestClassifier(),
    "gradient boosting": HistGradientBoostingClassifier(max_iter=50),
}


def data(seed: int) -> Any:
    """Return 1000 rows to train on, and test rows, of six overlapping classes."""
    X, y = make_classification(
        6000, n_features=20, n_informative=10, n_classes=6, class_sep=1.5, flip_y=0.02, random_state=seed
    )
    return train_test_split(X, y, train_size=1000, stratify=y, random_state=seed)


def own_label(proba: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return the probability of each row's label."""
    return proba[np.arange(len(y)), y]


def losses(memory: str) -> dict[tuple[str, int | None, str], NDArray[Any]]:
    """Return the test log loss of the student of each teacher, way and rule, for each seed."""
    found: dict[tuple[str, int | None, str], list[float]] = {}
    for seed in SEEDS:
        X, X_test, y, y_test = data(seed)
        for name, teacher in TEACHERS.items():
            for cv in (None, 5):
                clf = InstanceSmoothedClassifier(
                    teacher=teacher, teacher_cv=cv, memory=memory, random_state=seed
                )
                for rule in RULES:
                    proba = clf.set_params(smoothing=rule).fit(X, y).predict_proba(X_test)
                    found.setdefault((name, cv, rule), []).append(log_loss(y_test, proba))
    return {key: np.array(values) for key, values in found.items()}


def main() -> None:
    """Print the students' losses and draw what the teachers say of their own training rows."""
    mpl.use("agg")
    X, _, y, _ = data(0)
    _, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained", sharey=True)
    bins = np.linspace(0, 1, 21)
    for ax, (name, teacher) in zip(axes, TEACHERS.items(), strict=True):
        teacher = clone(teacher).set_params(random_state=0)
        seen = own_label(clone(teacher).fit(X, y).predict_proba(X), y)
        unseen = own_label(cross_val_predict(teacher, X, y, method="predict_proba"), y)
        print(
            f"{name}: mean probability of the label {seen.mean():.3f} in sample, {unseen.mean():.3f} unseen"
        )
        ax.hist(seen, bins, histtype="step", color="#D55E00", label="the rows it was fitted on")
        ax.hist(unseen, bins, histtype="stepfilled", color="#0072B2", alpha=0.35, label="out of fold")
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("probability of the label")
    axes[0].set_ylabel("rows")
    axes[1].legend(fontsize=8, loc="upper left")
    save_figure(1, "teachers")
    with TemporaryDirectory() as memory:
        found = losses(memory)
    for name in TEACHERS:
        for rule in RULES:
            once, folds = found[name, None, rule], found[name, 5, rule]
            difference = folds - once
            error = difference.std(ddof=1) / np.sqrt(len(SEEDS))
            print(
                f"{name:<18}{rule:<13} in sample {once.mean():.4f}  out of fold {folds.mean():.4f}  "
                f"difference {difference.mean():+.4f} +- {error:.4f}"
            )


if __name__ == "__main__":
    main()
