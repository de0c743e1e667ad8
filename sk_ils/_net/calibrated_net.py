"""The base of both classifiers: building, the protocol of a fit, the training loop, prediction.

What a network is trained on is the subclasses' business.
"""

import copy
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.utils import to_device, to_tensor
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sk_ils._net.advice import advise_on_probabilities, advise_on_scale, each_once
from sk_ils._net.fit_data import FitData, InputSchema, Part, split_samples
from sk_ils._net.inputs import (
    check_classes,
    check_dataset,
    check_epochs,
    check_features,
    check_given_classes,
    check_labels,
    check_weight,
    dataset_labels,
    encode,
    is_dataset,
)
from sk_ils._net.module_errors import explain_module_error, explained_building
from sk_ils._net.rollback import note_training_step, undone_on_error
from sk_ils._net.seeding import draw_seed
from sk_ils._net.stateful_net import StatefulNet
from sk_ils._net.training import (
    DTYPES,
    BestEpoch,
    FitResult,
    LabelledSamples,
    Meter,
    NonFiniteLossError,
    TrainingState,
    check_finite,
    check_logits,
    check_monitors,
    check_rows,
    held_out_temperature,
    weighted_mean,
)
from sk_ils.batches import BatchLoader, DatasetLoader, SampleSet, Targets, check_keeps_rows
from sk_ils.modules import MLP
from sk_ils.temperature import log_softmax, softmax

# Samples of a table that are predicted together at least; see _infer_padded.
_MIN_BLOCK = 32
_SLICING = set(inspect.signature(BatchLoader).parameters)


