"""Candidates trained as one stack: each keeps its own best epoch and patience."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_ils._net.fit_data import FitData
from sk_ils._net.inputs import name_item_not_finite
from sk_ils._net.training import FitResult, NonFiniteLossError
from sk_ils._search.stack import Stack
from sk_ils.batches import SampleSet
from sk_ils.classifiers import InstanceSmoothedClassifier


class Progress:
    """Counts work on a bar, never more than it stands for.

    Parameters
    ----------
    update : callable
        Gets what was done since the last call.
    total : float
        All the work, in the unit of the bar.
    """

    def __init__(self, update: Callable[[float], object], total: float) -> None:
        self.update = update
        self.total = self.left = total

    def advance(self, share: float) -> None:
        """Count a share of the whole work as done; 1 finishes it."""
        done = min(share * self.total, self.left)
        self.left -= done
        self.update(done)

    def split(self, sizes: list[int]) -> list["Progress"]:
        """Return progresses that share what is left, in proportion to some sizes."""
        return [Progress(self.update, self.left * size / sum(sizes)) for size in sizes]


@dataclass
class Candidate:
    """One candidate on one fold, on its way from parameters to a fitted classifier, or to an error.

    Parameters
    ----------
    index : int
        Its place among all candidates of the search.
    params : dict
        ``smoothing`` and ``smoothing__...``.
    net : InstanceSmoothedClassifier or None
        Its classifier, once it is built.
    result : FitResult or None
        What its training in a stack came to.
    error : Exception or None
        Why it has failed, at whatever step.
    """

    index: int
    params: dict[str, Any]
    net: InstanceSmoothedClassifier | None = None
    result: FitResult | None = None
    error: Exception | None = None

    def release(self) -> None:
        """Let go of what takes memory."""
        self.net = self.result = None


class StackedTargets:
    """The training samples with the targets of several candidates, (sample, slot, class).

    The targets of each are copied when they are added, so that no second copy of all exists.

    Parameters
    ----------
    samples : SampleSet
        With hard labels.
    size : int
        Largest number of candidates.
    n_classes : int
    """

    def __init__(self, samples: SampleSet, size: int, n_classes: int) -> None:
        self.samples = samples
        self.shape = len(samples), size, n_classes
        self.n_added = 0
        # Exists from the first soft targets on.
        self.soft: Tensor | None = None

    def add(self, soft: Tensor | None) -> None:
        """Add a candidate's targets; None are hard labels."""
        if self.soft is None and soft is not None:
            self.soft = torch.zeros(self.shape, dtype=soft.dtype)
            for slot in range(self.n_added):
                self._set_hard(self.soft, slot)
        if self.soft is not None:
            if soft is None:
                self._set_hard(self.soft, self.n_added)
            else:
                self.soft[:, self.n_added] = soft
        self.n_added += 1

    def _set_hard(self, stacked: Tensor, slot: int) -> None:
        stacked[:, slot].scatter_(1, self.samples.y_encoded[:, None], 1.0)

    def sample_set(self) -> SampleSet:
        """Return the samples with the targets that were added."""
        return self.samples.with_soft(None if self.soft is None else self.soft[:, : self.n_added])


def train_stacked(
    net: InstanceSmoothedClassifier,
    candidates: list[Candidate],
    samples: SampleSet,
    data: FitData,
    progress: Progress,
) -> None:
    """Train candidates as one stack; each gets its `result`, or its `error`.

    Parameters
    ----------
    net : InstanceSmoothedClassifier
        The candidates without their smoothing: its network, optimizer and sample order are used.
    candidates : list of Candidate
        With a classifier of their own, and without an error.
    samples : SampleSet
        The training samples with all candidates' targets, (sample, slot, class), or with hard
        labels.
    data : FitData
    progress : Progress
    """
    with net.training(data.seed) as state:
        net.initialize()  # every stack starts with the random numbers that a fit alone starts with
        net.adapt_module(samples)
        samples = net.place_samples(samples, "iterator_train", state)
        valid = None
        if data.valid is not None:
            valid = net.place_samples(data.valid.samples, "iterator_valid", state)
        stack = Stack(net, len(candidates), state.device)
        stopping = _EarlyStopping(
            stack, candidates, {"train": samples.X, "valid": None if valid is None else valid.X}
        )
        _run(stack, stopping, candidates, samples, valid, progress)


