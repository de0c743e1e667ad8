"""Teachers: how any classifier is fitted on the training part, and what it says of every training row."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.validation import check_is_fitted, check_memory, has_fit_parameter
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import Dataset

from sk_ils._holdout import fold_indices
from sk_ils._inputs import is_dataset
from sk_ils._task import Task
from sk_ils._validation import InvalidParameterError, safe_indexing
from sk_ils.batches import Rows
from sk_ils.net import CalibratedNet
from sk_ils.temperature import fit_temperature, log_softmax

# A tree ensemble says 0 and 1; the log of this is about -16.
_PROBA_FLOOR = 1e-7


@dataclass(frozen=True)
class TeacherView:
    """A teacher and its logits of the training rows, already divided by its temperature T_cal."""

    estimator: Any
    logits: NDArray[np.floating]  # (n_train, K)
    temperature: float


def check_teacher(teacher: Any) -> None:
    """Raise unless a teacher is None or a classifier instance with predict_proba."""
    if teacher is None:
        return
    if isinstance(teacher, type) or not hasattr(teacher, "fit") or not hasattr(teacher, "predict_proba"):
        raise InvalidParameterError(
            "teacher must be None or a classifier instance with predict_proba, such as "
            f"HistGradientBoostingClassifier() or FrozenEstimator(fitted_classifier); got {teacher!r}."
        )


def log_probabilities(proba: Any) -> NDArray[np.float64]:
    """Return log(max(p, 1e-7)): logits of a teacher that only gives probabilities."""
    return np.log(np.maximum(np.asarray(proba, dtype=np.float64), _PROBA_FLOOR))


def teach(teacher: Any, net: CalibratedNet, task: Task, *, cv: int | None, memory: Any) -> TeacherView:
    """Fit a teacher, unless it is frozen, and ask it for every training row.

    Parameters
    ----------
    teacher : classifier
    net : CalibratedNet
        The student, whose features and classes a network teacher shares.
    task : Task
    cv : int or None
        Number of folds of out-of-fold logits.
    memory : None, str or joblib.Memory
        Caches what is fitted here.

    Returns
    -------
    TeacherView
    """
    if isinstance(teacher, FrozenEstimator):
        check_is_fitted(teacher)
        train = task.train.X if is_dataset(task.train.X) else safe_indexing(task.X, task.train_index)
        return TeacherView(teacher, frozen_logits(teacher, train, task.classes), 1.0)
    seeded_teacher = _seeded_clone(teacher, task.seed)
    if memory is None:
        return _fit_teacher(seeded_teacher, net, task, cv)
    cached = check_memory(memory).cache(_fit_teacher_cached, ignore=["teacher", "net", "task", "cv"])
    return cached(_key(seeded_teacher, task, cv), seeded_teacher, net, task, cv)


def _seeded_clone(teacher: Any, seed: int) -> Any:
    """Return an unfitted copy whose open random states follow the student's."""
    copy = clone(teacher)
    if isinstance(copy, CalibratedNet):
        return copy  # takes the task's seed itself
    parameters = copy.get_params(deep=True)
    states = [name for name in parameters if name == "random_state" or name.endswith("__random_state")]
    return copy.set_params(**{name: seed for name in states if parameters[name] is None})


def _fit_teacher_cached(
    key: str, teacher: Any, net: CalibratedNet, task: Task, cv: int | None
) -> TeacherView:
    """Fit as below; joblib looks at the key only."""
    return _fit_teacher(teacher, net, task, cv)


def _fit_teacher(teacher: Any, net: CalibratedNet, task: Task, cv: int | None) -> TeacherView:
    fitted = _fit(clone(teacher), net, task)
    assert task.train.codes is not None
    if cv is not None:
        logits = _out_of_fold_logits(teacher, net, task, cv)
        # No row was trained on by the teacher that speaks of it, so these rows can tell the temperature.
        weight = None if task.train.weight is None else task.train.weight.numpy()
        temperature = fit_temperature(logits, task.train.codes.numpy(), weight)
    else:
        logits = _training_logits(fitted, task, task.train_index, task.train)
        temperature = _held_out_temperature(fitted, task)
    return TeacherView(fitted, logits / np.asarray(temperature, dtype=logits.dtype), temperature)


def _held_out_temperature(teacher: Any, task: Task) -> float:
    """Return T_cal on the hold-out; 1 if there is none."""
    if task.valid is None:
        return 1.0
    assert task.valid.codes is not None
    weight = None if task.valid.weight is None else task.valid.weight.numpy()
    logits = _training_logits(teacher, task, task.valid_index, task.valid)
    return fit_temperature(logits, task.valid.codes.numpy(), weight)


def _fit(teacher: Any, net: CalibratedNet, task: Task) -> Any:
    """Fit a teacher on the training part; a network of ours also shares the hold-out."""
    if isinstance(teacher, CalibratedNet):
        return teacher._fit_task(task, like=net)
    fitted = _fit_classifier(teacher, task)
    _warn_of_unseen_classes(fitted, task.classes)
    return fitted