class CalibratedNet(StatefulNet):
    """Base class; see :class:`sk_ils.TeacherClassifier` for the parameters.

    The protocol of a fit, which the search follows, too: `check_parameters`, then inside
    `fit_session` `prepare_fit` and, in subclasses, what turns the data into targets; then
    `run_training`, or `training` around a loop of one's own and `load_result`.
    """

    # --- building --------------------------------------------------------------------------------

    def initialize_module(self) -> Self:
        """Build the module, with the sizes of the data where its __init__ names them.

        Returns
        -------
        self
            The estimator.
        """
        kwargs = self.get_params_for("module")
        module = self.module if self.module is not None else MLP
        if isinstance(module, nn.Module):
            # A module instance is a parameter: training must not change it, teacher and student not
            # share it.
            with explained_building("module", type(module), kwargs):
                built = copy.deepcopy(module) if not kwargs else type(module)(**kwargs)
        else:
            if not self._knows_classes():
                _check_sizes(module, kwargs)
            kwargs = {**self._sizes(module), **kwargs}
            with explained_building("module", module, kwargs):
                built = module(**kwargs)
        if not isinstance(built, nn.Module):
            raise TypeError(f"module must build a torch module; {module!r} gave {type(built).__name__}.")
        self.module_ = built
        return self

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> Self:
        """Build the optimizer, as in skorch.

        Parameters
        ----------
        triggered_directly : bool, default=None
            Without meaning; skorch has it.

        Returns
        -------
        self
            The estimator.
        """
        parameters = {"lr": self.lr, **self.get_params_for("optimizer")}
        with explained_building("optimizer", self.optimizer, parameters):
            super().initialize_optimizer(triggered_directly)
        return self

    def _initialize_module(self, reason: str | None = None) -> Self:
        super()._initialize_module(reason)
        return self._cast_parts()

    def _initialize_criterion(self, reason: str | None = None) -> Self:
        super()._initialize_criterion(reason)
        return self._cast_parts()

    def _cast_parts(self) -> Self:
        """Give the weights of all parts the type that is asked for."""
        if self._float_type is not None:
            for part in self._torch_parts().values():
                part.to(self._float_type)
        return self

    def _torch_parts(self) -> dict[str, nn.Module]:
        """Return by name what is trained: `module_`, and what a subclass builds besides it."""
        parts = {name: getattr(self, f"{name}_", None) for name in (*self._modules, *self._criteria)}
        return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}

    @property
    def _float_type(self) -> torch.dtype | None:
        """The parameter `dtype` as torch names it."""
        return DTYPES.get(self.dtype or "")

    def _sizes(self, module: Any) -> dict[str, int]:
        """Return the sizes that a module's __init__ asks for by name."""
        if not self._knows_classes():
            return {}
        known = {"n_classes": len(self.classes_), "num_classes": len(self.classes_)}  # torch's name, too
        shape = self._sample_shape
        if shape:
            # The default network flattens its input; scikit-learn's n_features_in_ is the second
            # dimension.
            known["n_features_in"] = math.prod(shape) if module is MLP else shape[0]
            known["in_features"] = known["n_features_in"]
        wanted = inspect.signature(module).parameters
        return {name: size for name, size in known.items() if name in wanted}

    def get_dataset(self, X: Any, y: Any = None) -> SampleSet:
        """Return X as a SampleSet; for data that have passed the checks only."""
        return X if isinstance(X, SampleSet) else SampleSet(X)

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return a loader of ``(X, Targets)``: slices for tensors, a DataLoader for Datasets."""
        samples = self.get_dataset(dataset)
        name = "iterator_train" if training else "iterator_valid"
        own = self.get_params_for(name)
        if not training:
            check_keeps_rows(own)
        kwargs = own if "batch_sampler" in own else {"batch_size": self.batch_size, **own}
        if kwargs.get("batch_size") == -1:
            kwargs["batch_size"] = max(len(samples), 1)
        # A DataLoader without a generator draws a number from torch's global one, also in
        # prediction.
        state = self._training_state
        kwargs = {"generator": state.order if training and state else torch.Generator(), **kwargs}
        if training:
            kwargs = {"shuffle": True, **kwargs}
        loader = getattr(self, name)
        with explained_building(name, loader, own):
            if isinstance(samples.X, Tensor) and self._slices_tensors(name):
                return BatchLoader(samples, **kwargs)
            kwargs |= {"dtype": self._float_type, "in_order": not training}
            return DatasetLoader(samples, loader=DataLoader if loader is BatchLoader else loader, **kwargs)

    def _slices_tensors(self, name: str) -> bool:
        """Return whether a loader slices tensors, and needs no DataLoader for its parameters."""
        return getattr(self, name) is BatchLoader and self.get_params_for(name).keys() <= _SLICING

    # --- the protocol of a fit -------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, *, sample_weight: Any, groups: Any, **metadata: Any) -> Self:
        """Check, split, and train; `metadata` is what a subclass's `prepare_fit` takes besides."""
        self.check_training_readiness()
        self.check_parameters()
        goes_on = self.warm_start and self.initialized_
        seed = draw_seed(self.random_state)
        # The seed counts from here on, since the checks already draw a Dataset's random
        # augmentation.
        with each_once(), undone_on_error(self, goes_on=goes_on), self.fit_session(seed):
            self.temperature_ = 1.0
            data = self.prepare_fit(X, y, sample_weight=sample_weight, groups=groups, seed=seed, **metadata)
            self._fit_data(data, seed)
        return self

    def _fit_as_teacher(self, data: FitData) -> None:
        """Fit on data that were prepared for another network."""
        self.check_parameters()
        self._schema = data.schema
        seed = data.seed if self.random_state is None else draw_seed(self.random_state)
        self._fit_data(data, seed)

    def _fit_data(self, data: FitData, seed: int) -> None:
        """Train on prepared data; a subclass turns labels into targets first."""
        self.run_training(data.train.samples, data.valid, seed)

    def _partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None, sample_weight: Any, epochs: int | None
    ) -> Self:
        """Train on more samples, without a hold-out, from where the network is."""
        self.check_training_readiness()
        self.check_parameters()
        check_epochs(epochs)
        goes_on = self.initialized_
        known = self._known_classes(classes)
        seed = draw_seed(self.random_state)
        with each_once(), undone_on_error(self, goes_on=goes_on), self.fit_session(seed):
            first = not self._knows_classes()
            samples, schema = self._check_samples(X, y, sample_weight, classes=known, reset=first)
            self._schema = schema
            train = Part(samples, X, np.arange(len(samples)))
            self._partial_fit_data(FitData(train, None, schema, seed, epochs=epochs))
        return self

    def _partial_fit_data(self, data: FitData) -> None:
        """Train on prepared data without a hold-out; a subclass turns labels into targets first."""
        self.run_training(data.train.samples, None, data.seed, epochs=data.epochs)

    def _partial_fit_as_teacher(self, data: FitData) -> None:
        """Train on, on data that were prepared for another network's partial_fit."""
        self._schema = data.schema
        with self._on_device():
            self._partial_fit_data(data)

    def _known_classes(self, classes: ArrayLike | None) -> NDArray[Any]:
        """Return the classes of a partial_fit: those of the first call."""
        if not self._knows_classes():
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return check_classes(check_given_classes(classes))
        if classes is None:
            return self.classes_
        given = check_given_classes(classes)
        if not np.array_equal(given, self.classes_):
            raise ValueError(
                f"classes is {given.tolist()}, but the previous call to fit or partial_fit knew "
                f"{self.classes_.tolist()}."
            )
        return self.classes_

    def prepare_fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
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
        seed : int
            Shuffles the split.

        Returns
        -------
        FitData
            The training part and the hold-out.
        """
        known = self.classes_ if self.initialized_ and self._knows_classes() else None
        samples, self._schema = self._check_samples(X, y, sample_weight, classes=known, reset=known is None)
        if self.module in (None, MLP):
            advise_on_scale(samples.X)
        return split_samples(
            samples,
            X,
            train_split=self.train_split,
            schema=self._schema,
            groups=groups,
            seed=seed,
            check_valid=lambda X, y: self._check_samples(X, y, classes=self.classes_, reset=False)[0],
        )

    def _check_samples(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        classes: NDArray[Any] | None,
        reset: bool,
    ) -> tuple[SampleSet, InputSchema]:
        """Return checked samples and their schema; `classes=None` takes the classes from y."""
        data = self._check_inputs(X, reset=reset)
        labels = check_labels(dataset_labels(X) if y is None and is_dataset(X) else y, len(data))
        self_classes = check_classes(labels) if classes is None else classes
        y_encoded = torch.from_numpy(encode(labels, self_classes))
        samples = SampleSet(data, y_encoded, weight=check_weight(sample_weight, len(data)))
        self.classes_inferred_ = self_classes
        return samples, self._schema

    def _check_inputs(self, X: Any, *, reset: bool) -> Any:
        """Return X as a tensor, or a Dataset as it is; learn its features, or compare them."""
        if is_dataset(X):
            if reset and (shape := check_dataset(X)):
                self._sample_shape, self.n_features_in_ = shape, shape[0]
            return X
        tensor = check_features(self, X, self.dtype, reset=reset)
        shape = tuple(tensor.shape[1:])
        if reset:
            self._sample_shape = shape
        elif self._sample_shape not in (None, shape):
            raise ValueError(
                f"X has rows of shape {shape}, but {type(self).__name__} was fitted on rows of shape "
                f"{self._sample_shape}."
            )
        return tensor

    @contextmanager
    def training(self, seed: int) -> Iterator[TrainingState]:
        """Build the network unless it is built, and hold what exists only while it is trained.

        Parameters
        ----------
        seed : int
            Of the initial weights, dropout and the order of the samples.

        Yields
        ------
        TrainingState
            Dropped at the end of the block.
        """
        with self.fit_session(seed):
            if not self.initialized_:
                self.initialize()
            # A training that goes on has another order than the one before.
            order = torch.Generator().manual_seed(seed + len(self.history))
            state = TrainingState(self._device(), order, self._has_hook("on_grad_computed"))
            self._training_state = state
            try:
                yield state
            finally:
                del self._training_state

    def run_training(
        self, samples: SampleSet, valid: Part | None, seed: int, *, epochs: int | None = None
    ) -> None:
        """Train on samples, go back to the best epoch, find the temperature.

        A built network is trained on (warm start, partial_fit).

        Parameters
        ----------
        samples : SampleSet
            With the targets to train on.
        valid : Part or None
            The hold-out; without it the last epoch counts and the temperature stays.
        seed : int
            Of the initial weights, dropout and the order of the samples.
        epochs : int, default=None
            Passes over the samples; None is `max_epochs`.
        """
        with self.training(seed) as state:
            check_monitors(self.callbacks_, has_hold_out=valid is not None)
            y = self.classes_[samples.y_encoded.numpy()]
            train = self.place_samples(samples, "iterator_train", state)
            state.held_out = (
                None if valid is None else self.place_samples(valid.samples, "iterator_valid", state)
            )
            state.may_rebuild = True
            self.notify("on_train_begin", X=train.X, y=y)
            state.may_rebuild = False
            if valid is not None:
                self.temperature_ = 1.0  # a callback may have loaded one, with the network
            self.fit_loop(train, state.held_out, epochs=epochs)
            found = self.temperature_ = self._current_temperature()
            self.notify("on_train_end", X=train.X, y=y)
            if self._has_hook("on_train_end") and self.temperature_ == found:
                # The hook may have gone back to other weights, without their temperature.
                self.temperature_ = self._current_temperature()

    def place_samples(self, samples: SampleSet, loader: str, state: TrainingState) -> SampleSet:
        """Return the samples where their loader takes them: a DataLoader's workers need the CPU.

        Parameters
        ----------
        samples : SampleSet
            Of the training part or the hold-out.
        loader : {"iterator_train", "iterator_valid"}
            Which loader.
        state : TrainingState
            Knows the device.

        Returns
        -------
        SampleSet
            On the device, or on the CPU.
        """
        return state.place(samples, self.dtype, as_a_whole=self._slices_tensors(loader))

    def load_result(self, result: FitResult, data: FitData) -> None:
        """Become the fitted estimator that a training in a stack came to.

        Parameters
        ----------
        result : FitResult
            The best state and the losses.
        data : FitData
            What the stack was trained on.
        """
        with self.training(data.seed) as state:
            named = {**dict(self.module_.named_parameters()), **dict(self.module_.named_buffers())}
            with torch.no_grad():
                for name, value in result.state.items():
                    named[name].copy_(value)
            for epoch, train_loss in enumerate(result.train_loss):
                self.history.new_epoch()
                self.history.record("epoch", epoch + 1)
                self.history.record("train_loss", train_loss)
                if result.valid_loss:
                    self.history.record("valid_loss", result.valid_loss[epoch])
            if data.valid is not None:
                state.held_out = self.place_samples(data.valid.samples, "iterator_valid", state)
            self.temperature_ = self._current_temperature()

    def _current_temperature(self) -> float:
        state = self._training_state
        held_out = None if state is None else state.held_out
        if held_out is None or not self.temperature_scaling:
            return self.temperature_
        weight = None if held_out.weight is None else held_out.weight.cpu().numpy()
        y_encoded = held_out.y_encoded.cpu().numpy()
        with self.fit_session(0):  # a Dataset's random augmentation must not move the training's numbers
            return held_out_temperature(self._logits(held_out), y_encoded, weight)

    # --- the training loop -----------------------------------------------------------------------

    def fit_loop(
        self, X: SampleSet, y: SampleSet | None = None, epochs: int | None = None, **fit_params: Any
    ) -> Self:
        """Train on the samples X with the hold-out y, keep the best epoch.

        The loop of skorch, without its own split.
        """
        self.check_training_readiness()
        self._check_in_training("fit_loop")
        on_epoch = {
            "dataset_train": LabelledSamples(X, self.classes_),
            "dataset_valid": None if y is None else LabelledSamples(y, self.classes_),
        }
        batches = self.get_iterator(X, training=True)
        valid_batches = None if y is None else self.get_iterator(y, training=False)
        best = BestEpoch(self._torch_parts(), enabled=y is not None)
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

    def _check_in_training(self, method_name: str) -> None:
        if self._training_state is None:
            raise RuntimeError(
                f"{method_name} is a step of fit and partial_fit, and cannot be called alone: call "
                "partial_fit to train further, with max_epochs=1 for one epoch."
            )

    def _stopped_by_callback(self, on_epoch: dict[str, Any]) -> bool:
        """Tell callbacks that an epoch ended; return whether one, such as EarlyStopping, stops.

        A KeyboardInterrupt from anywhere else is the user's, and ends the fit with an error.
        """
        try:
            self.notify("on_epoch_end", **on_epoch)
        except KeyboardInterrupt:
            return True
        return False

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a hook of the net and of the callbacks, as skorch does.

        Every step calls ``on_grad_computed``, which costs time, so it is left out if there is no
        such hook.
        """
        state = self._training_state
        if method_name != "on_grad_computed" or state is None or state.has_gradient_hook:
            super().notify(method_name, **cb_kwargs)

    def _has_hook(self, method_name: str) -> bool:
        """Return whether the net or a callback has a hook of its own, by class or by instance."""
        stock = getattr(NeuralNetClassifier, method_name), getattr(Callback, method_name)
        owners = [self, *(callback for _, callback in self.callbacks_)]
        return any(_function(owner, method_name) not in stock for owner in owners)

    def _watches_batches(self) -> bool:
        """Return whether someone sees single batches, and so their records, while an epoch runs."""
        steps = ("train_step", "train_step_single", "validation_step")
        return (
            self._has_hook("on_batch_begin")
            or self._has_hook("on_batch_end")
            or any(_function(self, step) is not getattr(NeuralNetClassifier, step) for step in steps)
        )

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> float | None:
        """Run one epoch and record its batches; return the mean loss, weighted by samples.

        Losses stay on the device until the end of the epoch, unless someone watches the batches.
        With sample weights the recorded ``*_batch_size`` is the weight of a batch.
        """
        if iterator is None:
            return None
        self._check_in_training("run_single_epoch")
        self._switch_mode(training)
        is_watched = self._watches_batches()
        rows = self.history[-1]["batches"]
        first = len(rows)
        meter = Meter(prefix, with_accuracy=not training)
        for X, targets in iterator:
            n_rows = len(rows)
            if is_watched:
                batch = X, self.classes_[targets.y_encoded.cpu().numpy()]
                self.notify("on_batch_begin", batch=batch, training=training)
            if len(rows) == n_rows:
                rows.append({})  # also unwatched, so that a get_loss of the user's can count batches
            step = step_fn((X, targets), **fit_params)
            if training:
                self._after_training_step(step, is_first=not meter.values)
            meter.add(step, targets)
            if is_watched:
                rows[-1].update(meter.last())
                self.notify("on_batch_end", batch=batch, training=training, **step)
        records = meter.records()
        if not records:
            raise ValueError(
                f"There is no {prefix} batch: pass more rows, a smaller batch_size, or drop_last=False."
            )
        for row, record in zip(rows[first:], records, strict=False):
            row.update(record)
        self.history.record(f"{prefix}_batch_count", len(records))
        loss = weighted_mean(records, prefix)
        if not math.isfinite(loss):
            raise NonFiniteLossError.of(prefix, epoch=len(self.history), loss=loss, lr=self.lr)
        return loss

    def _after_training_step(self, step: dict[str, Any], *, is_first: bool) -> None:
        if is_first and len(self.history) <= 1:
            advise_on_probabilities(self._check_logits(step["y_pred"]))
        note_training_step()

    def _set_training(self, training: bool = True) -> None:
        # skorch walks the whole module in every batch; the roots' flags tell whether that is
        # needed.
        if any(part.training is not training for part in self._torch_parts().values()):
            self._switch_mode(training)

    def _switch_mode(self, training: bool) -> None:
        """Put every part into one mode, also what a module's __init__ or a callback has frozen.

        As in skorch: what shall stay in evaluation mode overrides the module's ``train``.
        """
        for part in self._torch_parts().values():
            part.train(training)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return the cross-entropy of logits against hard labels or soft targets, in nats.

        Parameters
        ----------
        y_pred : Tensor of shape (batch, n_classes) or tuple with it in the first place
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
        logits = self._check_logits(y_pred, len(y_true.y_encoded))
        target = self._loss_target(y_true, logits, X) if training else y_true.y_encoded
        target = target.to(logits.device)
        if y_true.weight is None:
            return nn.functional.cross_entropy(logits, target)
        losses = nn.functional.cross_entropy(logits, target, reduction="none")
        weight = y_true.weight.to(logits.device)
        total = weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
        loss: Tensor = (weight * losses).sum() / total
        return loss

    def _loss_target(self, targets: Targets, logits: Tensor, X: Any) -> Tensor:
        """Return what training compares the logits with: class indices or soft targets."""
        return targets.y_encoded if targets.soft is None else targets.soft

    def _check_logits(self, output: Any, n_rows: int | None = None) -> Tensor:
        return check_logits(output, len(self.classes_inferred_), n_rows)

    # --- prediction ------------------------------------------------------------------------------

    def _device(self) -> torch.device:
        """Return where the module is."""
        parameter = next(self.module_.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Return the module's output for a batch, which is moved to the module's device first."""
        state = self._training_state
        device = self._device() if state is None else state.device
        return self._infer_on(device, x, **fit_params)

    def _infer_on(self, device: torch.device, x: Any, **fit_params: Any) -> Any:
        moved = x.to(device, non_blocking=True) if isinstance(x, Tensor) else to_tensor(x, device=device)
        try:
            if isinstance(moved, dict):
                return self.module_(**moved, **fit_params)
            return self.module_(moved, **fit_params)
        except Exception as error:
            explain_module_error(error, self.module_, moved)
            raise

    def forward_iter(self, X: Any, training: bool = False, device: Any = "cpu") -> Iterator[Any]:
        """Yield the module's output batch by batch.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.
        training : bool, default=False
            Whether to run in training mode, with dropout and gradients.
        device : device, default="cpu"
            Where outputs go.

        Yields
        ------
        Tensor
        """
        self.check_is_fitted()
        samples = self.get_dataset(X if is_dataset(X) else self._check_inputs(X, reset=False))
        self._set_training(training)
        infer = self.infer
        if type(self).infer is CalibratedNet.infer:
            # Asking the module where it is takes a few percent of a small batch's time: ask once.
            infer = partial(self._infer_on, self._device())
        if not training:
            infer = partial(_infer_padded, infer)
        with torch.set_grad_enabled(training):
            for batch, targets in self.get_iterator(samples):
                output = infer(batch)
                check_rows(output, len(targets.y_encoded))
                yield to_device(output, device=device)

    def _batch_logits(self, batch: Any) -> Tensor:
        """Return raw logits of another network's batch, on the module's device."""
        if isinstance(batch, Tensor) and batch.is_floating_point():
            batch = batch.to(self._float_type or batch.dtype)
        self._set_training(False)
        with torch.no_grad():
            return self._check_logits(self.infer(batch))

    def _logits(self, X: Any) -> NDArray[np.floating]:
        """Return raw logits (n_samples, n_classes), in the module's float type."""
        outputs = [self._check_logits(output) for output in self.forward_iter(X)]
        logits = torch.cat(outputs).detach().cpu().numpy()
        check_finite(logits)
        return logits

    def _checked_logits(self, X: Any) -> NDArray[np.floating]:
        self._check_can_predict()
        return self._logits(self.get_dataset(self._check_inputs(X, reset=False)))

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        r"""Return calibrated class probabilities.

        .. math:: p = \mathrm{softmax}(z / T)

        with the network's logits z and T = `temperature_`.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Float64, columns in the order of `classes_`; rows sum to 1.
        """
        return softmax(self._checked_logits(X), self.temperature_)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return logarithms of the calibrated class probabilities, also where those underflow.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Float64, in nats, at most 0; columns in the order of `classes_`.
        """
        return log_softmax(self._checked_logits(X), self.temperature_)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return log-probabilities in nats, or log-odds of the second class if there are two.

        They keep their precision where probabilities saturate at 0 or 1, and scikit-learn's
        calibrators (CalibratedClassifierCV) work on them.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Float64, columns in the order of `classes_`.
        """
        logits = self._checked_logits(X)
        if logits.shape[1] == 2:
            return (logits[:, 1].astype(np.float64) - logits[:, 0]) / self.temperature_
        return log_softmax(logits, self.temperature_)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, the share of samples whose most probable class is the true one.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.
        y : array-like of shape (n_samples,), default=None
            True labels; None for a Dataset that has them.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        float
            Between 0 and 1 (best).
        """
        y = dataset_labels(X) if y is None and is_dataset(X) else y
        return float(super().score(X, y, sample_weight=sample_weight))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        winners = self._checked_logits(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[winners]
        return labels


def _check_sizes(module: Any, given: dict[str, Any]) -> None:
    """Raise if a module's __init__ requires what only data could tell."""
    parameters = inspect.signature(module).parameters.values()
    required = [
        p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    missing = [name for name in required if name not in given]
    if missing:
        raise ValueError(
            f"To build {getattr(module, '__name__', module)} before fit, pass "
            f"{', '.join(f'module__{name}=...' for name in missing)}. Or call fit, which knows the sizes of "
            "the data, or load_params with a file of save_params, which holds them."
        )


def _infer_padded(infer: Callable[[Any], Any], batch: Any) -> Any:
    """Return the output for a batch; few samples of a table are padded to a block.

    Below some ten rows float32 products take other kernels: a sample's logits would differ by
    round-off with the samples that it is predicted together with.
    """
    if not isinstance(batch, Tensor) or batch.ndim != 2 or len(batch) >= _MIN_BLOCK:
        return infer(batch)
    output = infer(torch.cat([batch, batch[:1].expand(_MIN_BLOCK - len(batch), -1)]))
    check_rows(output, _MIN_BLOCK)
    if not isinstance(output, tuple):
        return output[: len(batch)]
    # What has other than a row for each sample, such as the mean of a penalty, stays as it is.
    return tuple(
        part[: len(batch)] if isinstance(part, Tensor) and part.shape[:1] == (_MIN_BLOCK,) else part
        for part in output
    )


def _function(owner: Any, method_name: str) -> Any:
    """Return the function behind a method, also of one that was set on an instance."""
    method = getattr(owner, method_name, None)
    return getattr(method, "__func__", method)
