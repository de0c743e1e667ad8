"""Many networks of one shape trained as one: torch.func's stacked state, functional call and vmap.

The networks share everything but their soft targets, so that one pass with a leading candidate axis trains
them all. What cannot be stacked is said here, and trained one by one elsewhere.
"""

import copy
import inspect
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.utils import to_tensor
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from sk_ils._task import Task
from sk_ils._training import seeded
from sk_ils.batches import Rows, Targets
from sk_ils.classifiers import InstanceSmoothedClassifier
from sk_ils.net import NonFiniteLossError

# Each of their steps treats every weight by itself, so that a stack of networks is stepped as they would be.
_ELEMENTWISE = (
    torch.optim.ASGD,
    torch.optim.Adadelta,
    torch.optim.Adagrad,
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.Adamax,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.RMSprop,
    torch.optim.Rprop,
    torch.optim.SGD,
)
# Methods of a net that see one network; who overrides one of them wants it called.
_HOOKS = (
    "fit_loop",
    "get_iterator",
    "get_loss",
    "infer",
    "initialize_optimizer",
    "run_single_epoch",
    "train_step",
    "train_step_single",
    "validation_step",
)
# Share of the free memory that a stack may take.
_MEMORY_SHARE = 0.5
_UNKNOWN_FREE_MEMORY = 4 * 2**30
# Parameters, their gradients, the optimizer's two moments, the best epoch's, and one spare.
_COPIES_OF_WEIGHTS = 6
# What autograd keeps of each layer's output: the output, its gradient and the activation's.
_COPIES_OF_OUTPUTS = 3
_OPTIMIZER_KERNELS = {"fused", "foreach", "capturable", "differentiable"}


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


def why_not_stackable(net: InstanceSmoothedClassifier, task: Task) -> str | None:
    """Return why the networks of an estimator must be trained one by one, None if they need not.

    Parameters
    ----------
    net : InstanceSmoothedClassifier
        Knows the sizes of the task's data; is built here.
    task : Task

    Returns
    -------
    str or None
    """
    if net.callbacks not in (None, "disable", []):
        return "callbacks act on one network"
    if net.compile:
        return "compile=True compiles one network"
    stock = InstanceSmoothedClassifier
    hooks = [*_HOOKS, *(name for name in dir(stock) if name.startswith("on_"))]
    own = [name for name in hooks if getattr(type(net), name) is not getattr(stock, name)]
    if own:
        return f"{type(net).__name__} overrides {own[0]}, which sees one network"
    if net.optimizer not in _ELEMENTWISE:
        return f"{getattr(net.optimizer, '__name__', net.optimizer)} is not known to treat each weight alone"
    try:
        with net._on_device(), seeded(task.seed, net.device):
            return _why_module_refuses(net, task)
    except Exception as error:  # torch.func has no error of its own: whatever it says is the reason
        return f"torch.func refuses the module: {type(error).__name__}: {str(error).splitlines()[0]}"


def _why_module_refuses(net: InstanceSmoothedClassifier, task: Task) -> str | None:
    """Send a few rows through a stack of two, in both modes, and compare with the module itself."""
    net.initialize()
    net._begin_training(task.seed)
    few = task.train.take(np.arange(min(len(task.train), 8)))
    X, _ = next(iter(net.get_iterator(few)))
    stack = _Stack(net, 2)
    stack.logits(X, training=True).sum().backward()
    with torch.no_grad():
        stacked = _Stack(net, 2).logits(X, training=False)
        net.module_.eval()
        alone = net._check_logits(net.infer(X))
    if not torch.allclose(stacked, alone[:, None].expand_as(stacked), rtol=1e-3, atol=1e-3):
        return "the module gives other logits under torch.func.vmap than alone"
    return None


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
        stack = _Stack(net, len(chunk))
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
    stack: "_Stack",
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


