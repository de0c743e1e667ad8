"""The two public classifiers: a network trained on hard labels, and one trained on instance-smoothed ones."""

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
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

from sk_ils._inputs import check_probabilities
from sk_ils._task import Task, check_data
from sk_ils._teachers import TeacherView, check_teacher, frozen_logits, log_probabilities, teach
from sk_ils._validation import HasMethods, Interval, InvalidParameterError, StrOptions
from sk_ils.batches import BatchLoader, Rows, Targets
from sk_ils.net import CalibratedNet
from sk_ils.smoothing import SmoothingRule, resolve_rule
from sk_ils.temperature import softmax

__all__ = ["InstanceSmoothedClassifier", "TeacherClassifier"]

# Parameters of parts that are estimators; skorch would file them as its own.
_NESTED = ("smoothing__", "teacher__")
# A teacher with the student's callbacks would write over the student's files, or log as if it were it.
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


class TeacherClassifier(CalibratedNet):
    """Placeholder."""

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit the network, then its temperature on the hold-out.

        Parameters
        ----------
        X : array-like, DataFrame or Tensor of shape (n, n_features) or (n, ...), or Dataset with n items
            A Dataset yields ``(x, y)``.
        y : array-like of shape (n,), default=None
            Labels of any kind. None for a Dataset: its ``targets``, else the y of one pass over it.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights, which count in the training loss, the validation loss and the temperature.
        groups : array-like of shape (n,), default=None
            Rows of one group are held out together.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For input that cannot be trained on, before any training step.
        NonFiniteLossError
            If the loss becomes NaN or infinite.
        """
        return self._fit(X, y, sample_weight=sample_weight, groups=groups)

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train `max_epochs` more epochs on some rows, without a hold-out; the temperature stays.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n rows
        y : array-like of shape (n,), default=None
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights.

        Returns
        -------
        self
        """
        return self._partial_fit(X, y, classes, sample_weight)