def _fit_classifier(teacher: Any, task: Task) -> Any:
    if is_dataset(task.X):
        raise ValueError(
            f"{type(teacher).__name__} cannot be fitted on a torch Dataset: pass a sk_ils network as "
            "teacher, a FrozenEstimator, or teacher_proba to fit."
        )
    X, y = safe_indexing(task.X, task.train_index), task.y[task.train_index]
    if task.sample_weight is None:
        return teacher.fit(X, y)
    if has_fit_parameter(teacher, "sample_weight"):
        return teacher.fit(X, y, sample_weight=task.sample_weight[task.train_index])
    warnings.warn(
        f"The teacher {type(teacher).__name__} takes no sample_weight: it is fitted without weights.",
        stacklevel=2,
    )
    return teacher.fit(X, y)


def _training_logits(
    teacher: Any, task: Task, index: NDArray[np.int64] | None, rows: Rows
) -> NDArray[np.floating]:
    """Return the raw logits of a teacher that was fitted here, for some rows of the task."""
    if isinstance(teacher, CalibratedNet):
        return teacher._logits(rows)
    if index is not None:
        return classifier_logits(teacher, safe_indexing(task.X, index), task.classes)
    if isinstance(rows.X, Tensor):  # the hold-out comes from elsewhere
        return classifier_logits(teacher, rows.X.numpy(), task.classes)
    raise ValueError(
        f"{type(teacher).__name__} cannot be asked about a torch Dataset as hold-out: pass a skorch Dataset "
        "of arrays to predefined_split, or a sk_ils network as teacher."
    )


def classifier_logits(teacher: Any, X: Any, classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log-probabilities of a fitted classifier, a column for each class.

    Parameters
    ----------
    teacher : classifier
    X : rows as the user passed them
    classes : ndarray of shape (K,)
        The student's classes; those that the teacher never saw get the floor.

    Returns
    -------
    ndarray of shape (n, K)
    """
    known = teacher.predict_proba(X)
    proba = np.zeros((len(known), len(classes)))
    proba[:, np.searchsorted(classes, teacher.classes_)] = known
    return log_probabilities(proba)


def _warn_of_unseen_classes(teacher: Any, classes: NDArray[Any]) -> None:
    absent = np.setdiff1d(classes, teacher.classes_)
    if len(absent):
        warnings.warn(
            f"The teacher never saw class {absent[:5].tolist()} and gives it the probability "
            f"{_PROBA_FLOOR:g}: pass more rows of it, or fewer teacher_cv folds.",
            stacklevel=2,
        )


def frozen_logits(teacher: Any, X: Any, classes: NDArray[Any]) -> NDArray[np.floating]:
    """Return the log-probabilities of a teacher that was fitted elsewhere, as it is.

    Parameters
    ----------
    teacher : FrozenEstimator
    X : rows as the user passed them, or a Dataset of them
    classes : ndarray of shape (K,)
        The student's classes, which must be the teacher's.

    Returns
    -------
    ndarray of shape (n, K)
    """
    known = np.asarray(teacher.classes_)
    if len(known) != len(classes) or not (known == classes).all():
        raise ValueError(
            f"The frozen teacher knows the classes {known[:20].tolist()}, but y holds "
            f"{classes[:20].tolist()}."
        )
    net = teacher.estimator
    if isinstance(net, CalibratedNet):
        # Not through probabilities: float round-off near 0 and 1 would be floored.
        return log_softmax(net._checked_logits(X), net.temperature_)
    return log_probabilities(teacher.predict_proba(X))


def _out_of_fold_logits(teacher: Any, net: CalibratedNet, task: Task, cv: int) -> NDArray[np.floating]:
    """Return logits of each training row from a teacher that was fitted on other folds."""
    assert task.train.codes is not None
    codes = task.train.codes.numpy()
    if task.groups is None:
        folds: Any = StratifiedKFold(cv, shuffle=True, random_state=task.seed)
    else:
        folds = StratifiedGroupKFold(cv, shuffle=True, random_state=task.seed)
    groups = None if task.groups is None else task.groups[task.train_index]
    logits = np.empty((len(codes), len(task.classes)))
    for inside, outside in fold_indices(folds, codes, groups):
        part = replace(task, train=task.train.take(inside), train_index=task.train_index[inside])
        fitted = _fit(clone(teacher), net, part)
        rows = task.train.take(outside)
        logits[outside] = _training_logits(fitted, task, task.train_index[outside], rows)
    return logits


# --- the key of the cache -----------------------------------------------------------------------------


def _key(teacher: Any, task: Task, cv: int | None) -> str:
    """Return a hash of all that a teacher depends on, the same in every process."""
    rows = [task.train, task.valid]
    user_X = None if is_dataset(task.X) or isinstance(teacher, CalibratedNet) else np.asarray(task.X)
    parts = [teacher, rows, user_X, getattr(task.X, "columns", None), task.y, task.groups, task.seed, cv]
    return joblib.hash(_content([*parts, task.sample_weight, task.train_index, task.valid_index]))


def _content(value: Any) -> Any:
    """Return a value's content as NumPy and plain Python.

    joblib's own hash of tensors, modules and object arrays differs between processes.
    """
    if isinstance(value, Tensor):
        return str(value.dtype), value.detach().cpu().numpy()
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    if isinstance(value, type) or value is None:
        return value
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return array.astype(str) if array.dtype == object else array
    if isinstance(value, dict):
        return [(str(name), _content(value[name])) for name in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        return [_content(part) for part in value]
    if hasattr(value, "get_params"):
        return type(value), _content(value.get_params(deep=False))
    if isinstance(value, nn.Module | Dataset | Callback):
        return type(value), _content(vars(value))
    return value
