"""The two public classifiers: trained on hard labels, and on instance-smoothed ones."""

from __future__ import annotations  # help() shows types by their names

import time
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Never, Self

import joblib
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from skorch.hf import AccelerateMixin
from torch import Tensor

from sk_ils._net.calibrated_net import CalibratedNet
from sk_ils._net.distributed import share_of
from sk_ils._net.fit_data import FitData, HeldOut, InputSchema
from sk_ils._net.inputs import to_tensor
from sk_ils._net.report import FitReport
from sk_ils._net.sklearn_net import refuse_fit_params
from sk_ils._net.teachers import (
    TeacherOutput,
    as_teacher,
    check_given_proba,
    check_teacher,
    default_teacher,
    given_output,
)
from sk_ils._net.training import NonFiniteLossError
from sk_ils._samples import SampleSet, Targets
from sk_ils._sklearn_compat import (
    NO_TASK,
    FitTask,
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    available_if,
)
from sk_ils.batches import BatchLoader
from sk_ils.smoothing import SmoothingRule, needs_all_rows, needs_student, resolve_rule
from sk_ils.temperature import softmax

__all__ = ["FitReport", "InstanceSmoothedClassifier", "NonFiniteLossError", "TeacherClassifier"]

# Parameters of parts that are estimators; skorch would file them as its own.
_NESTED = ("smoothing__", "teacher__")
# Targets that a rule is asked for at a time.
_CHUNK_SIZE = 2**18


