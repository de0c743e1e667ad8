"""skorch's classifier with scikit-learn's rules for parameters and metadata."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochTimer, PassthroughScoring
from torch import nn
from torch.utils.data import Dataset

from sk_ils._net.progress import QuietPrintLog
from sk_ils._net.rollback import parameters_undone_on_error
from sk_ils._sklearn_compat import (
    DocLinkMixin,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    parameter_table,
    validate_parameter_constraints,
)
from sk_ils.batches import BatchLoader, check_keeps_rows

# What a user may pass parameters on to, as part__name.
_PARTS = ("module", "optimizer", "iterator_train", "iterator_valid", "callbacks")
_FIXED = ("criterion", "predict_nonlinearity", "classes", "dataset")

# Of the names that skorch's class has, those that users of a fitted classifier call; `dir` hides
# the rest.
_FROM_SKORCH = {
    *("fit", "partial_fit", "predict", "predict_proba", "score", "get_params", "set_params"),
    *("get_metadata_routing", "set_fit_request", "set_partial_fit_request", "set_score_request"),
    *("classes_", "history", "initialize", "forward", "forward_iter", "infer", "save_params", "load_params"),
    "trim_for_prediction",
}
# What skorch keeps in its instances, and how the steps of a fit call each other.
_INTERNAL = {
    *("classes_inferred_", "criterion_", "cuda_dependent_attributes_", "history_", "init_context_"),
    *("initialized_", "prefixes_", "virtual_params_"),
    *("adapt_module", "batch_targets", "check_parameters", "draw_seed", "fit_session", "fit_teacher"),
    *("load_result", "network_name", "place_samples", "prepare_fit"),
    *("run_training", "set_targets", "step_threads", "training"),
}
_HIDDEN = {name for name in dir(NeuralNetClassifier) if not name.startswith("_")} - _FROM_SKORCH
_HIDDEN |= {*_FIXED, *_INTERNAL}


class BatchMean(PassthroughScoring):
    """skorch's mean of what batches recorded, which looks at each record once."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Record the mean of an epoch, weighted by samples, if a batch has the value."""
        size = "train_batch_size" if self.on_train else "valid_batch_size"
        batches = net.history[-1]["batches"]
        pairs = [(row[self.name], row[size]) for row in batches if self.name in row and size in row]
        if not pairs:
            return
        values, sizes = np.array(pairs).T
        mean = np.multiply(values, sizes).sum() / sizes.sum()
        is_best = self._is_best_score(mean)
        if is_best:
            self.best_score_ = mean
        net.history.record(self.name, mean)
        if is_best is not None:
            net.history.record(f"{self.name}_best", bool(is_best))