class _Stack:
    """Copies of a net's network with a leading candidate axis, and the optimizer of them all."""

    def __init__(self, net: InstanceSmoothedClassifier, n: int) -> None:
        self.net = net
        self.params, self.buffers = stack_module_state([net.module_] * n)
        self.skeleton = copy.deepcopy(net.module_).to("meta")
        self.members = list(range(n))  # the candidates that are still in the stack
        self.optimizer = self._build_optimizer()

    def _build_optimizer(self) -> torch.optim.Optimizer:
        named = list(self.params.items())
        args, kwargs = self.net.get_params_for_optimizer("optimizer", named)
        fusable = "fused" in inspect.signature(self.net.optimizer).parameters
        if fusable and not _OPTIMIZER_KERNELS & set(kwargs):
            kwargs["fused"] = self.net._module_device.type in ("cpu", "cuda")
        return self.net.optimizer(*args, **kwargs)

    def state(self) -> dict[str, Tensor]:
        """Return parameters and buffers by name, without gradient."""
        return {name: value.detach() for name, value in {**self.params, **self.buffers}.items()}

    def keep(self, positions: list[int]) -> None:
        """Drop all candidates but those at some positions."""
        index = torch.tensor(positions, device=self.net._module_device)
        self.members = [self.members[position] for position in positions]
        self.buffers = {name: value[index] for name, value in self.buffers.items()}
        kept = {old: old.detach()[index].requires_grad_(old.requires_grad) for old in self.params.values()}
        self.params = {name: kept[old] for name, old in self.params.items()}
        for group in self.optimizer.param_groups:
            group["params"] = [kept[old] for old in group["params"]]
        for old, new in kept.items():
            if old in self.optimizer.state:
                # The moments have the weights' shape; a count of steps is shared.
                self.optimizer.state[new] = {
                    name: value[index] if isinstance(value, Tensor) and value.shape == old.shape else value
                    for name, value in self.optimizer.state.pop(old).items()
                }

    def logits(self, X: Any, *, training: bool) -> Tensor:
        """Return the raw logits of a batch, (row, candidate, class)."""
        if self.skeleton.training is not training:
            self.skeleton.train(training)
        X = to_tensor(X, device=self.net._module_device)
        args, kwargs = ((), X) if isinstance(X, dict) else ((X,), {})

        def one(params: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return self.net._check_logits(functional_call(self.skeleton, (params, buffers), args, kwargs))

        return vmap(one, out_dims=1, randomness="different")(self.params, self.buffers)

    def train_epoch(self, batches: Any, nets: list[InstanceSmoothedClassifier]) -> NDArray[np.float64]:
        """Train one epoch; return each candidate's mean loss."""
        mean = _WeightedMean()
        for X, targets in batches:
            logits = self.logits(X, training=True)
            soft = _batch_targets(targets, logits, X, nets)
            loss = _row_mean(_cross_entropy(logits, soft), targets)
            self.optimizer.zero_grad()
            loss.sum().backward()
            self.optimizer.step()
            mean.add(loss.detach(), targets)
        return mean.value()

    def valid_epoch(self, batches: Any) -> NDArray[np.float64]:
        """Return each candidate's mean cross-entropy of hard labels."""
        mean = _WeightedMean()
        with torch.no_grad():
            for X, targets in batches:
                logits = self.logits(X, training=False)
                mean.add(_row_mean(_cross_entropy(logits, _one_hot(targets.codes, logits)), targets), targets)
        return mean.value()


def _batch_targets(
    targets: Targets, logits: Tensor, X: Any, nets: list[InstanceSmoothedClassifier]
) -> Tensor:
    """Return the soft targets of a batch, (row, candidate, class)."""
    assert targets.codes is not None
    codes = targets.codes.to(logits.device)
    soft = _one_hot(codes, logits) if targets.soft is None else targets.soft.to(logits.device)
    asking = [number for number, net in enumerate(nets) if net._asks_in_every_batch()]
    if not asking:
        return soft
    alone = Targets(codes)
    columns = list(soft.unbind(1))
    for number in asking:
        columns[number] = nets[number]._loss_target(alone, logits[:, number], X)
    return torch.stack(columns, dim=1)


def _one_hot(codes: Tensor, logits: Tensor) -> Tensor:
    """Return hard labels as the same targets for each candidate, of the shape of (row, candidate, class)."""
    one_hot = nn.functional.one_hot(codes.to(logits.device), logits.shape[2]).to(logits.dtype)
    return one_hot[:, None].expand_as(logits)


def _cross_entropy(logits: Tensor, soft: Tensor) -> Tensor:
    """Return the cross-entropy of targets that sum to 1, (row, candidate).

    On a CPU a third of what torch's takes for few classes: its log_softmax works class by class.
    """
    return torch.logsumexp(logits, dim=2) - (logits * soft).sum(dim=2)


def _row_mean(losses: Tensor, targets: Targets) -> Tensor:
    """Return the weighted mean over the rows of (row, candidate)."""
    if targets.weight is None:
        return losses.mean(dim=0)
    weight = targets.weight.to(losses.device)
    return (weight[:, None] * losses).sum(dim=0) / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


class _WeightedMean:
    """The mean of the batches' losses; stays on the device until it is asked."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.weights: list[Any] = []

    def add(self, loss: Tensor, targets: Targets) -> None:
        assert targets.codes is not None
        self.losses.append(loss)
        self.weights.append(len(targets.codes) if targets.weight is None else targets.weight.sum())

    def value(self) -> NDArray[np.float64]:
        losses = torch.stack(self.losses).double()
        weights = torch.stack([torch.as_tensor(w, device=losses.device).double() for w in self.weights])
        return (weights @ losses / weights.sum()).cpu().numpy()


class _Record:
    """Every candidate's losses and best state so far, and which candidates are still running."""

    def __init__(self, stack: _Stack, net: InstanceSmoothedClassifier) -> None:
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


# --- memory -------------------------------------------------------------------------------------------


def affordable_size(net: InstanceSmoothedClassifier, task: Task) -> int:
    """Return how many candidates a stack may hold."""
    with net._on_device(), seeded(task.seed, net.device):
        net._begin_training(task.seed)
        device = net._device()
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free_memory()
        return max(1, int(_MEMORY_SHARE * free / _bytes_per_candidate(net, task)))


def _free_memory() -> int:
    """Return the free memory of the machine in bytes, or a cautious guess where it does not say."""
    names = getattr(os, "sysconf_names", {})
    if "SC_AVPHYS_PAGES" not in names:
        return _UNKNOWN_FREE_MEMORY
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _bytes_per_candidate(net: InstanceSmoothedClassifier, task: Task) -> int:
    """Return about what one more candidate takes: weights, the layers' outputs for a batch, targets."""
    batch_size = len(task.train) if net.batch_size == -1 else min(net.batch_size, len(task.train))
    few = task.train.take(np.arange(min(len(task.train), 2)))
    X, _ = next(iter(net.get_iterator(few)))
    sizes: list[int] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        parts = output if isinstance(output, tuple) else (output,)
        sizes.extend(part.nbytes for part in parts if isinstance(part, Tensor))

    leaves = [module for module in net.module_.modules() if not list(module.children())]
    handles = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        net.module_.eval()
        with torch.no_grad():
            net.infer(X)
    finally:
        for handle in handles:
            handle.remove()
    weights = sum(parameter.nbytes for parameter in net.module_.parameters())
    targets = len(task.train) * len(net.classes_) * 8
    outputs = sum(sizes) // len(few) * batch_size
    return _COPIES_OF_WEIGHTS * weights + _COPIES_OF_OUTPUTS * outputs + targets