class InstanceSmoothedClassifier(CalibratedNet):
    """Placeholder."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "teacher_mode": [StrOptions({"cached", "online"})],
        "teacher_cv": [Interval(Integral, 2, None, closed="left"), None],
        "memory": [str, HasMethods(["cache"]), None],
    }

    def __init__(
        self,
        module: Any = None,
        *,
        smoothing: Any = "ils",
        teacher: Any = None,
        teacher_mode: str = "cached",
        teacher_cv: int | None = None,
        memory: Any = None,
        optimizer: Any = torch.optim.AdamW,
        lr: float = 1e-3,
        max_epochs: int = 100,
        batch_size: int = 128,
        iterator_train: Any = BatchLoader,
        iterator_valid: Any = BatchLoader,
        train_split: Any = 0.2,
        patience: int | None = None,
        temperature_scaling: bool = True,
        callbacks: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        device: Any = "auto",
        dtype: str | None = "float32",
        random_state: Any = None,
        compile: bool = False,
        use_caching: Any = "auto",
        torch_load_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        nested = {name: kwargs.pop(name) for name in list(kwargs) if name.startswith(_NESTED)}
        super().__init__(
            module,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            train_split=train_split,
            patience=patience,
            temperature_scaling=temperature_scaling,
            callbacks=callbacks,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            dtype=dtype,
            random_state=random_state,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            **kwargs,
        )
        self.smoothing = smoothing
        self.teacher = teacher
        self.teacher_mode = teacher_mode
        self.teacher_cv = teacher_cv
        self.memory = memory
        if nested:
            self.set_params(**nested)

    # --- parameters -----------------------------------------------------------------------------------

    def set_params(self, **params: Any) -> Self:
        """Set parameters; a fitted network changes at the next fit only.

        ``smoothing__shift`` and the like also work while `smoothing` is a name: the name is replaced by the
        rule that it stands for.

        Parameters
        ----------
        **params : dict
            Parameters by name, those of parts as ``part__name``.

        Returns
        -------
        self
        """
        if "smoothing" in params:
            self.smoothing = params["smoothing"]
        if isinstance(self.smoothing, str) and any(name.startswith("smoothing__") for name in params):
            self.smoothing = resolve_rule(self.smoothing)
            params = {name: value for name, value in params.items() if name != "smoothing"}
        return super().set_params(**params)

    def _is_special(self, name: str) -> bool:
        return not name.startswith(_NESTED) and super()._is_special(name)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        rule = resolve_rule(self.smoothing)
        if isinstance(rule, SmoothingRule):
            rule.check_parameters()
        check_teacher(self.teacher)
        if self.teacher_cv is not None and (self.teacher_mode == "online" or _is_frozen(self.teacher)):
            raise InvalidParameterError(
                "teacher_cv gives out-of-fold logits of teachers that are fitted here, computed once: it "
                'needs teacher_mode="cached" and a teacher that is not frozen.'
            )

    # --- training -------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        teacher_proba: ArrayLike | None = None,
    ) -> Self:
        """Fit the teacher, smooth the labels as it sees them, fit the network and its temperature.

        Parameters
        ----------
        X : array-like, DataFrame or Tensor of shape (n, n_features) or (n, ...), or Dataset with n items
            A Dataset yields ``(x, y)``.
        y : array-like of shape (n,), default=None
            Labels of any kind. None for a Dataset: its ``targets``, else the y of one pass over it.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights, which count in the training loss, the validation loss and the temperature,
            of the teacher too if it takes weights.
        groups : array-like of shape (n,), default=None
            Rows of one group are held out together.
        teacher_proba : array-like of shape (n, n_classes), default=None
            A teacher's probabilities of each row, columns in sorted order of the labels, instead of a
            teacher. They leak the labels of test rows in a cross-validation unless the teacher never saw X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For input that cannot be trained on, before any training step.
        NonFiniteLossError
            If the loss becomes NaN or infinite.
        """
        return self._fit(X, y, sample_weight=sample_weight, groups=groups, teacher_proba=teacher_proba)

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train `max_epochs` more epochs on some rows, without a hold-out; temperatures stay.

        A network as teacher is trained on the same rows first, a frozen teacher is used as it is.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n rows
        y : array-like of shape (n,), default=None
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Also if the teacher is neither a network of this package nor frozen.
        """
        return self._partial_fit(X, y, classes, sample_weight)

    def _training_rows(self, task: Task, teacher_proba: Any = None) -> Rows:
        self.smoothing_ = resolve_rule(self.smoothing)
        self.teacher_, self.teacher_temperature_ = None, 1.0
        view = self._teacher_view(task, teacher_proba)
        if view is not None:
            self.teacher_, self.teacher_temperature_ = view.estimator, view.temperature
            if self._asks_in_every_batch():
                return task.train
        return self._softened(task.train, None if view is None else view.logits)

    def _teacher_view(self, task: Task, teacher_proba: Any) -> TeacherView | None:
        """Return what the teacher says of the training rows, None if the rule does not ask."""
        proba = None
        if teacher_proba is not None:
            proba = check_probabilities(teacher_proba, len(task.y), len(task.classes))
            if self.teacher is not None or self.teacher_mode == "online":
                raise ValueError(
                    'teacher_proba replaces the teacher: leave teacher=None and teacher_mode="cached".'
                )
        if not self.smoothing_.needs_teacher:
            return None
        if proba is not None:
            return TeacherView(None, log_probabilities(proba[task.train_index]), 1.0)
        teacher = self._default_teacher() if self.teacher is None else self.teacher
        return teach(teacher, self, task, cv=self.teacher_cv, memory=self.memory)

    def _default_teacher(self) -> TeacherClassifier:
        """Return this estimator's own network for hard labels, unfitted; same seed, so "none" equals it."""
        names = set(TeacherClassifier()._get_param_names())
        own = set(type(self)()._get_param_names())
        parameters = self.get_params(deep=False)
        kept = {name: value for name, value in parameters.items() if name in names or name not in own}
        callbacks, dropped = _without_writers(self.callbacks)
        kept = {
            name: value
            for name, value in kept.items()
            if not any(name.startswith(f"callbacks__{callback}") for callback in dropped)
        }
        kept |= {
            "callbacks": callbacks,
            "random_state": None,
            "temperature_scaling": True,
            "warm_start": False,
        }
        return clone(TeacherClassifier(**kept))

    def _asks_in_every_batch(self) -> bool:
        return self.teacher_mode == "online" and self.smoothing_.needs_teacher

    def _softened(self, rows: Rows, teacher_logits: NDArray[np.floating] | None) -> Rows:
        """Return the rows with the rule's targets; hard labels where the rule smooths nothing."""
        assert rows.codes is not None
        codes = rows.codes.numpy()
        n_classes = len(self.classes_)
        dtype = np.dtype(self.dtype or "float32")
        shape_only = np.zeros((len(codes), n_classes), dtype) if teacher_logits is None else None
        if teacher_logits is not None:
            teacher_logits = teacher_logits.astype(dtype, copy=False)
        targets = self.smoothing_.targets(codes, teacher_logits, student_logits=shape_only)
        targets = _checked_targets(targets, len(codes), n_classes, self.smoothing_)
        if (targets[np.arange(len(codes)), codes] == 1).all():
            return rows
        return rows.with_soft(torch.from_numpy(targets.astype(dtype, copy=False)))

    def _more_training_rows(self, X: Any, rows: Rows, seed: int) -> Rows:
        if not self.initialized_:
            self.smoothing_ = resolve_rule(self.smoothing)
            self.teacher_, self.teacher_temperature_ = None, 1.0
        if not self.smoothing_.needs_teacher:
            return self._softened(rows, None)
        if self.teacher_ is None:
            if self.initialized_:
                raise ValueError(
                    "partial_fit cannot go on from a fit with teacher_proba: it knows no teacher."
                )
            self.teacher_ = self._default_teacher() if self.teacher is None else self.teacher
        if isinstance(self.teacher_, CalibratedNet):
            self.teacher_._partial_fit_rows(rows, like=self, seed=seed)
            logits = self.teacher_._logits(rows)
        elif _is_frozen(self.teacher_):
            logits = frozen_logits(self.teacher_, X, self.classes_)
        else:
            raise ValueError(
                "partial_fit needs a teacher that can be trained further, a network of this package, or a "
                f"frozen one; got {type(self.teacher_).__name__}."
            )
        if self._asks_in_every_batch():
            return rows
        return self._softened(rows, logits / np.asarray(self.teacher_temperature_, dtype=logits.dtype))

    # --- the teacher's view ---------------------------------------------------------------------------

    def _loss_target(self, targets: Targets, logits: Tensor, X: Any) -> Tensor:
        assert targets.codes is not None
        if not self._asks_in_every_batch():
            return super()._loss_target(targets, logits, X)
        codes = targets.codes.to(logits.device)
        teacher_logits = self._batch_teacher_logits(X, logits)
        if isinstance(self.smoothing_, SmoothingRule):
            return self.smoothing_.torch_targets(codes, teacher_logits)
        soft = self.smoothing_.targets(codes.cpu().numpy(), teacher_logits.cpu().numpy())
        return torch.as_tensor(soft, device=logits.device, dtype=logits.dtype)

    def _batch_teacher_logits(self, X: Any, like: Tensor) -> Tensor:
        """Ask the teacher about a batch as the student sees it, divided by T_cal."""
        net = (
            getattr(self.teacher_, "estimator", self.teacher_) if _is_frozen(self.teacher_) else self.teacher_
        )
        if isinstance(net, CalibratedNet):
            net._set_training(False)
            with torch.no_grad():
                logits = net._check_logits(net.infer(X)).to(like)
            return logits / (net.temperature_ if _is_frozen(self.teacher_) else self.teacher_temperature_)
        assert self.teacher_ is not None
        proba = self.teacher_.predict_proba(X.cpu().numpy() if isinstance(X, Tensor) else X)
        return torch.as_tensor(log_probabilities(proba)).to(like) / self.teacher_temperature_

    def teacher_predict_proba(self, X: Any) -> NDArray[np.floating]:
        r"""Return the probabilities that the smoothing rule sees, :math:`\mathrm{softmax}(z / T_{cal})`.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n rows
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of `classes_`; rows sum to 1.

        Raises
        ------
        AttributeError
            If the fit had no teacher: a rule that needs none, or `teacher_proba`.
        """
        self.check_is_fitted()
        if self.teacher_ is None:
            raise AttributeError(f"This {type(self).__name__} was fitted without a teacher.")
        if isinstance(self.teacher_, CalibratedNet):
            return softmax(self.teacher_._logits(check_data(self, X, reset=False)), self.teacher_temperature_)
        if _is_frozen(self.teacher_):
            return softmax(frozen_logits(self.teacher_, X, self.classes_))
        proba = np.zeros((len(X), len(self.classes_)))
        proba[:, np.searchsorted(self.classes_, self.teacher_.classes_)] = self.teacher_.predict_proba(X)
        return softmax(log_probabilities(proba), self.teacher_temperature_)


def _is_frozen(teacher: Any) -> bool:
    return isinstance(teacher, FrozenEstimator)


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


def _checked_targets(targets: Any, n_rows: int, n_classes: int, rule: Any) -> NDArray[np.floating]:
    """Return a rule's targets after checking that they are probability vectors; users write rules, too."""
    array = np.asarray(targets)
    if array.shape != (n_rows, n_classes):
        raise ValueError(f"{rule!r} gave targets of shape {array.shape}, expected ({n_rows}, {n_classes}).")
    if not (array.min() >= 0 and abs(array.sum(axis=1) - 1).max() < 1e-3):
        raise ValueError(f"{rule!r} gave targets that are no probability vectors.")
    return array
