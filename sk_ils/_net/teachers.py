"""The three kinds of teacher: a network of ours, any other classifier, a frozen one.

Each is a thin shell around a classifier. What else a teacher could be, a class here with the
methods of :class:`Teacher` and a line at `as_teacher` would be all that it needs.
"""

import re
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.validation import check_is_fitted, check_memory, has_fit_parameter
from skorch.callbacks import (
    Checkpoint,
    LoadInitState,
    MlflowLogger,
    NeptuneLogger,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    WandbLogger,
)
from torch import Tensor
from torch.utils.data import Dataset

from sk_ils._net.calibrated_net import CalibratedNet
from sk_ils._net.fit_data import FitData, InputSchema, Part
from sk_ils._net.inputs import check_probabilities, is_dataset
from sk_ils._net.seeding import others_may_fit
from sk_ils._net.sklearn_net import named_parameters
from sk_ils._net.split import fold_indices
from sk_ils._net.teacher_cache import cache_key
from sk_ils._net.training import DTYPES, held_out_temperature
from sk_ils._sklearn_compat import NO_TASK, FitTask, InvalidParameterError

# A tree ensemble says 0 and 1; the log of this is about -16.
_PROBA_FLOOR = 1e-7
# A teacher with the student's callbacks would write over the student's files, or log as if it were
# it.
_WRITERS = (
    Checkpoint,
    LoadInitState,
    MlflowLogger,
    NeptuneLogger,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    WandbLogger,
)


@dataclass(frozen=True)
class TeacherOutput:
    """A fitted teacher, and its logits of the training samples.

    Parameters
    ----------
    estimator : classifier or None
        None if probabilities were passed in a teacher's place.
    logits : ndarray of shape (n_samples, n_classes)
        Divided by `temperature` already.
    temperature : float
        T_cal.
    """

    estimator: Any
    logits: NDArray[np.floating]
    temperature: float


class Teacher(ABC):
    """A classifier in the role of a teacher.

    Parameters
    ----------
    estimator : classifier
        Fitted, or not yet.
    """

    # Whether the teacher is fitted inside the student's fit.
    is_trained_here: ClassVar[bool] = True
    # Whether it is fitted on X as the user passed it, such as a DataFrame.
    sees_raw_inputs: ClassVar[bool] = True

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    @property
    def own_temperature(self) -> float:
        """The temperature that the classifier found when it was fitted by itself."""
        return 1.0

    @abstractmethod
    def unfitted(self, seed: int) -> Self:
        """Return an unfitted copy whose open random states follow the student's seed."""

    @abstractmethod
    def fit(self, data: FitData) -> None:
        """Fit the classifier on the training part."""

    @abstractmethod
    def partial_fit(self, data: FitData) -> None:
        """Fit the classifier further on the training part, which has no hold-out."""

    @abstractmethod
    def logits(self, part: Part, classes: NDArray[Any]) -> NDArray[np.floating]:
        """Return raw logits of prepared samples, a column for each of the student's classes."""

    @abstractmethod
    def predict_logits(self, X: Any, classes: NDArray[Any]) -> NDArray[np.floating]:
        """Return raw logits of X as a user passes it to `predict`."""

    @abstractmethod
    def batch_logits(self, X: Any, schema: InputSchema) -> Tensor:
        """Return raw logits of a batch as the student's module sees it."""

    def output(self, data: FitData, *, cv: int | None, memory: Any, task: FitTask = NO_TASK) -> TeacherOutput:
        """Fit a copy, or take it from the cache, and ask it about every training sample.

        Parameters
        ----------
        data : FitData
        cv : int or None
            Number of folds of out-of-fold logits.
        memory : None, str or joblib.Memory
            Caches what is fitted here.
        task : FitTask, default=NO_TASK
            The student's fit, which has the teacher's as parts.

        Returns
        -------
        TeacherOutput
        """
        teacher = self.unfitted(data.seed)
        if memory is None:
            return _fit_and_ask(teacher, data, cv, task)
        try:
            cached = check_memory(memory).cache(_cached_output, ignore=["teacher", "data", "cv", "task"])
        except OSError as error:
            text = f"memory={memory!r} must be a folder that can be written to: {error.strerror}"
            raise OSError(error.errno, text, error.filename) from error
        key = cache_key(teacher.estimator, data, cv, sees_raw_inputs=self.sees_raw_inputs)
        output: TeacherOutput = cached(key, teacher, data, cv, task)
        return output


