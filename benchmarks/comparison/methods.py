"""The methods: from a task and a seed to test probabilities, and to those of held-out training rows.

"+T" is a temperature from validation rows of the method's own; "CCCV" is scikit-learn's
``CalibratedClassifierCV(method="temperature", cv=5)``, also an average of five fits. What is not ours is
imported where it is used, so that ours run without the rivals.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from benchmarks.comparison.tables import one_hot
from benchmarks.plain import OLD_NETWORK
from benchmarks.real_data.methods import N_MEMBERS, member_seeds
from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils.model_selection import CrossFittedClassifier
from sk_ils.temperature import fit_temperature, softmax

__all__ = ["METHODS", "OURS", "REFERENCE", "RIVALS", "Prediction"]

LS_GRID = {"smoothing": ["uniform"], "smoothing__epsilon": [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3]}
VALID_SHARE = 0.2
#: What the others are measured against.
REFERENCE = "one network, hard labels +T, as it was"


@dataclass(frozen=True)
class Prediction:
    """Probabilities of test rows, (n_test, n_classes), and those of training rows that were held out."""

    proba: np.ndarray
    out_of_fold: np.ndarray | None = None


def encoded(task):
    """Return training and test rows for what knows no categories."""
    encoder = one_hot().fit(task.X_train)
    return (encoder.transform(X).astype(np.float32) for X in (task.X_train, task.X_test))


# --- ours -------------------------------------------------------------------------------------------------


def ours(make):
    """Return a method of this package; `make` gets the seed and the parameters of the task's network."""

    def predict(task, seed):
        X_train, X_test = encoded(task)
        model = make(seed, **task.network).fit(X_train, task.y_train)
        return Prediction(model.predict_proba(X_test), getattr(model, "out_of_fold_proba_", None))

    return predict


def teacher(seed, **parameters):
    """Return a network on hard labels."""
    return TeacherClassifier(**{"device": "cpu", "random_state": seed, **parameters})


def student(seed, **parameters):
    """Return a smoothed network."""
    return InstanceSmoothedClassifier(**{"device": "cpu", "random_state": seed, **parameters})


def deep_ensemble(task, seed):
    """Average networks that differ in their seeds, with a common hold-out and one temperature."""
    X_train, X_test = encoded(task)
    train, valid = hold_out(task.y_train, seed)
    held_out = predefined_split(Dataset(X_train[valid], task.y_train[valid]))
    members = [
        teacher(member, **task.network, train_split=held_out, temperature_scaling=False).fit(
            X_train[train], task.y_train[train]
        )
        for member in member_seeds(seed)
    ]
    on_valid, on_test = (
        np.mean([m.predict_proba(X) for m in members], axis=0) for X in (X_train[valid], X_test)
    )
    return Prediction(scaled(on_valid, task.y_train[valid], on_test))


def plain_network(seed, **parameters):
    """Return the network as it was, on standardised features."""
    return make_pipeline(StandardScaler(), teacher(seed, **(OLD_NETWORK | parameters)))


def folds(seed, **parameters):
    """Return five networks of one setting."""
    return CrossFittedClassifier(student(seed, **parameters))


OURS = {
    REFERENCE: ours(plain_network),
    "one network, hard labels +T": ours(teacher),
    "one network, LS +T": ours(partial(student, smoothing="uniform")),
    "one network, default +T": ours(student),
    "one network, LS tuned +T": ours(lambda seed, **p: SmoothingSearchCV(student(seed, **p), LS_GRID, cv=3)),
    "one network, any rule tuned +T": ours(lambda seed, **p: SmoothingSearchCV(student(seed, **p), cv=3)),
    "deep ensemble of five +T": deep_ensemble,
    "five folds, hard labels +T": ours(partial(folds, smoothing="none")),
    "five folds, default +T": ours(folds),
    "five folds, LS tuned +T": ours(
        lambda seed, **p: SmoothingSearchCV(student(seed, **p), LS_GRID, ensemble=True)
    ),
    "five folds, any rule tuned +T": ours(
        lambda seed, **p: SmoothingSearchCV(student(seed, **p), ensemble=True)
    ),
}


