"""The base of both classifiers: building, training with a hold-out and its best epoch, prediction.

What a network is trained on is the subclasses' business.
"""

import copy
import inspect
import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.utils import to_device, to_tensor
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sk_ils._inputs import DTYPES, check_classes, n_inputs
from sk_ils._sklearn_net import SklearnNet
from sk_ils._task import Task, check_data, check_rows, make_task
from sk_ils._training import BestEpoch, Meter, draw_seed, seeded, weighted_mean
from sk_ils.batches import BatchLoader, DatasetLoader, Rows, Targets
from sk_ils.modules import MLP
from sk_ils.temperature import fit_temperature, log_softmax, softmax

__all__ = ["CalibratedNet", "NonFiniteLossError"]

# Data go to the GPU once, as a whole, if they take less than this share of its free memory.
_RESIDENT_SHARE = 0.5
# Rows of a table that are predicted together at least; see _infer_padded.
_MIN_BLOCK = 32


class NonFiniteLossError(ArithmeticError, ValueError):
    """The training or validation loss became NaN or infinite."""

    @classmethod
    def of(cls, prefix: str, *, epoch: int, loss: float, lr: float) -> Self:
        """Return the error for a "train" or "valid" loss in an epoch, counted from 1."""
        return cls(
            f"The {prefix} loss of epoch {epoch} is {loss}. Lower lr (now {lr}), scale the features (for "
            "example with StandardScaler), or clip gradients (skorch's GradientNormClipping). The estimator "
            "is left unfitted."
        )


class CalibratedNet(SklearnNet):
    """Base class; see :class:`sk_ils.TeacherClassifier` for the parameters."""

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
            self._train(self._training_rows(task), task.valid, seed=seed, y=task.y[task.train_index])
        return self

    def _partial_fit_rows(self, X: Any, rows: Rows, *, like: "CalibratedNet", seed: int) -> None:
        """Train on as the teacher of another net, on the rows of its partial_fit."""
        self._adopt(like)
        with self._on_device():
            self._train(self._more_training_rows(X, rows, seed), None, seed=seed)

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
            self._begin_training(seed)
            self._gradients_heard = self._hears("on_grad_computed")
            train = self._resident(train)
            valid = None if valid is None else self._resident(valid)
            self.notify("on_train_begin", X=train.X, y=y)
            self.fit_loop(train, valid)
            self.notify("on_train_end", X=train.X, y=y)
            del self._batch_order
            if valid is not None and self.temperature_scaling:
                self.temperature_ = self._temperature_on(valid)

    def _begin_training(self, seed: int) -> None:
        """Build the network unless it is built, and start the order of the rows, in a seeded context."""
        if not self.initialized_:
            self.initialize()
            self.temperature_ = 1.0
        self._batch_order: torch.Generator = torch.Generator().manual_seed(seed + len(self.history))
        self._module_device = self._device()

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
        return rows.to(device if rows.n_bytes() < _RESIDENT_SHARE * free else "cpu", dtype)

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
        if not records:
            raise ValueError(
                f"There is no {prefix} batch: pass more rows, a smaller batch_size, or drop_last=False."
            )
        if not heard:
            self.history[-1]["batches"].extend(records)
        self.history.record(f"{prefix}_batch_count", len(records))
        loss = weighted_mean(records, prefix)
        if not math.isfinite(loss):
            raise NonFiniteLossError.of(prefix, epoch=len(self.history), loss=loss, lr=self.lr)
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

    def _batch_logits(self, batch: Any) -> Tensor:
        """Return raw logits of one batch, on the module's device and without gradients."""
        self._module_device = self._device()
        self._set_training(False)
        with torch.no_grad():
            return self._check_logits(self.infer(batch))

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