def _run(
    stack: Stack,
    stopping: "_EarlyStopping",
    candidates: list[Candidate],
    samples: SampleSet,
    valid: SampleSet | None,
    progress: Progress,
) -> None:
    """Train until every candidate has stopped."""
    net = stack.net
    nets = [candidate.net for candidate in candidates if candidate.net is not None]
    batches = net.get_iterator(samples, training=True)
    for _ in range(net.max_epochs):
        n, skeleton = len(stack.members), stack.skeleton
        with net.step_threads(len(samples), training=True, n_networks=n, module=skeleton):
            train_loss = stack.train_epoch(batches, nets)
        valid_loss = None
        if valid is not None:
            with net.step_threads(len(valid), training=False, n_networks=n):
                valid_loss = stack.valid_epoch(net.get_iterator(valid, training=False))
        stopping.add(train_loss, valid_loss)
        progress.advance(1 / net.max_epochs)
        if stopping.n_running() == 0:
            break
        if stopping.n_running() <= len(stack.members) // 2:
            # The best states of those that have stopped are on record: go on with the others alone.
            slots = stopping.running_slots()
            stack.keep(slots)
            nets = [nets[slot] for slot in slots]
            samples = samples if samples.soft is None else samples.with_soft(samples.soft[:, slots])
            batches = net.get_iterator(samples, training=True)
    stopping.finish()


class _EarlyStopping:
    """The losses and the best state so far of every candidate, and which of them are still running.

    Arrays and lists are over all candidates of the stack as it began; a slot is a place in the
    stack as it is now, and ``stack.members[slot]`` says which candidate is there.
    """

    def __init__(self, stack: Stack, candidates: list[Candidate], inputs: dict[str, Any]) -> None:
        self.stack = stack
        self.candidates = candidates
        self.inputs = inputs
        self.causes: dict[str, str] = {}  # of a loss that is not finite, looked for once
        self.patience, self.lr = stack.net.patience, stack.net.lr
        n = len(candidates)
        self.best = {name: value.clone() for name, value in stack.state().items()}
        self.best_loss = np.full(n, math.inf)
        self.age = np.zeros(n, dtype=int)  # epochs since the best one
        self.running = np.ones(n, dtype=bool)
        self.train_loss: list[list[float]] = [[] for _ in range(n)]
        self.valid_loss: list[list[float]] = [[] for _ in range(n)]

    def add(self, train_loss: NDArray[np.float64], valid_loss: NDArray[np.float64] | None) -> None:
        """Note an epoch's losses of the candidates in the stack; keep the best states."""
        improved = []
        for slot, member in enumerate(self.stack.members):
            if not self.running[member]:
                continue
            self._note(member, "train", train_loss[slot], self.train_loss)
            if valid_loss is None:
                continue
            if self.running[member]:
                self._note(member, "valid", valid_loss[slot], self.valid_loss)
            self.age[member] += 1
            if valid_loss[slot] < self.best_loss[member]:
                self.best_loss[member], self.age[member] = valid_loss[slot], 0
                improved.append(slot)
            if self.patience is not None and self.age[member] >= self.patience:
                self.running[member] = False
        if improved:
            self._keep_states(improved)

    def _note(self, member: int, prefix: str, loss: float, losses: list[list[float]]) -> None:
        losses[member].append(float(loss))
        if not math.isfinite(loss):
            self.running[member] = False
            epoch = len(self.train_loss[member])
            if prefix not in self.causes:
                self.causes[prefix] = name_item_not_finite(self.inputs[prefix])
            self.candidates[member].error = NonFiniteLossError.of(
                prefix, epoch=epoch, loss=float(loss), lr=self.lr, cause=self.causes[prefix]
            )

    def _keep_states(self, slots: list[int]) -> None:
        members = [self.stack.members[slot] for slot in slots]
        for name, value in self.stack.state().items():
            self.best[name][members] = value[slots]

    def n_running(self) -> int:
        return int(self.running.sum())

    def running_slots(self) -> list[int]:
        return [slot for slot, member in enumerate(self.stack.members) if self.running[member]]

    def finish(self) -> None:
        """Give every candidate its result."""
        if not any(self.valid_loss):  # without a hold-out the last epoch counts
            self._keep_states(self.running_slots())
        for member, candidate in enumerate(self.candidates):
            state = {name: value[member] for name, value in self.best.items()}
            candidate.result = FitResult(state, self.train_loss[member], self.valid_loss[member])