class TeacherClassifier(CalibratedNet):
    """Neural network classifier trained on hard labels, with temperature scaling.

    Plain cross-entropy training, as a teacher of :class:`InstanceSmoothedClassifier` is trained,
    and the baseline to compare it with. A skorch ``NeuralNetClassifier`` that keeps scikit-learn's
    contract.

    Parameters
    ----------
    module : torch module class, instance or None, default=None
        Returns raw logits, one for each class. None is :class:`sk_ils.modules.MLP`. A class is
        built with ``module__...`` parameters, and with the sizes of the data if its ``__init__``
        names `n_features_in` or `in_features` (the second dimension of X), `n_classes` or
        `num_classes`. An instance is copied in each fit. If it has a method
        ``adapt(X, sample_weight)``, that is called once before its training, with at most 10,000
        training rows as one Tensor, and their weights or None.
    optimizer : torch optimizer class, default=AdamW
        Its parameters are set as ``optimizer__weight_decay`` and the like.
    lr : float, default=0.001
        Learning rate.
    max_epochs : int, default=100
        Largest number of passes over the training part.
    batch_size : int, default=128
        Rows of a batch; -1 for all rows.
    iterator_train, iterator_valid : loader class, default=BatchLoader
        BatchLoader slices arrays and tensors, and stands for torch's DataLoader when the input is a
        Dataset. Parameters are set as ``iterator_train__num_workers`` and the like; training is
        shuffled unless ``iterator_train__shuffle=False``.
    train_split : float in (0, 1), callable or None, default=0.2
        The hold-out, for early stopping, best epoch and temperature. A float is the share of the
        rows, drawn from every class by `random_state`, whole groups if `groups` are passed; classes
        with one row stay in training. A callable is skorch's: ``ValidSplit(5)`` or
        ``predefined_split(dataset)``. None, or (with a warning) fewer than 10 held-out samples:
        trains on all samples, keeps the last epoch, `temperature_` is 1.
    patience : int or None, default=20
        Epochs without a lower validation cross-entropy after which training stops; None never
        stops. With a hold-out, the epoch with the lowest validation cross-entropy (of hard labels)
        is restored either way.
    temperature_scaling : bool, default=True
        Whether to fit `temperature_` on the hold-out.
    checkpoint : str, path or None, default=None
        A folder in which `fit` keeps how far it has got, network by network: after a crash or a
        kill the same script goes on from there, and comes to the same numbers as without. It needs
        an integer `random_state` and no callbacks; delete the folder when the result is safe
        (``docs/guide/saving.md``).
    callbacks : None, "disable" or list of skorch callbacks, default=None
        In addition to the ones that record the history. Those of scikit-learn go to
        `set_callbacks` (``docs/guide/training.md``).
    warm_start : bool, default=False
        Whether `fit` goes on from the network of the last fit.
    verbose : int, default=0
        1 shows a progress bar for each network that is trained, "teacher" or "student", on stderr.
        2 prints a line for each epoch instead.
    device : str or torch.device, default="auto"
        "auto" is "cuda" if there is a GPU, else "cpu".
    dtype : {"float32", "float64"} or None, default="float32"
        Type of X and of the network; None keeps the type of X, as integer tokens need.
    mixed_precision : {"bf16"} or None, default=None
        "bf16" computes the module's products in bfloat16 (``torch.autocast``), which newer GPUs do
        several times as fast, and everything else, logits and losses too, in float32. With
        ``dtype="float64"`` it is refused. SmoothingSearchCV trains such candidates one by one.
    random_state : int, RandomState instance or None, default=None
        Seeds the split, the initial weights, the order of rows and dropout. An int gives the same
        network in every fit, in whatever thread; torch's global generators are as before after it.
        Fits in several threads take turns, since torch has one generator for all of them: use
        processes (``n_jobs``) to gain time.
    compile : bool, default=False
        Whether to use ``torch.compile``; parameters as ``compile__mode``.
    use_caching : bool or "auto", default="auto"
        Whether skorch's scoring callbacks reuse predictions.
    torch_load_kwargs : dict or None, default=None
        Passed to ``torch.load`` by `load_params`, for files that `save_params` has not written.
    **kwargs : dict
        Parameters of parts, such as ``module__hidden_sizes=(64, 64)``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    n_features_in_ : int
        Second dimension of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had string ones.
    temperature_ : float
        Logits are divided by it (see :func:`sk_ils.temperature.fit_temperature`); 1 without a
        hold-out.
    module_ : torch module
        The trained network.
    history : skorch.history.History
        ``history[:, "valid_loss"]`` is the validation cross-entropy in nats of each epoch,
        ``train_loss`` and ``valid_acc`` stand beside it.
    n_iter_ : int
        Epochs that the network was trained, over warm starts and `partial_fit` too: the length of
        `history`. A network that was loaded has none of these three.
    best_epoch_ : int
        Which of them was kept, counted from 1; the last one without a hold-out.
    fit_report_ : FitReport
        Of the last fit or `partial_fit`: rows, epochs, temperatures and seconds (see
        :class:`sk_ils.classifiers.FitReport`).

    See Also
    --------
    InstanceSmoothedClassifier : The same network on instance-smoothed labels.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ils import TeacherClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = TeacherClassifier(random_state=0).fit(X, y)
    >>> clf.predict_proba(X[:1]).argmax()
    np.int64(0)
    """

    network_name: ClassVar[str] = "teacher"

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        **fit_params: Never,
    ) -> Self:
        """Fit the network, then its temperature on the hold-out.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            Arrays have the shape (n_samples, n_features) or (n_samples, ...); a Dataset yields
            ``(x, y)``.
        y : array-like of shape (n_samples,), default=None
            Labels of any kind. None for a Dataset: the y of its items, or its
            ``targets`` if they agree with the items that are looked at.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, which count in the training loss, the validation loss and the
            temperature. Their scale does not matter: the mean weight becomes 1.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are held out together.
        **fit_params
            Refused, with the way to what skorch would do with them.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            For input that cannot be trained on. Until the first training step an error of any kind
            changes nothing: what was fitted before stays fitted.
        NonFiniteLossError
            If the loss becomes NaN or infinite. A fit that fails or is interrupted in training
            leaves the estimator unfitted; with `warm_start` it restores the state before it.
        """
        refuse_fit_params("fit", fit_params)
        return self._fit(X, y, sample_weight=sample_weight, groups=groups)

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        epochs: int | None = None,
        **fit_params: Never,
    ) -> Self:
        """Train some more epochs on some rows, without a hold-out; the temperature stays.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`. The default network scales its columns by the rows of the first call.
        y : array-like of shape (n_samples,), default=None
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        epochs : int, default=None
            Passes over the rows; None is `max_epochs`.
        **fit_params
            Refused, with the way to what skorch would do with them.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            For input that cannot be trained on.
        NonFiniteLossError
            If the loss becomes NaN or infinite. A call that fails or is interrupted, by whatever
            error, restores network, optimizer and history as they were before it.
        """
        refuse_fit_params("partial_fit", fit_params)
        return self._partial_fit(X, y, classes, sample_weight, epochs)


