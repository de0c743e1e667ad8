"""Candidates trained as one stack: each keeps its own best epoch and patience."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_ils._net.checkpoint import Checkpoint, random_states, set_random_states
from sk_ils._net.fit_data import FitData
from sk_ils._net.inputs import name_item_not_finite
from sk_ils._net.training import FitResult, NonFiniteLossError, TrainingState
from sk_ils._samples import SampleSet
from sk_ils._search.stack import Stack
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
    params = [candidate.params for candidate in candidates]
    valid_samples = None if data.valid is None else data.valid.samples
    checkpoint = Checkpoint.of(net, "stack", data.seed, params, samples, valid_samples)
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
        kept = _KeptStack(state, checkpoint, stack, stopping)
        kept.resume()
        if not kept.is_over:
            _run(stack, stopping, candidates, samples, valid, progress, kept)
            stopping.keep_last()
            kept.finish()
        stopping.give_results()


def _run(
    stack: Stack,
    stopping: "_EarlyStopping",
    candidates: list[Candidate],
    samples: SampleSet,
    valid: SampleSet | None,
    progress: Progress,
    kept: "_KeptStack",
) -> None:
    """Train until every candidate has stopped."""
    net = stack.net
    nets = [candidate.net for candidate in candidates if candidate.net is not None]
    n_all = samples.soft.shape[1] if samples.soft is not None else len(candidates)
    if len(stack.members) < n_all:  # an earlier process has let some of them stop
        samples, nets = _of_members(samples, nets, stack.members)
    batches = net.get_iterator(samples, training=True)
    for _ in range(kept.n_done, net.max_epochs):
        if stopping.n_running() == 0:
            break
        n, skeleton = len(stack.members), stack.skeleton
        with net.step_threads(len(samples), training=True, n_networks=n, module=skeleton):
            train_loss = stack.train_epoch(batches, nets)
        valid_loss = None
        if valid is not None:
            with net.step_threads(len(valid), training=False, n_networks=n):
                valid_loss = stack.valid_epoch(net.get_iterator(valid, training=False))
        stopping.add(train_loss, valid_loss)
        progress.advance(1 / net.max_epochs)
        if 0 < stopping.n_running() <= len(stack.members) // 2:
            # The best states of those that have stopped are on record: go on with the others alone.
            slots = stopping.running_slots()
            stack.keep(slots)
            samples, nets = _of_members(samples, nets, slots)
            batches = net.get_iterator(samples, training=True)
        kept.end_epoch()


def _of_members(samples: SampleSet, nets: list[Any], slots: list[int]) -> tuple[SampleSet, list[Any]]:
    """Return the samples with the targets of some slots, and their estimators."""
    soft = None if samples.soft is None else samples.soft[:, slots]
    return samples.with_soft(soft), [nets[slot] for slot in slots]


class _KeptStack:
    """How far a stack has got, kept in its checkpoint if it has one."""

    def __init__(
        self,
        state: TrainingState,
        checkpoint: Checkpoint | None,
        stack: Stack,
        stopping: "_EarlyStopping",
    ) -> None:
        self.state = state
        self.checkpoint = checkpoint
        self.stack = stack
        self.stopping = stopping
        self.n_done = 0
        self.is_over = False

    def resume(self) -> None:
        """Go to where an earlier process was."""
        kept = None if self.checkpoint is None else self.checkpoint.load()
        if kept is None:
            return
        self.n_done, self.is_over = kept["n_done"], kept["is_over"]
        self.stopping.set_state(kept["stopping"])
        if self.is_over:
            return
        if len(kept["members"]) < len(self.stack.members):
            self.stack.keep(kept["members"])
        with torch.no_grad():
            for name, value in self.stack.state().items():
                value.copy_(kept["stack"][name])
        self.stack.optimizer.load_state_dict(kept["optimizer"])
        set_random_states(kept["random_states"], self.state.device, self.state.order)

    def end_epoch(self) -> None:
        """Keep where the stack is, if it is time."""
        self.n_done += 1
        if self.checkpoint is not None:
            self.checkpoint.save_if_due(self._now)

    def finish(self) -> None:
        """Keep what the training came to."""
        if self.checkpoint is not None:
            self.checkpoint.save({**self._result(), "is_over": True})

    def _result(self) -> dict[str, Any]:
        return {"n_done": self.n_done, "stopping": self.stopping.get_state()}

    def _now(self) -> dict[str, Any]:
        return {
            **self._result(),
            "is_over": False,
            "members": self.stack.members,
            "stack": self.stack.state(),
            "optimizer": self.stack.optimizer.state_dict(),
            "random_states": random_states(self.state.device, self.state.order),
        }


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
            self._fail(member, prefix, loss)

    def _fail(self, member: int, prefix: str, loss: float) -> None:
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

    def keep_last(self) -> None:
        """Keep the states of the last epoch if there is no hold-out to say which is the best."""
        if not any(self.valid_loss):
            self._keep_states(self.running_slots())

    def give_results(self) -> None:
        """Give every candidate its result."""
        for member, candidate in enumerate(self.candidates):
            state = {name: value[member] for name, value in self.best.items()}
            candidate.result = FitResult(state, self.train_loss[member], self.valid_loss[member])

    def get_state(self) -> dict[str, Any]:
        """Return what a file can hold of it."""
        return {
            "best": self.best,
            "best_loss": self.best_loss.tolist(),
            "age": self.age.tolist(),
            "running": self.running.tolist(),
            "train_loss": self.train_loss,
            "valid_loss": self.valid_loss,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Become what `get_state` has returned, in another process."""
        for name, value in state["best"].items():
            self.best[name].copy_(value)
        for name in ("best_loss", "age", "running"):
            getattr(self, name)[:] = state[name]
        self.train_loss, self.valid_loss = state["train_loss"], state["valid_loss"]
        for prefix, losses in (("train", self.train_loss), ("valid", self.valid_loss)):
            for member, own in enumerate(losses):
                if own and not math.isfinite(own[-1]):
                    self._fail(member, prefix, own[-1])
