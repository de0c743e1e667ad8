"""The base of both classifiers: the protocol of a fit, and the training loop.

What a network is trained on is the subclasses' business.
"""

from __future__ import annotations  # help() shows types by their names

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.hf import AccelerateMixin
from torch import Tensor, nn

from sk_ils._net.advice import advise_on_probabilities, each_once
from sk_ils._net.checkpoint import Checkpoint, KeptTraining, check_checkpoint
from sk_ils._net.distributed import (
    agreed,
    any_process,
    check_accelerator,
    check_same_data,
    is_first,
    mean_of_processes,
    spread_buffers,
    wrap,
)
from sk_ils._net.fit_data import (
    FitData,
    HeldOut,
    InputSchema,
    Part,
    held_out_from_outside,
    split_samples,
)
from sk_ils._net.inputs import (
    check_classes,
    check_epochs,
    check_given_classes,
    check_labels,
    check_weight,
    dataset_labels,
    encode,
    is_dataset,
    name_item_not_finite,
)
from sk_ils._net.predicting_net import PredictingNet
from sk_ils._net.progress import EpochBar, QuietPrintLog
from sk_ils._net.report import FitReport
from sk_ils._net.rollback import note_training_step, undone_on_error
from sk_ils._net.training import (
    BestEpoch,
    FitResult,
    LabelledSamples,
    Meter,
    NonFiniteLossError,
    TrainingState,
    check_has_gradient,
    check_monitors,
    explain_unknown_monitor,
    held_out_temperature,
    weighted_mean,
)
from sk_ils._samples import SampleSet, Targets
from sk_ils._sklearn_compat import NO_TASK, CallbackSupportMixin, FitTask, with_callbacks