class NetworkTeacher(Teacher):
    """A network of this package: shares the student's hold-out and gives its logits."""

    sees_raw_inputs = False
    estimator: CalibratedNet

    @property
    def own_temperature(self) -> float:
        """The network's `temperature_`."""
        return self.estimator.temperature_

    def unfitted(self, seed: int) -> "NetworkTeacher":
        """Return an unfitted copy; a network without a seed takes that of the data itself."""
        return NetworkTeacher(clone(self.estimator))

    def fit(self, data: FitData) -> None:
        """Fit the network, with the student's hold-out."""
        self.estimator._fit_as_teacher(data)

    def partial_fit(self, data: FitData) -> None:
        """Train the network on."""
        self.estimator._partial_fit_as_teacher(data)

    def logits(self, part: Part, classes: NDArray[Any]) -> NDArray[np.floating]:
        """Return raw logits of prepared samples."""
        return self.estimator._logits(part.samples.to("cpu", DTYPES.get(self.estimator.dtype or "")))

    def predict_logits(self, X: Any, classes: NDArray[Any]) -> NDArray[np.floating]:
        """Return raw logits of X as a user passes it."""
        return self.estimator._checked_logits(X)

    def batch_logits(self, X: Any, schema: InputSchema) -> Tensor:
        """Return raw logits of a batch, on the network's device."""
        return self.estimator._batch_logits(X)


class ClassifierTeacher(Teacher):
    """Any other classifier: fitted on the user's X, gives log-probabilities."""

    def unfitted(self, seed: int) -> "ClassifierTeacher":
        """Return an unfitted copy whose open random states have the seed."""
        copy = clone(self.estimator)
        parameters = copy.get_params(deep=True)
        states = [name for name in parameters if name == "random_state" or name.endswith("__random_state")]
        return ClassifierTeacher(
            copy.set_params(**{name: seed for name in states if parameters[name] is None})
        )

    def fit(self, data: FitData) -> None:
        """Fit the classifier, with weights if it takes them."""
        X, y = self._table(data.train), data.classes[data.train.y_encoded]
        weight = data.train.sample_weight
        if weight is not None and has_fit_parameter(self.estimator, "sample_weight"):
            self._fit(X, y, sample_weight=weight)
        else:
            if weight is not None:
                warnings.warn(
                    f"The teacher {type(self.estimator).__name__} takes no sample_weight: it is fitted "
                    "without weights.",
                    stacklevel=2,
                )
            self._fit(X, y)
        self._warn_of_unseen_classes(data.classes)

    def _fit(self, X: Any, y: NDArray[Any], **weights: Any) -> None:
        # It may be a search, or a calibrator, that fits networks of ours in threads.
        with others_may_fit():
            self.estimator.fit(X, y, **weights)

    def _table(self, part: Part) -> Any:
        X = part.raw_inputs()
        if not isinstance(X, Dataset):
            return X
        if part.source is None:
            raise ValueError(
                f"{type(self.estimator).__name__} cannot be asked about a torch Dataset as hold-out: pass a "
                "skorch Dataset of arrays to predefined_split, or a sk_ils network as teacher."
            )
        raise ValueError(
            f"{type(self.estimator).__name__} cannot be fitted on a torch Dataset: pass a sk_ils network as "
            "teacher, a FrozenEstimator, or teacher_proba to fit."
        )

    def _warn_of_unseen_classes(self, classes: NDArray[Any]) -> None:
        absent = np.delete(classes, _columns(self.estimator, classes))
        if len(absent):
            warnings.warn(
                f"The teacher never saw class {absent[:5].tolist()} and gives it the probability "
                f"{_PROBA_FLOOR:g}: pass more rows of it, or fewer teacher_cv folds.",
                stacklevel=2,
            )

    def partial_fit(self, data: FitData) -> None:
        """Refuse: what partial_fit means for other classifiers differs from one to the next."""
        raise ValueError(
            "partial_fit needs a teacher that can be trained further, a network of this package, or a "
            f"frozen one; got {type(self.estimator).__name__}."
        )

    def logits(self, part: Part, classes: NDArray[Any]) -> NDArray[np.floating]:
        """Return log-probabilities of prepared samples."""
        return self.predict_logits(self._table(part), classes)

    def predict_logits(self, X: Any, classes: NDArray[Any]) -> NDArray[np.floating]:
        """Return log-probabilities; a class that the classifier never saw gets the floor."""
        if is_dataset(X):
            raise TypeError(
                f"The teacher {type(self.estimator).__name__} takes tables, not Datasets: pass it an array."
            )
        columns = _columns(self.estimator, classes)
        known = check_probabilities(
            self.estimator.predict_proba(X),
            _n_rows(X),
            classes[columns],
            owner=f"predict_proba of the teacher {type(self.estimator).__name__}",
        )
        proba = np.zeros((len(known), len(classes)))
        proba[:, columns] = known
        return log_probabilities(proba)

    def batch_logits(self, X: Any, schema: InputSchema) -> Tensor:
        """Return log-probabilities of a batch, which gets its column names back."""
        samples = X.cpu().numpy() if isinstance(X, Tensor) else X
        return torch.as_tensor(self.predict_logits(_named(samples, schema), schema.classes))