class SklearnNet(DocLinkMixin, NeuralNetClassifier):
    """Base class; see :class:`sk_ils.TeacherClassifier` for the parameters."""

    # skorch sets these in __init__; scikit-learn allows an unfitted estimator its parameters only.
    history_ = None
    initialized_ = False
    virtual_params_: Any = {}  # noqa: RUF012
    # What progress calls the network.
    network_name: ClassVar[str] = "network"

    # skorch and scikit-learn have no types: this says what users get from what is inherited.
    if TYPE_CHECKING:
        module_: nn.Module
        optimizer_: torch.optim.Optimizer
        _params_to_validate: set[str]
        callbacks: Any
        classes_inferred_: NDArray[Any]
        n_features_in_: int
        feature_names_in_: NDArray[Any]

    # skorch hides classes from metadata routing; epochs are no metadata.
    __metadata_request__partial_fit: ClassVar = {"classes": None, "epochs": UNUSED}

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "module": [callable, None],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
        "train_split": [Interval(Real, 0, 1, closed="neither"), callable, None],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "temperature_scaling": ["boolean"],
        "random_state": ["random_state"],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "checkpoint": [str, PathLike, None],
        "mixed_precision": [StrOptions({"bf16"}), None],
        "optimizer": [callable],
        "lr": [Interval(Real, 0, None, closed="left"), torch.Tensor],
        "iterator_train": [callable],
        "iterator_valid": [callable],
        "callbacks": [StrOptions({"disable"}), list, None],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "device": [str, torch.device, None],
        "compile": ["boolean"],
        "use_caching": [StrOptions({"auto"}), "boolean"],
        "torch_load_kwargs": [dict, None],
    }

    def __init__(
        self,
        module: Any = None,
        *,
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
        _refuse_fixed(type(self).__name__, kwargs)
        super().__init__(
            module,
            criterion=nn.CrossEntropyLoss,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            train_split=train_split,
            callbacks=callbacks,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            **kwargs,
        )
        self.patience = patience
        self.temperature_scaling = temperature_scaling
        self.checkpoint = checkpoint
        self.dtype = dtype
        self.mixed_precision = mixed_precision
        self.random_state = random_state
        for name in ("history_", "initialized_", "virtual_params_"):
            self.__dict__.pop(name)

    # --- parameters ------------------------------------------------------------------------------

    def _get_param_names(self) -> list[str]:
        special = sorted(name for name in self._params_to_validate if name in vars(self))
        return [*named_parameters(type(self)), *special]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return parameters by name, with those of callbacks and nested estimators if `deep`.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of parts.

        Returns
        -------
        dict
            Values by name.
        """
        # skorch lets the state of its default callbacks win over what the user set.
        params = {**super().get_params(deep=deep), **BaseEstimator.get_params(self, deep=deep)}
        if "device" in params:  # a subclass may have settled it
            params["device"] = vars(self).get("_asked_device", self.device)
        return params

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        """Let skorch and callbacks see a device that torch knows while `device` is "auto".

        They read the attribute, so the parameter itself is replaced for as long as the block lasts.
        """
        if "_asked_device" in vars(self):
            yield
            return
        asked = self.__dict__["_asked_device"] = self.device
        if asked == "auto":
            self.__dict__["device"] = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            yield
        finally:
            del self.__dict__["_asked_device"]
            self.__dict__["device"] = asked

    def __setattr__(self, name: str, value: Any) -> None:
        # skorch tracks torch parts by this hook, and refuses those that initialize_... has not set.
        # A parameter that is a module instance is none of them.
        is_part = isinstance(value, nn.Module | torch.optim.Optimizer)
        if name.endswith("_") or (is_part and name not in named_parameters(type(self))):
            super().__setattr__(name, value)
        else:
            object.__setattr__(self, name, value)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, all or none, those of an optimizer also in the one that exists.

        Parameters
        ----------
        **params : dict
            Parameters by name, those of parts as ``part__name``.

        Returns
        -------
        self
            The estimator.
        """
        _refuse_fixed(type(self).__name__, params)
        special = {name: value for name, value in params.items() if self._is_special(name)}
        with parameters_undone_on_error(self):
            for name, value in special.items():
                setattr(self, name, value)
            self._params_to_validate = self._params_to_validate | set(special)
            BaseEstimator.set_params(self, **{name: params[name] for name in params if name not in special})
            virtual = {name: value for name, value in params.items() if self._is_virtual_param(name)}
            self._apply_virtual_params(virtual)
        return self

    def _is_special(self, name: str) -> bool:
        """Return whether a name is a parameter of a part that skorch builds, such as module__x."""
        prefix, delimiter, _ = name.partition("__")
        return bool(delimiter) and not hasattr(getattr(self, prefix, None), "get_params")

    def check_parameters(self) -> None:
        """Raise if a parameter is outside its range, before any work is done."""
        known = [name for name in self._get_param_names() if name not in self._params_to_validate]
        for name in self._params_to_validate:
            if "__" not in name:
                here = _ELSEWHERE.get(name)
                hint = f"; here that is {here}." if here else _hint(name, known)
                raise TypeError(f"{type(self).__name__} got an unexpected parameter {name!r}{hint}")
        if isinstance(self.module, str) and "smoothing" in known:
            raise InvalidParameterError(
                f"module, the first parameter, must be a torch module's class or instance, or None, got "
                f"{self.module!r}. Did you mean smoothing={self.module!r}?"
            )
        check_keeps_rows(self.get_params_for("iterator_valid"))
        _check_optimizer(self.optimizer)
        if isinstance(self.train_split, (Dataset, tuple, list)):
            raise InvalidParameterError(
                "train_split must be a share of the rows, a callable or None. Rows of your own are held out "
                "by predefined_split(dataset) of skorch.helper, with a torch Dataset, or of two arrays "
                f"skorch.dataset.Dataset(X, y); got {type(self.train_split).__name__}."
            )
        validate_parameter_constraints(
            {**SklearnNet._parameter_constraints, **self._parameter_constraints},
            self.get_params(deep=False),
            type(self).__name__,
        )
        if self.mixed_precision is not None and self.dtype == "float64":
            raise InvalidParameterError(
                f"mixed_precision={self.mixed_precision!r} computes with fewer digits than dtype='float64' "
                "asks for: pass one of them, None for the other."
            )
        check_device(self.device)
        self._check_callbacks()

    def _check_callbacks(self) -> None:
        """Raise for what is no callback, and for a parameter of one that is not there."""
        if self.callbacks == "disable":
            return
        for item in self.callbacks or []:
            callback = item[1] if isinstance(item, (tuple, list)) and len(item) == 2 else item
            if callback is not None and not hasattr(callback, "on_train_begin"):
                raise TypeError(
                    "callbacks must hold skorch callbacks, instances or classes, or pairs (name, callback); "
                    f"got {item!r}."
                )
        known = [name for name, _ in self._uniquely_named_callbacks()]
        for parameter in self.get_params_for("callbacks"):
            name = parameter.partition("__")[0]
            if name not in known:
                raise ValueError(
                    f"callbacks__{parameter} sets a callback {name!r}, which does not exist"
                    f"{_hint(name, known)} The callbacks are {', '.join(map(repr, known))}."
                )

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        text: str = BaseEstimator.__repr__(self, N_CHAR_MAX=N_CHAR_MAX)
        return text

    # --- what notebooks show ---------------------------------------------------------------------

    def __dir__(self) -> list[str]:
        # For completion in editors and notebooks; what is hidden works all the same.
        # An older scikit-learn does not look whether a property is there.
        hidden = _HIDDEN.difference(self._get_param_names())
        return [name for name in super().__dir__() if name not in hidden and hasattr(self, name)]

    def _get_params_html(self, deep: bool = True, doc_link: str = "") -> Any:
        return parameter_table(super()._get_params_html, type(self), doc_link)

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        table = super()._get_fitted_attr_html(doc_link)
        # Callbacks have no text of their own, only addresses.
        table.pop("callbacks_", None)
        return table

    # --- metadata and tags -----------------------------------------------------------------------

    def get_metadata_routing(self) -> Any:
        """Return the metadata that fit, partial_fit and score ask for.

        Returns
        -------
        MetadataRequest
            Of scikit-learn.
        """
        return self._get_metadata_request()

    @property
    def classes_(self) -> NDArray[Any]:
        """Sorted class labels."""
        try:
            return self.classes_inferred_
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no attribute 'classes_' before fit.") from None

    @property
    def history(self) -> Any:
        """The training history, as skorch's History; None before fit."""
        return self.history_

    @history.setter
    def history(self, value: Any) -> None:
        self.history_ = value

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", BatchMean(name="train_loss", on_train=True)),
            ("valid_loss", BatchMean(name="valid_loss")),
            # The stock one predicts with the net itself; ours reads what run_single_epoch has
            # counted.
            ("valid_acc", BatchMean(name="valid_acc", lower_is_better=False)),
            ("print_log", QuietPrintLog()),
        ]


