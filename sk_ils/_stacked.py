"""Candidates trained as one stack: each keeps its own best epoch and patience, and comes out fitted."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_ils._stack import Stack
from sk_ils._task import Task
from sk_ils._training import seeded
from sk_ils.batches import Rows
from sk_ils.classifiers import InstanceSmoothedClassifier
from sk_ils.net import NonFiniteLossError


@dataclass(frozen=True)
class Candidate:
    """One network of a stack: its estimator, not yet trained, and the rows with its targets."""

    net: InstanceSmoothedClassifier
    rows: Rows


@dataclass
class _Course:
    """What a candidate's training came to."""

    state: dict[str, Tensor]
    train_loss: list[float]
    valid_loss: list[float]
    error: Exception | None


Progress = Callable[[float], None]


def train_stacked(
    net: InstanceSmoothedClassifier, candidates: list[Candidate], task: Task, progress: Progress
) -> Iterator[Exception | None]:
    """Train candidates as one stack, or in halves if the memory does not suffice.

    Parameters
    ----------
    net : InstanceSmoothedClassifier
        The candidates without their smoothing; lends its network, optimizer and order of rows.
    candidates : list of Candidate
    task : Task
    progress : callable
        Told the share of the whole training that was done since it was told last.

    Yields
    ------
    Exception or None
        For each candidate, in order: None once its `net` is fitted, or why it has failed. A net is fitted
        when it is its turn, so that the caller can drop it before the next one.
    """
    try:
        courses = _train_at_once(net, candidates, task, progress)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if len(candidates) == 1 or not _is_out_of_memory(error):
            raise
        courses = None
    if courses is None:  # outside the handler, whose traceback would keep the memory
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(candidates) // 2
        for part in (candidates[:half], candidates[half:]):
            yield from train_stacked(net, part, task, part_of(progress, len(part) / len(candidates)))
        return
    for candidate, course in zip(candidates, courses, strict=True):
        if course.error is None:
            _settle(candidate.net, course, task)
        yield course.error


def part_of(progress: Progress, share: float) -> Progress:
    """Return a progress that counts for a share of another."""
    return lambda done: progress(done * share)


def _is_out_of_memory(error: BaseException) -> bool:
    # The CPU's allocator raises a RuntimeError.
    return (
        not isinstance(error, RuntimeError)
        or isinstance(error, torch.OutOfMemoryError)
        or ("allocate memory" in str(error))
    )


def _settle(net: InstanceSmoothedClassifier, course: _Course, task: Task) -> None:
    """Make an estimator the fitted one that its training in the stack came to."""
    with net._on_device(), seeded(task.seed, net.device):
        net._begin_training(task.seed)
        del net._batch_order
        named = {**dict(net.module_.named_parameters()), **dict(net.module_.named_buffers())}
        with torch.no_grad():
            for name, value in course.state.items():
                named[name].copy_(value)
        for epoch, train_loss in enumerate(course.train_loss):
            net.history.new_epoch()
            net.history.record("epoch", epoch + 1)
            net.history.record("train_loss", train_loss)
            if course.valid_loss:
                net.history.record("valid_loss", course.valid_loss[epoch])
        if task.valid is not None and net.temperature_scaling:
            net.temperature_ = net._temperature_on(net._resident(task.valid))


# --- one stack ----------------------------------------------------------------------------------------


def _train_at_once(
    net: InstanceSmoothedClassifier, chunk: list[Candidate], task: Task, progress: Progress
) -> list[_Course]:
    with net._on_device(), seeded(task.seed, net.device):
        net.initialize()
        net._begin_training(task.seed)
        rows = net._resident(_with_all_targets(net, chunk))
        valid = None if task.valid is None else net._resident(task.valid)
        stack = Stack(net, len(chunk))
        return _run(stack, _Record(stack, net), chunk, rows, valid, progress)