def _columns(classifier: Any, classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return where each class of a teacher stands among the student's, which are sorted."""
    name = type(classifier).__name__
    known = getattr(classifier, "classes_", None)
    if known is None:
        raise ValueError(
            f"The teacher {name} has no classes_, so that nobody can tell which column of its predict_proba "
            "belongs to which label: let its fit set classes_."
        )
    labels = np.asarray(known).tolist()
    position = {label: column for column, label in enumerate(classes.tolist())}
    if np.ndim(known) != 1 or len(set(labels)) != len(labels) or not position.keys() >= set(labels):
        raise ValueError(
            f"The teacher {name} knows the classes {labels[:20]}, but y holds {classes[:20].tolist()}: its "
            "classes_ must be labels of y, each once, not their codes."
        )
    return np.array([position[label] for label in labels], dtype=np.intp)


def _n_rows(X: Any) -> int | None:
    """Return how many rows a table, Dataset or list has; None if its length is another one's."""
    if hasattr(X, "shape"):
        return int(X.shape[0])
    return None if isinstance(X, dict) else len(X)


def _named(samples: Any, schema: InputSchema) -> Any:
    """Return a batch of a DataFrame's rows as a DataFrame again, anything else as it is."""
    names = schema.feature_names_in
    if names is None or getattr(samples, "ndim", None) != 2 or samples.shape[1] != len(names):
        return samples
    try:
        import pandas as pd
    except ImportError:  # the names came from another library's table
        return samples
    return pd.DataFrame(samples, columns=names)


class FrozenTeacher(Teacher):
    """A FrozenEstimator: used as it is, with its own calibration, so that T_cal is 1."""

    is_trained_here = False

    def unfitted(self, seed: int) -> "FrozenTeacher":
        """Return the teacher itself."""
        return self

    def fit(self, data: FitData) -> None:
        """Check that the classifier is fitted, and on the student's classes."""
        check_is_fitted(self.estimator)
        inner = self.estimator.estimator
        if len(_columns(inner, data.classes)) != len(data.classes):
            raise ValueError(
                f"The frozen teacher {type(inner).__name__} knows the classes "
                f"{np.asarray(inner.classes_)[:20].tolist()}, but y holds {data.classes[:20].tolist()}."
            )

    def partial_fit(self, data: FitData) -> None:
        """Check as `fit` does; nothing is trained."""
        self.fit(data)

    def output(self, data: FitData, *, cv: int | None, memory: Any, task: FitTask = NO_TASK) -> TeacherOutput:
        """Ask the teacher about every training sample; there is nothing to fit or to cache."""
        self.fit(data)
        return TeacherOutput(self.estimator, self.logits(data.train, data.classes), 1.0)

    def logits(self, part: Part, classes: NDArray[Any]) -> NDArray[np.floating]:
        """Return calibrated logits of prepared samples."""
        return self.predict_logits(part.raw_inputs(), classes)

    def predict_logits(self, X: Any, classes: NDArray[Any]) -> NDArray[np.floating]:
        """Return calibrated logits of X as a user passes it."""
        inner = as_teacher(self.estimator.estimator)
        # Not through probabilities: a network's would be floored near 0 and 1.
        return inner.predict_logits(X, classes).astype(np.float64) / inner.own_temperature

    def batch_logits(self, X: Any, schema: InputSchema) -> Tensor:
        """Return calibrated logits of a batch."""
        inner = as_teacher(self.estimator.estimator)
        return inner.batch_logits(X, schema) / inner.own_temperature


@singledispatch
def as_teacher(estimator: Any) -> Teacher:
    """Return a classifier in its role as teacher."""
    return ClassifierTeacher(estimator)


as_teacher.register(CalibratedNet, NetworkTeacher)
as_teacher.register(FrozenEstimator, FrozenTeacher)


# --- fitting, and asking about the training part ------------------------------------------------


def _cached_output(key: str, teacher: Teacher, data: FitData, cv: int | None, task: FitTask) -> TeacherOutput:
    """Fit as below; joblib looks at the key only."""
    return _fit_and_ask(teacher, data, cv, task)


def _fit_and_ask(teacher: Teacher, data: FitData, cv: int | None, task: FitTask) -> TeacherOutput:
    """Fit a teacher, find its temperature T_cal, and ask it about every training sample."""
    out_of_fold = None if cv is None else _out_of_fold_logits(teacher, data, cv, task)
    _fit_as_task(teacher, data, task, "fit-teacher")
    if out_of_fold is not None:
        # Each sample's logits come from a teacher that was not trained on it, so they can tell
        # T_cal.
        temperature = _temperature(out_of_fold, data.train)
    elif data.valid is not None:
        temperature = _temperature(teacher.logits(data.valid, data.classes), data.valid)
    else:
        temperature = 1.0
    logits = teacher.logits(data.train, data.classes) if out_of_fold is None else out_of_fold
    logits /= np.asarray(temperature, dtype=logits.dtype)
    return TeacherOutput(teacher.estimator, logits, temperature)


def _temperature(logits: NDArray[np.floating], part: Part) -> float:
    return held_out_temperature(logits, part.y_encoded, part.sample_weight)


def _fit_as_task(teacher: Teacher, data: FitData, task: FitTask, name: str) -> None:
    """Fit a teacher as a part of the student's fit."""
    own = task.with_data(data.training_part).subtask(name)
    with own.handed_on_to(teacher.estimator):
        teacher.fit(data)
    own.end()


def _out_of_fold_logits(teacher: Teacher, data: FitData, cv: int, task: FitTask) -> NDArray[np.floating]:
    """Return logits of each training sample from a copy that was fitted on other folds."""
    train = data.train
    kind = StratifiedKFold if train.groups is None else StratifiedGroupKFold
    folds = kind(cv, shuffle=True, random_state=data.seed)
    logits = np.empty((len(train), len(data.classes)))
    for inside, outside in fold_indices(folds, train.y_encoded, train.groups):
        fold_teacher = teacher.unfitted(data.seed)
        _fit_as_task(fold_teacher, replace(data, train=train.take(inside)), task, "fit-teacher-fold")
        logits[outside] = fold_teacher.logits(train.take(outside), data.classes)
    return logits


def given_output(proba: NDArray[np.floating], data: FitData) -> TeacherOutput:
    """Return probabilities that were passed in a teacher's place, as its output."""
    return TeacherOutput(None, log_probabilities(proba[data.train.index]), 1.0)


def check_given_proba(teacher_proba: Any, teacher: Any, mode: str, data: FitData) -> NDArray[np.floating]:
    """Return `teacher_proba` after checking that it can stand in a teacher's place."""
    if teacher is not None or mode == "online":
        raise ValueError('teacher_proba replaces the teacher: leave teacher=None and teacher_mode="cached".')
    return check_probabilities(teacher_proba, len(data.train.source), data.classes, owner="teacher_proba")


def log_probabilities(proba: Any) -> NDArray[np.float64]:
    """Return log(max(p, 1e-7)): logits of a teacher that only gives probabilities."""
    return np.log(np.maximum(np.asarray(proba, dtype=np.float64), _PROBA_FLOOR))


# --- parameters ---------------------------------------------------------------------------------


def check_teacher(teacher: Any, *, mode: str, cv: int | None) -> None:
    """Raise unless `teacher` is None or a classifier instance that suits the other parameters."""
    if teacher is not None and (
        isinstance(teacher, type) or not hasattr(teacher, "fit") or not hasattr(teacher, "predict_proba")
    ):
        raise InvalidParameterError(
            "teacher must be None or a classifier instance with predict_proba, such as "
            f"HistGradientBoostingClassifier() or FrozenEstimator(fitted_classifier); got {teacher!r}."
        )
    if cv is not None and (mode == "online" or not as_teacher(teacher).is_trained_here):
        raise InvalidParameterError(
            "teacher_cv gives out-of-fold logits of teachers that are fitted here, computed once: it "
            'needs teacher_mode="cached" and a teacher that is not frozen.'
        )


def default_teacher(student: CalibratedNet, kind: type[CalibratedNet]) -> CalibratedNet:
    """Return a student's own network for hard labels, unfitted and with the same seed.

    Parameters
    ----------
    student : CalibratedNet
        Gives the parameters that both have.
    kind : type
        Class of the teacher.

    Returns
    -------
    CalibratedNet
    """
    names, own = set(named_parameters(kind)), set(named_parameters(type(student)))
    callbacks, dropped = _without_writers(student.callbacks)
    kept = {
        name: value
        for name, value in student.get_params(deep=False).items()
        if (name in names or name not in own) and not _sets_one_of(dropped, name)
    }
    kept |= {"callbacks": callbacks, "random_state": None, "temperature_scaling": True, "warm_start": False}
    teacher: CalibratedNet = clone(kind(**kept))
    return teacher


def _sets_one_of(callbacks: list[str], parameter: str) -> bool:
    """Return whether a parameter sets one of these callbacks, which skorch numbers if several."""
    part, _, rest = parameter.partition("__")
    name = rest.partition("__")[0]
    return part == "callbacks" and (name in callbacks or re.sub(r"_\d+$", "", name) in callbacks)


def _without_writers(callbacks: Any) -> tuple[Any, list[str]]:
    """Return the callbacks that write no files, and the names of the others."""
    if not isinstance(callbacks, list):
        return callbacks, []
    kept, dropped = [], []
    for item in callbacks:
        callback = item[1] if isinstance(item, tuple) else item
        kind = callback if isinstance(callback, type) else type(callback)
        if issubclass(kind, _WRITERS):
            dropped.append(item[0] if isinstance(item, tuple) else kind.__name__)
        else:
            kept.append(item)
    return kept, dropped