def named_parameters(net: type) -> tuple[str, ...]:
    """Return the parameters of a net's __init__, and of those that its **kwargs go on to.

    A user's subclass with one parameter more need not repeat ours; scikit-learn's clone would
    drop what it does not see.
    """
    return _parameters_of(net.__mro__)


# Clones, checks and each attribute that is set ask for them, and reading signatures would take much
# of a short fit's time.
@lru_cache
def _parameters_of(mro: tuple[type, ...]) -> tuple[str, ...]:
    named: dict[str, None] = {}
    for cls in mro:
        if "__init__" in vars(cls):
            parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
            open_ended = [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            named |= dict.fromkeys(p.name for p in parameters if p not in open_ended)
            if cls is SklearnNet or not open_ended:
                break
    return tuple(named)


# What parameters of MLPClassifier, Keras, Lightning and torch's DataLoader are called here.
_ELSEWHERE = {
    "alpha": "optimizer__weight_decay",
    "early_stopping": "patience=20, or patience=None for none",
    "ensemble": "SmoothingSearchCV(classifier, ensemble=True)",
    "epochs": "max_epochs",
    "gradient_clip_val": "callbacks=[GradientNormClipping(1.0)], of skorch",
    "hidden_layer_sizes": "module__hidden_sizes",
    "label_smoothing": 'smoothing="uniform", smoothing__epsilon',
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "lr_scheduler": "callbacks=[LRScheduler(...)], of skorch",
    "max_grad_norm": "callbacks=[GradientNormClipping(1.0)], of skorch",
    "max_iter": "max_epochs",
    "n_iter_no_change": "patience",
    "n_jobs": "n_jobs of SmoothingSearchCV and CrossFittedClassifier; a network takes torch's threads",
    "num_workers": "iterator_train__num_workers, and iterator_valid__num_workers",
    "scheduler": "callbacks=[LRScheduler(...)], of skorch",
    "seed": "random_state",
    "solver": "optimizer",
    "validation_data": "train_split=predefined_split(dataset), of skorch",
    "validation_fraction": "train_split",
    "validation_split": "train_split",
    "weight_decay": "optimizer__weight_decay",
}


def _hint(name: str, known: list[str]) -> str:
    """Return what a user who passed an unknown parameter may have meant."""
    if name == "class_weight":
        return (
            "; pass sample_weight to fit, such as sklearn's compute_sample_weight('balanced', y). Then the "
            "probabilities are calibrated for classes of these weights, not for their true shares."
        )
    part = next((part for part in _PARTS if name.startswith(f"{part}_")), None)
    if part:
        return f"; did you mean {part + '__' + name.removeprefix(part + '_')!r}?"
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def _check_optimizer(optimizer: Any) -> None:
    """Raise if it is a name: scikit-learn's own estimators take names, skorch's classes."""
    if isinstance(optimizer, str):
        names = {name.lower(): name for name, kind in vars(torch.optim).items() if isinstance(kind, type)}
        near = get_close_matches(optimizer.lower(), names, n=1)
        hint = f"torch.optim.{names[near[0]]}" if near else "one of torch.optim, such as torch.optim.Adam"
        raise TypeError(f"optimizer must be a class, got the name {optimizer!r}: pass {hint}.")


def check_device(device: Any) -> None:
    """Raise unless torch knows the device, and can compute on it here."""
    if device in ("auto", None):
        return
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda' or another name of torch; got {device!r}."
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} needs a GPU that torch can use, and there is none: pass 'auto' or 'cpu'."
        )
    try:
        if kind != "cpu":
            torch.zeros(1, device=device).cpu()
    except Exception as error:  # RuntimeError, AssertionError and others, by the kind of the device
        raise ValueError(
            f"torch cannot compute on device={device!r} here: pass 'auto' or 'cpu'. "
            f"{str(error).partition('. ')[0]}."
        ) from error