# --- rivals -----------------------------------------------------------------------------------------------


def hold_out(y, seed):
    """Return training and validation rows, stratified."""
    return train_test_split(np.arange(len(y)), test_size=VALID_SHARE, stratify=y, random_state=seed)


def scaled(on_valid, y_valid, on_test):
    """Return test probabilities after the temperature that suits the validation rows."""
    log_valid, log_test = (np.log(np.maximum(proba, 1e-7)) for proba in (on_valid, on_test))
    return softmax(log_test, fit_temperature(log_valid, y_valid))


def pytabkit(name, *, n_folds=1, **parameters):
    """Return a method of pytabkit, scaled by hand: its own calibration is ignored by the classifier (1.7.3).

    With several folds each is a fit's validation rows once, and the scaled log-probabilities are averaged, as
    in our ensemble.
    """

    def predict(task, seed):
        import pytabkit

        kind = getattr(pytabkit, f"{name}_Classifier")
        if n_folds > 1:
            folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
            splits = list(folds.split(task.X_train, task.y_train))
        else:
            splits = [hold_out(task.y_train, seed)]
        log_proba = []
        for number, (train, valid) in enumerate(splits):
            y_valid = task.y_train[valid]
            model = kind(device="cpu", random_state=seed + 1000 * number, n_threads=1, **parameters)
            model.fit(task.X_train.iloc[train], task.y_train[train], task.X_train.iloc[valid], y_valid)
            on_valid, on_test = (model.predict_proba(X) for X in (task.X_train.iloc[valid], task.X_test))
            log_proba.append(np.log(scaled(on_valid, y_valid, on_test)))
        return Prediction(softmax(np.mean(log_proba, axis=0)))

    return predict


def calibrated(make, *, categories=False):
    """Return a scikit-learn classifier in a CalibratedClassifierCV; `make` gets the seed."""

    def predict(task, seed):
        model = make(seed) if categories else make_pipeline(one_hot(), make(seed))
        model = CalibratedClassifierCV(model, method="temperature", cv=N_MEMBERS)
        return Prediction(model.fit(task.X_train, task.y_train).predict_proba(task.X_test))

    return predict


def catboost(task, seed):
    """Fit CatBoost as it comes."""
    from catboost import CatBoostClassifier

    names = list(task.X_train.select_dtypes("category").columns)
    model = CatBoostClassifier(random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False)
    model.fit(task.X_train, task.y_train, cat_features=names)
    return Prediction(model.predict_proba(task.X_test))


def lightgbm(seed):
    """Return LightGBM as it comes; it reads categories from a DataFrame."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1)


def perceptron(seed):
    """Return scikit-learn's network with the sizes of our old one."""
    return Pipeline(
        [
            ("scale", StandardScaler()),
            ("net", MLPClassifier((128, 128), random_state=seed)),
        ]
    )


BY_CROSS_ENTROPY = {"val_metric_name": "cross_entropy"}
RIVALS = {
    "RealMLP-TD, as it comes +T": pytabkit("RealMLP_TD"),
    "RealMLP-TD, LS, by cross-entropy +T": pytabkit("RealMLP_TD", use_ls=True, **BY_CROSS_ENTROPY),
    "RealMLP-TD, LS, by cross-entropy, five folds +T": pytabkit(
        "RealMLP_TD", n_folds=N_MEMBERS, use_ls=True, **BY_CROSS_ENTROPY
    ),
    "TabM-D, by cross-entropy +T": pytabkit("TabM_D", **BY_CROSS_ENTROPY),
    "CatBoost": catboost,
    "LightGBM, CCCV": calibrated(lightgbm, categories=True),
    "HistGradientBoosting, CCCV": calibrated(
        lambda seed: HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=seed),
        categories=True,
    ),
    "RandomForest 500, CCCV": calibrated(
        lambda seed: RandomForestClassifier(500, n_jobs=1, random_state=seed)
    ),
    "MLPClassifier 128-128, CCCV": calibrated(perceptron),
}
METHODS = OURS | RIVALS