def _check_partial_fit(net: InstanceSmoothedClassifier) -> bool:
    """Raise AttributeError for a rule that sees all rows at once."""
    try:
        rule = net.smoothing_ if hasattr(net, "smoothing_") else resolve_rule(net.smoothing)
    except InvalidParameterError:
        return True  # which partial_fit says itself
    if needs_all_rows(rule):
        raise AttributeError(
            f"{rule!r} must see all rows of a class at once, but partial_fit has only some: call fit, or "
            "take another rule."
        )
    return True


class InstanceSmoothedClassifier(CalibratedNet):
    r"""Neural network classifier trained on instance-smoothed labels, with temperature scaling.

    Inside `fit` a teacher network learns the hard labels of the training part; a smoothing rule
    turns its view of each training row into a soft target, which says how much probability leaves
    the true class and onto which classes it goes; the student, a fresh network, is trained on these
    targets, stopped at its best hard-label validation cross-entropy and scaled by a temperature on
    the same hold-out [1]_.

    A skorch ``NeuralNetClassifier`` that keeps scikit-learn's contract: for pipelines, grid
    searches, cross-validation and CalibratedClassifierCV.

    Parameters
    ----------
    module : torch module class, instance or None, default=None
        Returns raw logits, one for each class. None is :class:`sk_ils.modules.MLP`. A class is
        built with ``module__...`` parameters, and with the sizes of the data if its ``__init__``
        names `n_features_in` or `in_features` (the second dimension of X), `n_classes` or
        `num_classes`. An instance is copied in each fit. If it has a method
        ``adapt(X, sample_weight)``, that is called once before its training, with at most 10,000
        training rows as one Tensor, and their weights or None.
    smoothing : str or rule, default="ils2"
        The rule of :mod:`sk_ils.smoothing`: "none", "uniform", "ils1", "ils2", "ils",
        "class", "distillation" or "bootstrap", or an instance such as ``ILS(shift=0.9)``. The
        default was chosen on real tables. Its parameters can be set as ``smoothing__epsilon`` and
        the like either way, also in GridSearchCV. "none", "uniform" and "bootstrap" need no
        teacher, and none is fitted. "bootstrap" mixes the student's own prediction into the label,
        anew in every batch. "class" sees all rows of a class at once, so it is not for
        ``teacher_mode="online"`` and `partial_fit`.
    teacher : classifier or None, default=None
        None is a :class:`TeacherClassifier` with this estimator's module, optimizer, epochs,
        patience, batches, dtype, device and seed, so that ``smoothing="none"`` equals it. Its
        callbacks are copies of this estimator's, without those that write files. Any other unfitted
        classifier is cloned and fitted on the training part, on X's rows as they were passed, with
        open random states set from this estimator's; a network of this package shares the hold-out.
        ``FrozenEstimator(fitted)`` is used as it is; **it leaks the labels of test rows in a
        cross-validation unless it never saw X**, and so does `teacher_proba` in `fit`.
    teacher_mode : {"cached", "online"}, default="cached"
        "cached" asks the teacher about every training row once. "online" asks it in every batch, as
        the paper does, for Datasets with random augmentation: teacher and student then see the same
        augmented rows.
    teacher_cv : int or None, default=None
        Number of folds whose rows get logits from a teacher that was fitted on the other folds. The
        choice for teachers that are certain of every row they have seen, such as trees. `teacher_`
        is fitted on the whole training part all the same.
    memory : None, str or joblib.Memory, default=None
        Caches fitted teachers, as in Pipeline: a search over ``smoothing__...``, or over any
        parameter if `teacher` is given, fits one teacher a fold. Needs an integer `random_state` to
        find them again. The key is the content of data and parameters, and what the code of your
        classes and functions does, with the globals that they use; of installed packages it is the
        version. It has no lock: parallel workers may fit the same teacher.
    optimizer : torch optimizer class, default=AdamW
        Its parameters are set as ``optimizer__weight_decay`` and the like.
    lr : float, default=0.001
        Learning rate.
    max_epochs : int, default=100
        Largest number of passes over the training part.
    batch_size : int, default=128
        Rows of a batch; -1 for all rows.
    iterator_train, iterator_valid : loader class, default=BatchLoader
        BatchLoader slices arrays and tensors, and stands for torch's DataLoader when the input is a
        Dataset. Parameters are set as ``iterator_train__num_workers`` and the like; training is
        shuffled unless ``iterator_train__shuffle=False``.
    train_split : float in (0, 1), callable or None, default=0.2
        The hold-out, for early stopping, best epoch and temperature. A float is the share of the
        rows, drawn from every class by `random_state`, whole groups if `groups` are passed; classes
        with one row stay in training. A callable is skorch's: ``ValidSplit(5)`` or
        ``predefined_split(dataset)``. None, or (with a warning) fewer than 10 held-out samples:
        trains on all samples, keeps the last epoch, `temperature_` is 1.
    patience : int or None, default=20
        Epochs without a lower validation cross-entropy after which training stops; None never
        stops. With a hold-out, the epoch with the lowest validation cross-entropy (of hard labels)
        is restored either way.
    temperature_scaling : bool, default=True
        Whether to fit `temperature_` on the hold-out.
    checkpoint : str, path or None, default=None
        A folder in which `fit` keeps how far it has got, network by network: after a crash or a
        kill the same script goes on from there, and comes to the same numbers as without. It needs
        an integer `random_state` and no callbacks; delete the folder when the result is safe
        (``docs/guide/saving.md``).
    callbacks : None, "disable" or list of skorch callbacks, default=None
        In addition to the ones that record the history. Those of scikit-learn go to
        `set_callbacks` (``docs/guide/training.md``).
    warm_start : bool, default=False
        Whether `fit` goes on from the network of the last fit.
    verbose : int, default=0
        1 shows a progress bar for each network that is trained, "teacher" or "student", on stderr.
        2 prints a line for each epoch instead.
    device : str or torch.device, default="auto"
        "auto" is "cuda" if there is a GPU, else "cpu".
    dtype : {"float32", "float64"} or None, default="float32"
        Type of X and of the network; None keeps the type of X, as integer tokens need.
    mixed_precision : {"bf16"} or None, default=None
        "bf16" computes the module's products in bfloat16 (``torch.autocast``), which newer GPUs do
        several times as fast, and everything else, logits and losses too, in float32. With
        ``dtype="float64"`` it is refused. SmoothingSearchCV trains such candidates one by one.
    random_state : int, RandomState instance or None, default=None
        Seeds the split, the initial weights, the order of rows and dropout. An int gives the same
        network in every fit, in whatever thread; torch's global generators are as before after it.
        Fits in several threads take turns, since torch has one generator for all of them: use
        processes (``n_jobs``) to gain time.
    compile : bool, default=False
        Whether to use ``torch.compile``; parameters as ``compile__mode``.
    use_caching : bool or "auto", default="auto"
        Whether skorch's scoring callbacks reuse predictions.
    torch_load_kwargs : dict or None, default=None
        Passed to ``torch.load`` by `load_params`, for files that `save_params` has not written.
    **kwargs : dict
        Parameters of parts, such as ``module__hidden_sizes=(64, 64)``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    n_features_in_ : int
        Second dimension of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had string ones.
    teacher_ : classifier or None
        The fitted teacher, the frozen one as it is, None if the rule needs none or with
        `teacher_proba`.
    teacher_temperature_ : float
        T_cal: the rule sees the teacher's logits divided by it. It is fitted for teachers that are
        fitted inside `fit` only, on the hold-out (with `teacher_cv` on the out-of-fold rows), and 1
        for others.
    smoothing_ : rule
        The rule of the last fit.
    temperature_ : float
        Logits are divided by it (see :func:`sk_ils.temperature.fit_temperature`); 1 without a
        hold-out.
    module_ : torch module
        The trained network.
    history : skorch.history.History
        ``history[:, "valid_loss"]`` is the validation cross-entropy in nats of each epoch,
        ``train_loss`` and ``valid_acc`` stand beside it.
    n_iter_ : int
        Epochs that the network was trained, over warm starts and `partial_fit` too: the length of
        `history`. A network that was loaded has none of these three.
    best_epoch_ : int
        Which of them was kept, counted from 1; the last one without a hold-out.
    fit_report_ : FitReport
        Of the last fit or `partial_fit`: rows, epochs, temperatures and seconds (see
        :class:`sk_ils.classifiers.FitReport`).

    See Also
    --------
    TeacherClassifier : The same network on hard labels.

    Notes
    -----
    A teacher that gives probabilities only is asked for :math:`\ln \max(p, 10^{-7})`. The paper's
    temperature T of ILS2 and ILS applies to raw teacher logits, ours to calibrated ones: T_paper =
    T * T_cal.

    References
    ----------
    .. [1] M. Maher and M. Kull, "Instance-based Label Smoothing For Better Calibrated
       Classification Networks", ICMLA 2021, arXiv:2110.05355.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ils import InstanceSmoothedClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = InstanceSmoothedClassifier(random_state=0).fit(X, y)
    >>> clf.predict_proba(X[:1]).shape
    (1, 3)
    >>> clf.set_params(smoothing__epsilon=0.2).smoothing
    ILS2(epsilon=0.2)
    """

    network_name: ClassVar[str] = "student"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "teacher_mode": [StrOptions({"cached", "online"})],
        "teacher_cv": [Interval(Integral, 2, None, closed="left"), None],
        "memory": [str, HasMethods(["cache"]), None],
    }

    def __init__(
        self,
        module: Any = None,
        *,
        smoothing: Any = "ils2",
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
        patience: int | None = 20,
        temperature_scaling: bool = True,
        checkpoint: Any = None,
        callbacks: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        device: Any = "auto",
        dtype: str | None = "float32",
        mixed_precision: str | None = None,
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
            checkpoint=checkpoint,
            callbacks=callbacks,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            dtype=dtype,
            mixed_precision=mixed_precision,
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

    # --- parameters ------------------------------------------------------------------------------

    def set_params(self, **params: Any) -> Self:
        """Set parameters, all or none; a fitted network changes at the next fit only.

        ``smoothing__epsilon`` and the like also work while `smoothing` is a name: the name is
        replaced by the rule that it stands for.

        Parameters
        ----------
        **params : dict
            Parameters by name, those of parts as ``part__name``.

        Returns
        -------
        self
            The estimator.
        """
        if params.get("teacher", self.teacher) is None and any(
            name.startswith("teacher__") for name in params
        ):
            raise ValueError("teacher is None: pass teacher=TeacherClassifier(), say, to set its parameters.")
        rule = params.get("smoothing", self.smoothing)
        if isinstance(rule, str) and any(name.startswith("smoothing__") for name in params):
            params["smoothing"] = rule = resolve_rule(rule)
        for part, owner in (("smoothing", rule), ("teacher", params.get("teacher", self.teacher))):
            nested = [name for name in params if name.startswith(f"{part}__")]
            if nested and not hasattr(owner, "set_params"):
                raise ValueError(f"{nested[0]} cannot be set: {part}={owner!r} has no set_params.")
        return super().set_params(**params)

    def _is_special(self, name: str) -> bool:
        return not name.startswith(_NESTED) and super()._is_special(name)

    def check_parameters(self) -> None:
        """Raise if a parameter is outside its range, before any work is done."""
        super().check_parameters()
        rule = resolve_rule(self.smoothing)
        if isinstance(rule, SmoothingRule):
            rule.check_parameters()
        if self.teacher_mode == "online" and rule.needs_teacher and needs_all_rows(rule):
            raise InvalidParameterError(
                f'{rule!r} must see all rows of a class at once, but teacher_mode="online" asks it about one '
                'batch at a time. Take teacher_mode="cached", or another rule.'
            )
        check_teacher(self.teacher, mode=self.teacher_mode, cv=self.teacher_cv)
        if self.memory is not None and share_of(self) is not None:
            raise InvalidParameterError(
                "memory= is for one process: of several, one could find the teacher that the others wait to "
                "train with it. Leave memory=None, or pass FrozenEstimator(fitted) as teacher."
            )

    # --- training --------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        teacher_proba: ArrayLike | None = None,
        **fit_params: Never,
    ) -> Self:
        """Fit the teacher, smooth the labels as it sees them, fit the network and its temperature.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            Arrays have the shape (n_samples, n_features) or (n_samples, ...); a Dataset yields
            ``(x, y)``.
        y : array-like of shape (n_samples,), default=None
            Labels of any kind. None for a Dataset: the y of its items, or its
            ``targets`` if they agree with the items that are looked at.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, which count in the training loss, the validation loss and the
            temperature, of the teacher too if it takes weights. Their scale does not matter: the
            mean weight becomes 1.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are held out together.
        teacher_proba : array-like of shape (n_samples, n_classes), default=None
            A teacher's probabilities of each row, columns in sorted order of the labels, or a
            DataFrame whose columns have the labels as names, instead of a teacher. They leak the
            labels of test rows in a cross-validation unless the teacher never saw X.
        **fit_params
            Refused, with the way to what skorch would do with them.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            For input that cannot be trained on. Until the first training step an error of any kind
            changes nothing: what was fitted before stays fitted.
        NonFiniteLossError
            If the loss becomes NaN or infinite. A fit that fails or is interrupted in training
            leaves the estimator unfitted; with `warm_start` it restores the state before it.
        """
        refuse_fit_params("fit", fit_params)
        return self._fit(X, y, sample_weight=sample_weight, groups=groups, teacher_proba=teacher_proba)

    @available_if(_check_partial_fit)
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        epochs: int | None = None,
        **fit_params: Never,
    ) -> Self:
        """Train some more epochs on some rows, without a hold-out; temperatures stay.

        A network as teacher is trained on the same rows first, a frozen teacher is used as it is.
        There is no such method while the rule must see all rows of a class at once ("class").

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`. The default network scales its columns by the rows of the first call.
        y : array-like of shape (n_samples,), default=None
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        epochs : int, default=None
            Passes over the rows; None is `max_epochs`.
        **fit_params
            Refused, with the way to what skorch would do with them.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            For input that cannot be trained on, and if the teacher is neither a network of this
            package nor frozen.
        NonFiniteLossError
            If the loss becomes NaN or infinite. A call that fails or is interrupted, by whatever
            error, restores network, teacher, optimizer and history as they were before it.
        """
        refuse_fit_params("partial_fit", fit_params)
        return self._partial_fit(X, y, classes, sample_weight, epochs)

    def prepare_fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        teacher_proba: ArrayLike | None = None,
        held_out: HeldOut | None = None,
        seed: int,
    ) -> FitData:
        """Check the data of a fit, learn their classes and features, and split them.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.
        y : array-like of shape (n_samples,)
            As in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`.
        groups : array-like of shape (n_samples,), default=None
            As in `fit`.
        teacher_proba : array-like of shape (n_samples, n_classes), default=None
            As in `fit`.
        held_out : HeldOut, default=None
            Samples to hold out in the place of what `train_split` says; X is the training part.
        seed : int
            Shuffles the split.

        Returns
        -------
        FitData
            The training part and the hold-out.
        """
        data = super().prepare_fit(
            X, y, sample_weight=sample_weight, groups=groups, held_out=held_out, seed=seed
        )
        if teacher_proba is None:
            return data
        proba = check_given_proba(teacher_proba, self.teacher, self.teacher_mode, data)
        return replace(data, teacher_proba=proba)

    def _fit_data(self, data: FitData, seed: int, task: FitTask) -> None:
        start = time.perf_counter()
        samples = [self._fit_targets(data, task)]
        seconds = time.perf_counter() - start
        own = task.with_data(data.training_part).subtask("fit-student", self.max_epochs)
        # Handed over, so that the training can free the targets before it is over.
        self.run_training(samples.pop(), data.valid, seed, task=own)
        own.end()
        self._report_teacher_time(seconds)

    def _fit_targets(self, data: FitData, task: FitTask) -> SampleSet:
        """Return the training samples with targets; of the teacher's logits nothing is kept."""
        needs_teacher = resolve_rule(self.smoothing).needs_teacher
        output = self.fit_teacher(data, task) if needs_teacher else None
        # A cache may hold the very array that it has returned.
        return self.set_targets(data, output, overwrite_logits=self.memory is None)

    def _n_subtasks(self, teacher_proba: Any = None, **metadata: Any) -> int:
        """Return how many parts of a fit scikit-learn's callbacks see: the networks' fits."""
        if teacher_proba is not None or not resolve_rule(self.smoothing).needs_teacher:
            return 1
        return 2 + (self.teacher_cv or 0)

    def _teacher_report(self) -> dict[str, Any]:
        if self.teacher_ is None:
            return {}
        # Of a frozen one this fit says nothing but the temperature.
        network = self.teacher_ if isinstance(self.teacher_, CalibratedNet) else None
        return {
            "teacher_n_iter": getattr(network, "n_iter_", None),
            "teacher_best_epoch": getattr(network, "best_epoch_", None),
            "teacher_temperature": self.teacher_temperature_,
        }

    def _report_teacher_time(self, seconds: float) -> None:
        if self.teacher_ is not None and hasattr(self, "fit_report_"):
            self.fit_report_ = replace(self.fit_report_, teacher_fit_time=seconds)

    def fit_teacher(self, data: FitData, task: FitTask = NO_TASK) -> TeacherOutput:
        """Fit the teacher on the training part, and ask it about each of its samples.

        Parameters
        ----------
        data : FitData
            The training part and the hold-out.
        task : FitTask, default=NO_TASK
            This fit, which has the teacher's as parts.

        Returns
        -------
        TeacherOutput
            The fitted teacher, its logits and T_cal.
        """
        if data.teacher_proba is not None:
            return given_output(data.teacher_proba, data)
        teacher = as_teacher(self._unfitted_teacher())
        return teacher.output(data, cv=self.teacher_cv, memory=self.memory, task=task)

    def _unfitted_teacher(self) -> Any:
        if self.teacher is not None:
            return self.teacher
        accelerated = isinstance(self, AccelerateMixin)
        return default_teacher(self, _AcceleratedTeacher if accelerated else TeacherClassifier)

    def set_targets(
        self, data: FitData, output: TeacherOutput | None, *, overwrite_logits: bool = False
    ) -> SampleSet:
        """Return the training samples with the rule's targets, and remember the teacher.

        Parameters
        ----------
        data : FitData
            The training part and the hold-out.
        output : TeacherOutput or None
            None for a rule that needs no teacher.
        overwrite_logits : bool, default=False
            Whether the targets may be written over the teacher's logits, which spares an array of
            shape (n_samples, n_classes).

        Returns
        -------
        SampleSet
            With hard labels if the rule smooths nothing, or depends on the batch.
        """
        self._schema = data.schema
        self.smoothing_ = resolve_rule(self.smoothing)
        self.teacher_, self.teacher_temperature_ = None, 1.0
        if output is not None:
            self.teacher_, self.teacher_temperature_ = output.estimator, output.temperature
        logits = None if output is None else output.logits
        return self._with_targets(data.train.samples, logits, overwrite=overwrite_logits)

    def _online_teacher(self) -> Any:
        if self.teacher_ is None or not self._depends_on_batch():
            return None
        module = getattr(self.teacher_, "module_", None)
        return joblib.hash(self.teacher_) if module is None else module.state_dict()

    def _depends_on_batch(self) -> bool:
        """Return whether targets are computed in each batch; otherwise once, before training."""
        online = self.teacher_mode == "online" and self.smoothing_.needs_teacher
        return online or needs_student(self.smoothing_)

    def _with_targets(
        self, samples: SampleSet, teacher_logits: NDArray[np.floating] | None, *, overwrite: bool
    ) -> SampleSet:
        """Return the samples with the rule's targets, which it makes of some rows at a time."""
        if self._depends_on_batch():
            return samples
        y_encoded = samples.y_encoded.numpy()
        n_rows, n_classes = len(y_encoded), len(self.classes_)
        dtype = np.dtype(self.dtype or "float32")
        whole = needs_all_rows(self.smoothing_)
        step = max(1, n_rows if whole else _CHUNK_SIZE // n_classes)
        weights = {}
        if whole and samples.weight is not None:
            weights["sample_weight"] = samples.weight.numpy()
        if teacher_logits is not None and overwrite and teacher_logits.dtype == dtype:
            soft = teacher_logits
        else:
            soft = np.empty((n_rows, n_classes), dtype)
        smooths = False
        for start in range(0, n_rows, step):
            y = y_encoded[start : start + step]
            logits = shape_only = None
            if teacher_logits is None:
                shape_only = np.zeros((len(y), n_classes), dtype)
            else:
                logits = teacher_logits[start : start + step].astype(dtype, copy=False)
            targets = self.smoothing_.targets(y, logits, student_logits=shape_only, **weights)
            targets = _checked_targets(targets, (len(y), n_classes), self.smoothing_)
            smooths = smooths or not (targets[np.arange(len(y)), y] == 1).all()
            soft[start : start + step] = targets
        return samples.with_soft(to_tensor(soft)) if smooths else samples

    def _partial_fit_data(self, data: FitData) -> None:
        first = not hasattr(self, "smoothing_")
        if first:
            self._begin_without_teacher()
        _check_partial_fit(self)  # as a teacher, too, which is trained on by another way
        start = time.perf_counter()
        logits = self._partial_fit_teacher(data, first=first) if self.smoothing_.needs_teacher else None
        seconds = time.perf_counter() - start
        samples = self._with_targets(data.train.samples, logits, overwrite=True)
        self.run_training(samples, None, data.seed, epochs=data.epochs)
        self._report_teacher_time(seconds)

    def _begin_without_teacher(self) -> None:
        self.smoothing_ = resolve_rule(self.smoothing)
        self.teacher_, self.teacher_temperature_ = None, 1.0

    def _adopt(self, schema: InputSchema) -> None:
        super()._adopt(schema)
        if not hasattr(self, "smoothing_"):
            self._begin_without_teacher()

    def trim_for_prediction(self) -> None:
        """Drop what only training needs, for good, the teacher too; as in skorch."""
        super().trim_for_prediction()
        self.teacher = self.teacher_ = None

    def _partial_fit_teacher(self, data: FitData, *, first: bool) -> NDArray[np.floating]:
        """Train the teacher on; return its logits of the samples, divided by its temperature."""
        if self.teacher_ is None:
            if not first:
                raise ValueError(
                    "partial_fit cannot go on without a teacher, which neither a fit with teacher_proba nor "
                    "load_params gives: call fit, or take a rule that needs no teacher."
                )
            self.teacher_ = as_teacher(self._unfitted_teacher()).unfitted(data.seed).estimator
        teacher = as_teacher(self.teacher_)
        teacher.partial_fit(data)
        logits = teacher.logits(data.train, data.classes)
        logits /= np.asarray(self.teacher_temperature_, dtype=logits.dtype)
        return logits

    # --- targets that depend on the batch --------------------------------------------------------

    def _loss_target(self, targets: Targets, logits: Tensor, X: Any) -> Tensor:
        soft = self.batch_targets(targets.y_encoded, logits, X)
        return super()._loss_target(targets, logits, X) if soft is None else soft

    def batch_targets(self, y_encoded: Tensor, logits: Tensor, X: Any) -> Tensor | None:
        """Return the soft targets of a batch, if they depend on it.

        Parameters
        ----------
        y_encoded : Tensor of shape (batch,)
            Class indices.
        logits : Tensor of shape (batch, n_classes)
            The student's, with the gradient.
        X : Tensor of shape (batch, ...)
            The batch as the student sees it.

        Returns
        -------
        Tensor of shape (batch, n_classes) or None
            None if the targets were computed before the training.
        """
        if not self._depends_on_batch():
            return None
        rule, y_encoded = self.smoothing_, y_encoded.to(logits.device)
        of_student = needs_student(rule)
        seen = logits if of_student else self._batch_teacher_logits(X, logits)
        if isinstance(rule, SmoothingRule):
            return rule.torch_targets(y_encoded, seen)
        array = seen.detach().cpu().numpy()
        views = {"teacher_logits": None, "student_logits": array} if of_student else {"teacher_logits": array}
        soft = _checked_targets(rule.targets(y_encoded.cpu().numpy(), **views), tuple(logits.shape), rule)
        return torch.as_tensor(soft, device=logits.device, dtype=logits.dtype)

    def _batch_teacher_logits(self, X: Any, like: Tensor) -> Tensor:
        """Ask the teacher about a batch as the student sees it, divided by its temperature."""
        logits = as_teacher(self.teacher_).batch_logits(X, self._schema)
        return (logits / self.teacher_temperature_).to(like)

    def teacher_predict_proba(self, X: Any) -> NDArray[np.floating]:
        r"""Return the probabilities that the rule sees, :math:`\mathrm{softmax}(z / T_{cal})`.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1.

        Raises
        ------
        AttributeError
            If there is no teacher: of a rule that needs none, with `teacher_proba`, after
            `trim_for_prediction`, or in an estimator that was loaded.
        """
        self.check_is_fitted()
        if self.teacher_ is None:
            raise AttributeError(
                f"This {type(self).__name__} has no teacher: it was fitted without a teacher, loaded from a "
                "file, or trimmed for prediction."
            )
        logits = as_teacher(self.teacher_).predict_logits(X, self.classes_)
        return softmax(logits, self.teacher_temperature_)


class _AcceleratedTeacher(AccelerateMixin, TeacherClassifier):
    """The default teacher of a student with skorch's AccelerateMixin; has its accelerator, too."""


def _checked_targets(targets: Any, shape: tuple[int, ...], rule: Any) -> NDArray[np.floating]:
    """Return a rule's targets, which a user may have written, if they are probabilities."""
    array = np.asarray(targets)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{rule!r} gave targets of type {array.dtype}, expected numbers.")
    if array.shape != shape:
        raise ValueError(f"{rule!r} gave targets of shape {array.shape}, expected {shape}.")
    if not (array.min() >= 0 and abs(array.sum(axis=1) - 1).max() < 1e-3):
        raise ValueError(f"{rule!r} gave targets that are no probability vectors.")
    return array