def _refuse_fixed(owner: str, kwargs: dict[str, Any]) -> None:
    for name in kwargs:
        if name.partition("__")[0] in _FIXED:
            raise TypeError(
                f"{owner} has no parameter {name!r}: the loss is cross-entropy against soft targets, the "
                "module returns logits, and classes come from y. Use smoothing= and sample_weight instead."
            )
        if name == "history":
            raise TypeError(
                f"{owner} has no parameter 'history': every fit records its own. Set the attribute history "
                "of a fitted estimator, or load it with load_params(f_history=...)."
            )


def refuse_fit_params(method: str, fit_params: dict[str, Any]) -> None:
    """Raise if a method got what skorch would pass on to the module and the split.

    Parameters
    ----------
    method : {"fit", "partial_fit"}
    fit_params : dict
        By name.
    """
    for name in fit_params:
        way = (
            "skorch passes such values on to the module and to train_split; here what a module needs of a "
            "row belongs into X (more columns, or a Dataset of dicts), and groups= reaches the split."
        )
        if name == "epochs":
            way = "set max_epochs, or go on with partial_fit(..., epochs=...)."
        elif name in ("eval_set", "validation_data"):
            way = "set train_split=predefined_split(dataset), of skorch.helper, with a Dataset of these rows."
        raise TypeError(f"{method}() got an unexpected argument {name!r}: {way}")