def _with_all_targets(net: InstanceSmoothedClassifier, chunk: list[Candidate]) -> Rows:
    """Return the training rows with the soft targets of all candidates, (row, candidate, class)."""
    rows = chunk[0].rows
    assert rows.codes is not None
    dtype = next((c.rows.soft.dtype for c in chunk if c.rows.soft is not None), None)
    if dtype is None:
        return rows  # hard labels, or targets that depend on the batch
    soft = torch.zeros(len(rows), len(chunk), len(net.classes_), dtype=dtype)
    for number, candidate in enumerate(chunk):
        if candidate.rows.soft is None:
            soft[:, number].scatter_(1, rows.codes[:, None], 1.0)
        else:
            soft[:, number] = candidate.rows.soft
    return rows.with_soft(soft)


def _run(
    stack: Stack,
    record: "_Record",
    chunk: list[Candidate],
    rows: Rows,
    valid: Rows | None,
    progress: Progress,
) -> list[_Course]:
    """Train until every candidate is finished; each keeps its own best epoch."""
    net = stack.net
    nets = [candidate.net for candidate in chunk]
    valid_batches = None if valid is None else net.get_iterator(valid, training=False)
    batches = net.get_iterator(rows, training=True)
    for epoch in range(net.max_epochs):
        train_loss = stack.train_epoch(batches, nets)
        valid_loss = None if valid_batches is None else stack.valid_epoch(valid_batches)
        record.add(train_loss, valid_loss)
        progress(1 / net.max_epochs)
        if record.n_running() == 0:
            progress(1 - (epoch + 1) / net.max_epochs)
            break
        if record.n_running() <= len(stack.members) // 2:
            # The finished ones have their state on record: go on with the others alone.
            keep = record.running_positions()
            stack.keep(keep)
            nets = [nets[position] for position in keep]
            rows = rows if rows.soft is None else rows.with_soft(rows.soft[:, keep])
            batches = net.get_iterator(rows, training=True)
    return record.courses()


class _Record:
    """Every candidate's losses and best state so far, and which candidates are still running."""

    def __init__(self, stack: Stack, net: InstanceSmoothedClassifier) -> None:
        self.stack = stack
        self.patience, self.lr = net.patience, net.lr
        n = len(stack.members)
        self.best = {name: value.clone() for name, value in stack.state().items()}
        self.best_loss = np.full(n, math.inf)
        self.age = np.zeros(n, dtype=int)  # epochs since the best one
        self.running = np.ones(n, dtype=bool)
        self.train_loss: list[list[float]] = [[] for _ in range(n)]
        self.valid_loss: list[list[float]] = [[] for _ in range(n)]
        self.errors: list[Exception | None] = [None] * n

    def add(self, train_loss: NDArray[np.float64], valid_loss: NDArray[np.float64] | None) -> None:
        """Note an epoch's losses of the candidates in the stack, and keep the states that are the best."""
        improved = []
        for position, member in enumerate(self.stack.members):
            if not self.running[member]:
                continue
            self._note(member, "train", train_loss[position], self.train_loss)
            if valid_loss is None:
                continue
            if self.running[member]:
                self._note(member, "valid", valid_loss[position], self.valid_loss)
            self.age[member] += 1
            if valid_loss[position] < self.best_loss[member]:
                self.best_loss[member], self.age[member] = valid_loss[position], 0
                improved.append(position)
            if self.patience is not None and self.age[member] >= self.patience:
                self.running[member] = False
        if improved:
            self._keep_states(improved)

    def _note(self, member: int, prefix: str, loss: float, losses: list[list[float]]) -> None:
        losses[member].append(float(loss))
        if not math.isfinite(loss):
            self.running[member] = False
            epoch = len(self.train_loss[member])
            self.errors[member] = NonFiniteLossError.of(prefix, epoch=epoch, loss=float(loss), lr=self.lr)

    def _keep_states(self, positions: list[int]) -> None:
        members = [self.stack.members[position] for position in positions]
        for name, value in self.stack.state().items():
            self.best[name][members] = value[positions]

    def n_running(self) -> int:
        return int(self.running.sum())

    def running_positions(self) -> list[int]:
        return [position for position, member in enumerate(self.stack.members) if self.running[member]]

    def courses(self) -> list[_Course]:
        if not any(self.valid_loss):  # without a hold-out the last epoch counts
            self._keep_states(self.running_positions())
        return [
            _Course(
                {name: value[member] for name, value in self.best.items()},
                self.train_loss[member],
                self.valid_loss[member],
                self.errors[member],
            )
            for member in range(len(self.running))
        ]
