"""One network with a leading candidate axis: torch.func's stacked state and vmap."""

import copy
import inspect
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.utils import to_tensor
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from sk_ils._net.training import check_logits
from sk_ils._samples import Targets
from sk_ils.classifiers import InstanceSmoothedClassifier

_OPTIMIZER_KERNELS = {"fused", "foreach", "capturable", "differentiable"}


class Stack:
    """Copies of a net's network with a leading candidate axis, and the optimizer of them all."""

    def __init__(self, net: InstanceSmoothedClassifier, n: int, device: torch.device) -> None:
        self.net = net
        self.device = device
        self.params, self.buffers = stack_module_state([net.module_] * n)
        self.skeleton = copy.deepcopy(net.module_).to("meta")
        self.members = list(range(n))  # by slot, the candidates that are still in the stack
        self.optimizer = self._build_optimizer()

    def _build_optimizer(self) -> torch.optim.Optimizer:
        named = list(self.params.items())
        args, kwargs = self.net.get_params_for_optimizer("optimizer", named)
        fusable = "fused" in inspect.signature(self.net.optimizer).parameters
        if fusable and not _OPTIMIZER_KERNELS & set(kwargs):
            kwargs["fused"] = self.device.type in ("cpu", "cuda")
        optimizer: torch.optim.Optimizer = self.net.optimizer(*args, **kwargs)
        return optimizer

    def state(self) -> dict[str, Tensor]:
        """Return parameters and buffers by name, without gradient."""
        return {name: value.detach() for name, value in {**self.params, **self.buffers}.items()}

    def keep(self, slots: list[int]) -> None:
        """Drop all candidates but those in some slots."""
        index = torch.tensor(slots, device=self.device)
        self.members = [self.members[slot] for slot in slots]
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
        """Return the raw logits of a batch, (sample, slot, class)."""
        if self.skeleton.training is not training:
            self.skeleton.train(training)
        X = to_tensor(X, device=self.device)
        args, kwargs = ((), X) if isinstance(X, dict) else ((X,), {})

        def one(params: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return check_logits(
                functional_call(self.skeleton, (params, buffers), args, kwargs), len(self.net.classes_)
            )

        return vmap(one, out_dims=1, randomness="different")(self.params, self.buffers)

    def train_epoch(self, batches: Any, nets: list[InstanceSmoothedClassifier]) -> NDArray[np.float64]:
        """Train one epoch; return each candidate's mean loss."""
        mean = _WeightedMean()
        for X, targets in batches:
            logits = self.logits(X, training=True)
            soft = _batch_targets(targets, logits, X, nets)
            loss = _sample_mean(_cross_entropy(logits, soft), targets)
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
                mean.add(
                    _sample_mean(_cross_entropy(logits, _one_hot(targets.y_encoded, logits)), targets),
                    targets,
                )
        return mean.value()


def _batch_targets(
    targets: Targets, logits: Tensor, X: Any, nets: list[InstanceSmoothedClassifier]
) -> Tensor:
    """Return the soft targets of a batch, (sample, slot, class)."""
    soft = _one_hot(targets.y_encoded, logits) if targets.soft is None else targets.soft.to(logits.device)
    columns = list(soft.unbind(1))
    changed = False
    for slot, net in enumerate(nets):
        own = net.batch_targets(targets.y_encoded, logits[:, slot], X)
        if own is not None:
            columns[slot], changed = own, True
    return torch.stack(columns, dim=1) if changed else soft


def _one_hot(y_encoded: Tensor, logits: Tensor) -> Tensor:
    """Return hard labels, the same for each candidate, as (sample, slot, class)."""
    one_hot = nn.functional.one_hot(y_encoded.to(logits.device), logits.shape[2]).to(logits.dtype)
    return one_hot[:, None].expand_as(logits)


def _cross_entropy(logits: Tensor, soft: Tensor) -> Tensor:
    """Return the cross-entropy of targets that sum to 1, (sample, slot).

    On a CPU a third of what torch's takes for few classes: its log_softmax works class by class.
    """
    return torch.logsumexp(logits, dim=2) - (logits * soft).sum(dim=2)


def _sample_mean(losses: Tensor, targets: Targets) -> Tensor:
    """Return the weighted mean over the samples of (sample, slot)."""
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
        self.losses.append(loss)
        self.weights.append(len(targets.y_encoded) if targets.weight is None else targets.weight.sum())

    def value(self) -> NDArray[np.float64]:
        losses = torch.stack(self.losses).double()
        weights = torch.stack([torch.as_tensor(w, device=losses.device).double() for w in self.weights])
        return (weights @ losses / weights.sum()).cpu().numpy()
