"""The base of both classifiers: a skorch NeuralNetClassifier that keeps scikit-learn's contract.

Here are the checks of input, the device, the seed, the hold-out, the training loop with its best epoch, the
temperature and prediction. What a network is trained on is the subclasses' business.
"""

import copy
import inspect
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EpochTimer, PassthroughScoring, PrintLog
from skorch.utils import to_device, to_tensor
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sk_ils._inputs import DTYPES, check_classes, n_inputs
from sk_ils._task import Task, check_data, check_rows, make_task
from sk_ils._training import BestEpoch, Meter, draw_seed, seeded, weighted_mean
from sk_ils._validation import Interval, Options, StrOptions, validate_parameter_constraints
from sk_ils.batches import BatchLoader, DatasetLoader, Rows, Targets
from sk_ils.modules import MLP
from sk_ils.temperature import fit_temperature, log_softmax, softmax

__all__ = ["CalibratedNet", "NonFiniteLossError"]

_FIXED = ("criterion", "predict_nonlinearity", "classes", "dataset")
# Data go to the GPU once, as a whole, if they take less than this share of its free memory.
_RESIDENT_SHARE = 0.5
_MIN_BLOCK = 32


class NonFiniteLossError(ArithmeticError, ValueError):
    """The training or validation loss became NaN or infinite."""