class CalibratedNet(CallbackSupportMixin, PredictingNet):
    """Base class; see :class:`sk_ils.TeacherClassifier` for the parameters.

    The protocol of a fit, which the search follows, too: `check_parameters`, then inside
    `fit_session` `prepare_fit` and, in subclasses, what turns the data into targets; then
    `run_training`, or `training` around a loop of one's own and `load_result`.
    """

    # --- the protocol of a fit -------------------------------------------------------------------

    def check_parameters(self) -> None:
        """Raise if a parameter is outside its range, before any work is done."""
        super().check_parameters()
        check_accelerator(self)

    @with_callbacks
    def _fit(self, X: Any, y: Any, *, sample_weight: Any, groups: Any, **metadata: Any) -> Self:
        """Check, split, and train; `metadata` is what a subclass's `prepare_fit` takes besides."""
        self.check_training_readiness()
        self.check_parameters()
        check_checkpoint(self)
        # Before the attributes are noted that an error restores: callbacks are torn down by them.
        task = FitTask.root(self, self._n_subtasks(**metadata), lambda: (X, y, sample_weight))
        goes_on = self.warm_start and self.initialized_
        seed = self.draw_seed()
        # The seed counts from here on, since the checks already draw a Dataset's random
        # augmentation.
        with each_once(), undone_on_error(self, goes_on=goes_on), self.fit_session(seed):
            self.temperature_ = 1.0
            data = self.prepare_fit(X, y, sample_weight=sample_weight, groups=groups, seed=seed, **metadata)
            self._fit_data(data, seed, task)
            task.end(self._own_history)
        return self

    @with_callbacks
    def _fit_as_teacher(self, data: FitData) -> None:
        """Fit on data that were prepared for another network."""
        self.check_parameters()
        check_checkpoint(self, seed=data.seed)
        self._schema = data.schema
        seed = data.seed if self.random_state is None else self.draw_seed()
        task = FitTask.root(self, self._n_subtasks(), data.training_part)
        self._fit_data(data, seed, task)
        task.end(self._own_history)

    def _own_history(self) -> dict[str, Any]:
        """Return what a copy for a callback must not share, because it goes on growing."""
        return {"history_": copy.copy(self.history)}

    def _n_subtasks(self, **metadata: Any) -> int:
        """Return how many parts of a fit scikit-learn's callbacks see: its epochs."""
        return int(self.max_epochs)

    def _fit_data(self, data: FitData, seed: int, task: FitTask) -> None:
        """Train on prepared data; a subclass turns labels into targets first."""
        self.run_training(data.train.samples, data.valid, seed, task=task.with_data(data.training_part))

    def _partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None, sample_weight: Any, epochs: int | None
    ) -> Self:
        """Train on more samples, without a hold-out, from where the network is."""
        self.check_training_readiness()
        self.check_parameters()
        if self.checkpoint is not None:
            raise ValueError(
                "checkpoint= keeps what fit trains; partial_fit goes on from where the network is. Pass "
                "checkpoint=None, and keep the estimator itself between calls, by save or pickle."
            )
        check_epochs(epochs)
        goes_on = self.initialized_
        known = self._known_classes(classes)
        seed = self.draw_seed()
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
        held_out : HeldOut, default=None
            Samples to hold out in the place of what `train_split` says; X is the training part.
        seed : int
            Shuffles the split.

        Returns
        -------
        FitData
            The training part and the hold-out.
        """
        known = self.classes_ if self.initialized_ and self._knows_classes() else None
        classes = known if held_out is None else held_out.classes
        samples, self._schema = self._check_samples(X, y, sample_weight, classes=classes, reset=known is None)
        if held_out is not None:
            valid, _ = self._check_samples(
                held_out.X, held_out.y, held_out.sample_weight, classes=held_out.classes, reset=False
            )
            return held_out_from_outside(
                samples, X, valid, held_out, schema=self._schema, groups=groups, seed=seed
            )
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
            elif self._has_old_callbacks:
                self._initialize_callbacks()
            wrap(self)
            # A training that goes on has another order than the one before.
            order = torch.Generator().manual_seed(seed + len(self.history))
            state = TrainingState(self._device(), order, self._has_hook("on_grad_computed"))
            self._training_state = state
            try:
                yield state
            finally:
                del self._training_state

    def run_training(
        self,
        samples: SampleSet,
        valid: Part | None,
        seed: int,
        *,
        epochs: int | None = None,
        task: FitTask = NO_TASK,
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
        task : FitTask, default=NO_TASK
            Has the epochs as its parts.
        """
        check_same_data(self, samples, None if valid is None else valid.samples)
        start = time.perf_counter()
        with self.training(seed) as state:
            state.task = task
            state.best_epoch = getattr(self, "best_epoch_", None)  # unless there are more epochs
            self._forget_fit()
            check_monitors(self.callbacks_, has_hold_out=valid is not None)
            is_heard = self._has_hook("on_train_begin") or self._has_hook("on_train_end")
            y = self.classes_[samples.y_encoded.numpy()] if is_heard else None
            train = self.place_samples(samples, "iterator_train", state)
            state.held_out = (
                None if valid is None else self.place_samples(valid.samples, "iterator_valid", state)
            )
            if epochs is None:
                held_out = None if valid is None else valid.samples
                state.checkpoint = Checkpoint.of(
                    self, seed, samples, held_out, state.device.type, self._online_teacher()
                )
            state.may_rebuild = True
            X = train.X
            self.notify("on_train_begin", X=X, y=y)
            state.may_rebuild = False
            self.adapt_module(samples)
            if valid is not None:
                self.temperature_ = 1.0  # a callback may have loaded one, with the network
            self.fit_loop(train, state.held_out, epochs=epochs)
            n_train = len(samples)
            del samples, train  # the temperature needs memory, and the targets have done their work
            found = self.temperature_ = agreed(self, self._current_temperature())
            seconds = time.perf_counter() - start
            self._report_fit(n_train, valid, state.best_epoch, seconds)
            self.notify("on_train_end", X=X, y=y)
            if self._has_hook("on_train_end"):
                if self.temperature_ == found:
                    # The hook may have gone back to other weights, without their temperature.
                    self.temperature_ = agreed(self, self._current_temperature())
                self._report_fit(n_train, valid, state.best_epoch, seconds)

    def _report_fit(
        self, n_train: int, valid: Part | None, best_epoch: int | None, seconds: float | None
    ) -> None:
        """Note what there is to say of a fit that is complete."""
        self.n_iter_ = len(self.history)
        self.best_epoch_ = self.n_iter_ if best_epoch is None else best_epoch
        self.fit_report_ = FitReport(
            n_train=n_train,
            n_held_out=0 if valid is None else len(valid),
            n_iter=self.n_iter_,
            best_epoch=self.best_epoch_,
            temperature=self.temperature_,
            fit_time=seconds,
            **self._teacher_report(),
        )

    def _teacher_report(self) -> dict[str, Any]:
        """Return what a report says of the teacher, if there is one."""
        return {}

    def _online_teacher(self) -> Any:
        """Return what the targets of each batch depend on besides the data; None if nothing."""
        return None

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
            self._is_adapted = True  # by the stack, whose buffers these are
            for epoch, train_loss in enumerate(result.train_loss):
                self.history.new_epoch()
                self.history.record("epoch", epoch + 1)
                self.history.record("train_loss", train_loss)
                if result.valid_loss:
                    self.history.record("valid_loss", result.valid_loss[epoch])
            if data.valid is not None:
                state.held_out = self.place_samples(data.valid.samples, "iterator_valid", state)
            self.temperature_ = self._current_temperature()
            self._report_fit(len(data.train), data.valid, result.best_epoch, None)

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
        state = self._check_in_training("fit_loop")
        on_epoch = {
            "dataset_train": LabelledSamples(X, self.classes_),
            "dataset_valid": None if y is None else LabelledSamples(y, self.classes_),
        }
        batches = self._shared_out(X, training=True)
        valid_batches = None if y is None else self._shared_out(y)
        best = BestEpoch(self._torch_parts(), enabled=y is not None)
        n_before, n_epochs = len(self.history), self.max_epochs if epochs is None else epochs
        kept = KeptTraining(self, best, state)
        kept.resume()
        with EpochBar(self.network_name, n_epochs, self.verbose if is_first(self) else 0) as bar:
            for _ in range(kept.n_done, n_epochs):
                if kept.is_over or best.age_exceeds(self.patience):
                    break
                task = state.task.subtask("epoch")
                self.notify("on_epoch_begin", **on_epoch)
                with self.step_threads(len(X), training=True):
                    train_loss = self.run_single_epoch(
                        batches, training=True, prefix="train", step_fn=self.train_step
                    )
                spread_buffers(self, self._torch_parts().values())
                with self.step_threads(0 if y is None else len(y), training=False):
                    loss = self.run_single_epoch(
                        valid_batches, training=False, prefix="valid", step_fn=self.validation_step
                    )
                best.update(loss)
                state.best_epoch = n_before + best.epoch
                bar.update(train_loss, loss, state.best_epoch)
                stops = self._stopped_by_callback(on_epoch)
                if task.end(self._own_history) or stops:
                    break
                kept.end_epoch()
            bar.finish()
        if not kept.is_over:
            best.restore()
            kept.finish()
        return self

    def _check_in_training(self, method_name: str) -> TrainingState:
        if self._training_state is None:
            raise RuntimeError(
                f"{method_name} is a step of fit and partial_fit, and cannot be called alone: call "
                "partial_fit to train further, with max_epochs=1 for one epoch."
            )
        return self._training_state

    def _stopped_by_callback(self, on_epoch: dict[str, Any]) -> bool:
        """Tell callbacks that an epoch ended; return whether one, such as EarlyStopping, stops.

        One that stops in one of several processes stops all. A KeyboardInterrupt from anywhere else
        is the user's, and ends the fit with an error.
        """
        stops = False
        try:
            self.notify("on_epoch_end", **on_epoch)
        except KeyboardInterrupt:
            stops = True
        except KeyError as error:
            explain_unknown_monitor(error, self.callbacks_, self.history[-1])
            raise
        return any_process(self, stops)

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
        # Our table of epochs asks nothing of what a hook is given, which may be costly to make.
        callbacks = [callback for _, callback in self.callbacks_ if type(callback) is not QuietPrintLog]
        owners = [self, *callbacks]
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
                self._after_training_step(X, step, is_first=not meter.values)
            meter.add(step, targets)
            if is_watched:
                rows[-1].update(meter.last())
                self.notify("on_batch_end", batch=batch, training=training, **step)
        records = meter.records(partial(mean_of_processes, self))
        if not records:
            raise ValueError(
                f"There is no {prefix} batch: pass more rows, a smaller batch_size, or drop_last=False."
            )
        for row, record in zip(rows[first:], records, strict=False):
            row.update(record)
        self.history.record(f"{prefix}_batch_count", len(records))
        loss = weighted_mean(records, prefix)
        if not math.isfinite(loss):
            cause = name_item_not_finite(getattr(getattr(iterator, "dataset", None), "X", None))
            raise NonFiniteLossError.of(prefix, epoch=len(self.history), loss=loss, lr=self.lr, cause=cause)
        return loss

    def _after_training_step(self, X: Any, step: dict[str, Any], *, is_first: bool) -> None:
        if is_first and len(self.history) <= 1:
            advise_on_probabilities(self._check_logits(step["y_pred"]))
        note_training_step()

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
            Scalar: sum of weight * loss over sum of weights, that of the whole batch if this is one
            process's share of it.
        """
        logits = self._check_logits(y_pred, len(y_true.y_encoded))
        target = y_true.y_encoded
        if training:
            check_has_gradient(logits)
            target = self._loss_target(y_true, logits, X)
        target = target.to(logits.device)
        if y_true.weight is None:
            return nn.functional.cross_entropy(logits, target)
        losses = nn.functional.cross_entropy(logits, target, reduction="none")
        weight = y_true.weight.to(logits.device)
        total = weight.sum() if y_true.whole is None else y_true.whole.weight.to(logits.device)
        loss: Tensor = (weight * losses).sum() / total.clamp_min(torch.finfo(weight.dtype).tiny)
        return loss

    def _loss_target(self, targets: Targets, logits: Tensor, X: Any) -> Tensor:
        """Return what training compares the logits with: class indices or soft targets."""
        return targets.y_encoded if targets.soft is None else targets.soft


def _function(owner: Any, method_name: str) -> Any:
    """Return the function behind a method, also of one that was set on an instance."""
    method = getattr(owner, method_name, None)
    function = getattr(method, "__func__", method)
    if function is not None and function is vars(AccelerateMixin).get(method_name):
        # What the mixin stands before decides: it adds nothing that someone listens to.
        return getattr(super(AccelerateMixin, owner), method_name).__func__
    return function