class CalibratedNet(NeuralNetClassifier):
    """Base class; see :class:`sk_ils.TeacherClassifier` for the parameters."""

    # skorch sets these in __init__; scikit-learn allows an unfitted estimator its parameters only.
    history_ = None
    initialized_ = False
    virtual_params_: Any = {}  # noqa: RUF012

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
        "train_split": [Interval(Real, 0, 1, closed="neither"), callable, None],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "temperature_scaling": ["boolean"],
        "random_state": ["random_state"],
        "dtype": [StrOptions({"float32", "float64"}), None],
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
        self.dtype = dtype
        self.random_state = random_state
        for name in ("history_", "initialized_", "virtual_params_"):
            self.__dict__.pop(name)

    # --- parameters -----------------------------------------------------------------------------------

    def _get_param_names(self) -> list[str]:
        signature = inspect.signature(type(self).__init__).parameters.values()
        named = [p.name for p in signature if p.name != "self" and p.kind is not p.VAR_KEYWORD]
        return named + sorted(name for name in self._params_to_validate if name in vars(self))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return parameters by name, with those of callbacks and nested estimators if `deep`.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        dict
        """
        # skorch lets the state of its default callbacks win over what the user set.
        return {**super().get_params(deep=deep), **BaseEstimator.get_params(self, deep=deep)}

    def __setattr__(self, name: str, value: Any) -> None:
        # skorch tracks torch parts by this hook; a parameter that is a module instance is none of them.
        if name.endswith("_"):
            super().__setattr__(name, value)
        else:
            object.__setattr__(self, name, value)

    def set_params(self, **params: Any) -> Self:
        """Set parameters; a fitted network changes at the next fit only.

        An exception are `lr` and `optimizer__...`, which also act on the optimizer that a following
        `partial_fit` goes on with, as in skorch.

        Parameters
        ----------
        **params : dict
            Parameters by name, those of parts as ``part__name``.

        Returns
        -------
        self
        """
        virtual = {name: value for name, value in params.items() if self._is_virtual_param(name)}
        self._apply_virtual_params(virtual)
        special = {name for name in params if self._is_special(name)}
        for name in special:
            setattr(self, name, params[name])
            self._params_to_validate.add(name)
        BaseEstimator.set_params(self, **{name: params[name] for name in params if name not in special})
        return self

    def _is_special(self, name: str) -> bool:
        """Return whether a name is a parameter of a part that skorch builds, such as module__x."""
        prefix, delimiter, _ = name.partition("__")
        return bool(delimiter) and not hasattr(getattr(self, prefix, None), "get_params")

    def _check_parameters(self) -> None:
        """Raise if a parameter is outside its range, before any work is done."""
        known = [name for name in self._get_param_names() if name not in self._params_to_validate]
        for name in self._params_to_validate:
            if "__" not in name:
                near = get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else "."
                raise TypeError(f"{type(self).__name__} got an unexpected parameter {name!r}{hint}")
        validate_parameter_constraints(
            {**CalibratedNet._parameter_constraints, **self._parameter_constraints},
            self.get_params(deep=False),
            type(self).__name__,
        )

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return BaseEstimator.__repr__(self, N_CHAR_MAX=N_CHAR_MAX)

    # --- metadata and tags ----------------------------------------------------------------------------

    def get_metadata_routing(self) -> Any:
        """Return the metadata that fit, partial_fit and score ask for.

        Returns
        -------
        MetadataRequest
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
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
            # The stock one predicts with the net itself; ours reads what run_single_epoch has counted.
            ("valid_acc", PassthroughScoring(name="valid_acc", lower_is_better=False)),
            ("print_log", PrintLog()),
        ]

    # --- state ----------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Drop everything that a fit has learned."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            self.__dict__.pop(name)
        for name in ("_modules", "_criteria", "_optimizers", "_row_shape", "_module_device"):
            self.__dict__.pop(name, None)

    @contextmanager
    def _forgetting_on_error(self) -> Iterator[None]:
        """Leave no estimator behind that looks fitted when training fails."""
        try:
            yield
        except BaseException:
            self._forget()
            raise

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        """Let skorch and callbacks see a device that torch knows while `device` is "auto"."""
        asked = self.device
        if asked == "auto":
            self.__dict__["device"] = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            yield
        finally:
            self.__dict__["device"] = asked

    def __setstate__(self, state: dict[str, Any]) -> None:
        asked = state["device"]
        if asked == "auto":
            state = {**state, "device": "cuda" if torch.cuda.is_available() else "cpu"}
        super().__setstate__(state)
        if asked == "auto":
            self.__dict__["device"] = asked

    def save_params(self, *args: Any, **kwargs: Any) -> None:
        """Save parameters, optimizer or history to files, as in skorch, but warn when that fails.

        skorch's Checkpoint swallows the error of a path that cannot be written.

        Parameters
        ----------
        *args, **kwargs
            See ``skorch.NeuralNet.save_params``. For a whole fitted estimator use pickle or joblib.
        """
        try:
            super().save_params(*args, **kwargs)
        except Exception as error:
            warnings.warn(f"Could not save parameters: {type(error).__name__}: {error}", stacklevel=2)
            raise

    def load_params(self, *args: Any, **kwargs: Any) -> None:
        """Load parameters, optimizer or history from files, as in skorch.

        Parameters
        ----------
        *args, **kwargs
            See ``skorch.NeuralNet.load_params``.
        """
        with self._on_device():
            super().load_params(*args, **kwargs)

    # --- building -------------------------------------------------------------------------------------

    def initialize_module(self) -> Self:
        """Build the module, with the sizes of the data where its __init__ names them.

        Returns
        -------
        self
        """
        if not hasattr(self, "classes_inferred_"):
            raise RuntimeError(f"{type(self).__name__} is built by fit, which knows the sizes of the data.")
        kwargs = self.get_params_for("module")
        module = self.module if self.module is not None else MLP
        if isinstance(module, nn.Module):
            # A module instance is a parameter: training must not change it, teacher and student not share it.
            built = copy.deepcopy(module) if not kwargs else type(module)(**kwargs)
        else:
            built = module(**{**self._sizes(module), **kwargs})
        if self.dtype == "float64":
            built = built.double()
        self.module_ = built
        return self

    def _sizes(self, module: Any) -> dict[str, int]:
        """Return the sizes that a module's __init__ asks for by name."""
        known = {"n_classes": len(self.classes_)}
        if hasattr(self, "_row_shape"):
            # The default network flattens its input; scikit-learn's n_features_in_ is the second dimension.
            known["n_features_in"] = n_inputs(self._row_shape) if module is MLP else self._row_shape[0]
        wanted = inspect.signature(module).parameters
        return {name: size for name, size in known.items() if name in wanted}

    def get_dataset(self, X: Any, y: Any = None) -> Rows:
        """Return X as rows; data that have passed the checks only."""
        return X if isinstance(X, Rows) else Rows(X)

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return a loader of batches ``(X, Targets)``: slices for tensors, a DataLoader for Datasets."""
        rows = self.get_dataset(dataset)
        name = "iterator_train" if training else "iterator_valid"
        kwargs = {"batch_size": self.batch_size, **self.get_params_for(name)}
        if kwargs["batch_size"] == -1:
            kwargs["batch_size"] = max(len(rows), 1)
        # A DataLoader without a generator draws a number from torch's global one, also in prediction.
        kwargs = {"generator": self._batch_order if training else torch.Generator(), **kwargs}
        if training:
            kwargs = {"shuffle": True, **kwargs}
        loader = getattr(self, name)
        if loader is not BatchLoader:
            return DatasetLoader(rows, loader=loader, **kwargs)
        if isinstance(rows.X, Tensor):
            return BatchLoader(rows, **kwargs)
        return DatasetLoader(rows, loader=DataLoader, **kwargs)

    # --- training -------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, *, sample_weight: Any, groups: Any, **metadata: Any) -> Self:
        """Check, split, let the subclass prepare its targets, train."""
        self._check_parameters()
        warm = self.warm_start and self.initialized_
        if not warm:
            self._forget()
        seed = draw_seed(self.random_state)
        # The outer seeding keeps a Dataset's random augmentation, in the checks, away from the global state.
        with self._forgetting_on_error(), self._on_device(), seeded(seed, self.device):
            task = make_task(
                self,
                X,
                y,
                sample_weight=sample_weight,
                groups=groups,
                classes=self.classes_ if warm else None,
                seed=seed,
            )
            self.classes_inferred_ = task.classes
            train = self._training_rows(task, **metadata)
            self._train(train, task.valid, seed=seed, y=task.y[task.train_index])
        return self

    def _training_rows(self, task: Task) -> Rows:
        """Return the rows to train on, with their soft targets; subclasses have some."""
        return task.train

    def _partial_fit(self, X: Any, y: Any, classes: ArrayLike | None, sample_weight: Any) -> Self:
        """Train on more rows, without a hold-out, from where the network is."""
        self._check_parameters()
        first = not self.initialized_
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        known = check_classes(np.asarray(classes)) if first else self.classes_
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(
                f"classes is {np.unique(classes).tolist()}, but the previous call to fit or partial_fit knew "
                f"{known.tolist()}."
            )
        seed = draw_seed(self.random_state)
        forgetting = self._forgetting_on_error() if first else nullcontext()
        with forgetting, self._on_device(), seeded(seed, self.device):
            rows, labels, _ = check_rows(self, X, y, sample_weight, classes=known, reset=first)
            self.classes_inferred_ = known
            with self._forgetting_on_error():
                self._train(self._more_training_rows(X, rows, seed), None, seed=seed, y=labels)
        return self

    def _more_training_rows(self, X: Any, rows: Rows, seed: int) -> Rows:
        """Return the rows of a partial_fit with their soft targets; subclasses have some."""
        return rows

    def _fit_task(self, task: Task, *, like: "CalibratedNet") -> Self:
        """Fit as the teacher of another net, on its task."""
        self._check_parameters()
        self._adopt(like)
        seed = task.seed if self.random_state is None else draw_seed(self.random_state)
        with self._forgetting_on_error(), self._on_device():
            self._train(task.train, task.valid, seed=seed, y=task.y[task.train_index])
        return self

    def _partial_fit_rows(self, rows: Rows, *, like: "CalibratedNet", seed: int) -> None:
        """Train on as the teacher of another net, on the rows of its partial_fit."""
        self._adopt(like)
        with self._on_device():
            self._train(rows, None, seed=seed)

    def _adopt(self, like: "CalibratedNet") -> None:
        """Take over what another net has learned of the data's shape."""
        for name in ("classes_inferred_", "n_features_in_", "feature_names_in_", "_row_shape"):
            if name in like.__dict__:
                self.__dict__[name] = like.__dict__[name]

    def _train(self, train: Rows, valid: Rows | None, *, seed: int, y: NDArray[Any] | None = None) -> None:
        """Train on rows, go back to the best epoch, find the temperature.

        A built network is trained on (warm start, partial_fit). Without `valid` the last epoch counts and
        the temperature stays.
        """
        with seeded(seed, self.device):
            if not self.initialized_:
                self.initialize()
                self.temperature_ = 1.0
            self._batch_order = torch.Generator().manual_seed(seed + len(self.history))
            self._module_device = self._device()
            self._gradients_heard = self._hears("on_grad_computed")
            train = self._resident(train)
            valid = None if valid is None else self._resident(valid)
            self.notify("on_train_begin", X=train.X, y=y)
            self.fit_loop(train, valid)
            self.notify("on_train_end", X=train.X, y=y)
            del self._batch_order
            if valid is not None and self.temperature_scaling:
                self.temperature_ = self._temperature_on(valid)

    def _temperature_on(self, rows: Rows) -> float:
        """Return the temperature that calibrates the network's raw logits on held-out rows."""
        assert rows.codes is not None
        weight = None if rows.weight is None else rows.weight.cpu().numpy()
        return fit_temperature(self._logits(rows), rows.codes.cpu().numpy(), weight)

    def _resident(self, rows: Rows) -> Rows:
        """Return the rows with their tensors on the device, if they fit there as a whole."""
        device, dtype = self._device(), DTYPES.get(self.dtype or "")
        if device.type != "cuda":
            return rows.to(device, dtype)
        free, _ = torch.cuda.mem_get_info(device)
        return (
            rows.to(device, DTYPES.get(self.dtype or "")) if rows.n_bytes() < _RESIDENT_SHARE * free else rows
        )

    def fit_loop(self, X: Rows, y: Rows | None = None, epochs: int | None = None, **fit_params: Any) -> Self:
        """Train on rows X with validation rows y, keep the best epoch.

        The loop of skorch, without its own split.
        """
        self.check_training_readiness()
        on_epoch = {"dataset_train": X, "dataset_valid": y}
        batches = self.get_iterator(X, training=True)
        valid_batches = None if y is None else self.get_iterator(y, training=False)
        best = BestEpoch(self.module_, enabled=y is not None)
        for _ in range(self.max_epochs if epochs is None else epochs):
            self.notify("on_epoch_begin", **on_epoch)
            self.run_single_epoch(batches, training=True, prefix="train", step_fn=self.train_step)
            loss = self.run_single_epoch(
                valid_batches, training=False, prefix="valid", step_fn=self.validation_step
            )
            best.update(loss)
            if self._stopped_by_callback(on_epoch) or best.age_exceeds(self.patience):
                break
        best.restore()
        return self

    def _stopped_by_callback(self, on_epoch: dict[str, Any]) -> bool:
        """Tell callbacks that an epoch ended, and whether one of them, as EarlyStopping, asks to stop.

        A KeyboardInterrupt from anywhere else is the user's, and ends the fit with an error.
        """
        try:
            self.notify("on_epoch_end", **on_epoch)
        except KeyboardInterrupt:
            return True
        return False

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a hook of the net and of the callbacks, as skorch does, but gradients only if one listens."""
        if method_name != "on_grad_computed" or self._gradients_heard:
            super().notify(method_name, **cb_kwargs)

    def _hears(self, method_name: str) -> bool:
        """Return whether a callback, or a subclass of the net, has a hook of its own."""
        stock = getattr(Callback, method_name)
        return getattr(type(self), method_name) is not getattr(NeuralNetClassifier, method_name) or any(
            getattr(type(callback), method_name, stock) is not stock for _, callback in self.callbacks_
        )

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> float | None:
        """Run one epoch and record its batches; return the mean loss, weighted by rows.

        Losses stay on the device until the end of the epoch, unless a callback listens to batches. With
        sample weights the recorded ``*_batch_size`` is the weight of a batch.
        """
        if iterator is None:
            return None
        heard = self._hears("on_batch_begin") or self._hears("on_batch_end")
        meter = Meter(prefix, with_accuracy=not training)
        for X, targets in iterator:
            batch = (X, self.classes_[targets.codes.cpu().numpy()]) if heard else None
            if heard:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn((X, targets), **fit_params)
            meter.add(step, targets)
            if heard:
                self.history[-1]["batches"][-1].update(meter.last())
                self.notify("on_batch_end", batch=batch, training=training, **step)
        records = meter.records()
        if not heard:
            self.history[-1]["batches"].extend(records)
        self.history.record(f"{prefix}_batch_count", len(records))
        loss = weighted_mean(records, prefix)
        if not math.isfinite(loss):
            raise NonFiniteLossError(
                f"The {prefix} loss of epoch {len(self.history)} is {loss}. Lower lr (now {self.lr}), scale "
                "the features (for example with StandardScaler), or clip gradients (skorch's "
                "GradientNormClipping). The estimator is left unfitted."
            )
        return loss

    def _set_training(self, training: bool = True) -> None:
        # skorch walks the whole module in every batch; the root's flag tells whether that is needed.
        if self.module_.training is not training:
            self.module_.train(training)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return the cross-entropy of logits against hard labels or soft targets, in nats.

        Parameters
        ----------
        y_pred : Tensor of shape (batch, K) or tuple with it in the first place
            The module's output: raw logits.
        y_true : Targets
            Class indices, soft targets or None, weights or None of the batch.
        X : Tensor
            The batch's input.
        training : bool, default=False
            Validation is always against hard labels.

        Returns
        -------
        Tensor
            Scalar: sum of weight * loss over sum of weights.
        """
        logits = self._check_logits(y_pred)
        target = self._loss_target(y_true, logits, X) if training else y_true.codes
        target = target.to(logits.device)
        if y_true.weight is None:
            return nn.functional.cross_entropy(logits, target)
        losses = nn.functional.cross_entropy(logits, target, reduction="none")
        weight = y_true.weight.to(logits.device)
        return (weight * losses).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)

    def _loss_target(self, targets: Targets, logits: Tensor, X: Any) -> Tensor:
        """Return what training compares the logits with: class indices or soft targets."""
        assert targets.codes is not None
        return targets.codes if targets.soft is None else targets.soft

    def _check_logits(self, output: Any) -> Tensor:
        logits = output[0] if isinstance(output, tuple) else output
        n_classes = len(self.classes_inferred_)
        if logits.ndim != 2 or logits.shape[1] != n_classes:
            raise ValueError(
                f"The module must return one logit per class, shape (n, {n_classes}); it returned "
                f"{tuple(logits.shape)}. Name n_classes in its __init__ to get the size from the data."
            )
        return logits

    # --- prediction -----------------------------------------------------------------------------------

    def _device(self) -> torch.device:
        """Return where the module is."""
        parameter = next(self.module_.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Return the module's output for a batch, which is moved to the module's device first."""
        if isinstance(x, Tensor):
            return self.module_(x.to(self._module_device, non_blocking=True), **fit_params)
        moved = to_tensor(x, device=self._module_device)
        return self.module_(**moved, **fit_params) if isinstance(moved, dict) else self.module_(moved)

    def forward_iter(self, X: Any, training: bool = False, device: Any = "cpu") -> Iterator[Any]:
        """Yield the module's output batch by batch.

        Parameters
        ----------
        X : Tensor, Dataset or Rows
            Data that have passed the checks.
        training : bool, default=False
            Whether to run in training mode, with dropout and gradients.
        device : device, default="cpu"
            Where outputs go.

        Yields
        ------
        Tensor
        """
        self.check_is_fitted()
        self._module_device = self._device()
        self._set_training(training)
        with torch.set_grad_enabled(training):
            for batch, _ in self.get_iterator(self.get_dataset(X)):
                yield to_device(self._infer_padded(batch), device=device)

    def _infer_padded(self, batch: Any) -> Any:
        """Return the output for a batch; a few rows of a table are padded to a matrix product's block.

        Below some ten rows float32 products take other kernels: a row's logits would differ by round-off
        with the rows that it is predicted together with.
        """
        if not isinstance(batch, Tensor) or batch.ndim != 2 or len(batch) >= _MIN_BLOCK:
            return self.infer(batch)
        output = self.infer(torch.cat([batch, batch[:1].expand(_MIN_BLOCK - len(batch), -1)]))
        return output[0][: len(batch)] if isinstance(output, tuple) else output[: len(batch)]

    def _logits(self, X: Any) -> NDArray[np.floating]:
        """Return raw logits (n, K), in the module's float type."""
        outputs = [self._check_logits(output) for output in self.forward_iter(X)]
        return torch.cat(outputs).detach().cpu().numpy()

    def _checked_logits(self, X: Any) -> NDArray[np.floating]:
        self.check_is_fitted()
        return self._logits(check_data(self, X, reset=False))

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        r"""Return calibrated class probabilities.

        .. math:: p = \mathrm{softmax}(z / T)

        with the network's logits z and T = `temperature_`.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n rows
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes)
            float64, columns in the order of `classes_`; rows sum to 1.
        """
        return softmax(self._checked_logits(X), self.temperature_)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return log-probabilities in nats, or log-odds of the second class if there are two.

        They keep their precision where probabilities saturate at 0 or 1, and scikit-learn's calibrators
        (CalibratedClassifierCV) work on them.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n rows
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes), or (n,) for two classes
        """
        logits = self._checked_logits(X)
        if logits.shape[1] == 2:
            return (logits[:, 1].astype(np.float64) - logits[:, 0]) / self.temperature_
        return log_softmax(logits, self.temperature_)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n rows
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels out of `classes_`.
        """
        winners = self._checked_logits(X).argmax(axis=1)
        return self.classes_[winners]


def _refuse_fixed(owner: str, kwargs: dict[str, Any]) -> None:
    for name in kwargs:
        if name.partition("__")[0] in _FIXED:
            raise TypeError(
                f"{owner} has no parameter {name!r}: the loss is cross-entropy against soft targets, the "
                "module returns logits, and classes come from y. Use smoothing= and sample_weight instead."
            )
