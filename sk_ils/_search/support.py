"""Whether, and how many of, an estimator's networks can be trained as one stack."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_ils._net.advice import advise_on_probabilities
from sk_ils._net.fit_data import FitData
from sk_ils._net.module_errors import is_out_of_memory
from sk_ils._net.training import check_logits
from sk_ils._search.memory import available_main_memory, available_memory
from sk_ils._search.stack import Stack
from sk_ils.classifiers import InstanceSmoothedClassifier

# Each of their steps treats every weight by itself, so that a stack of networks is stepped as they
# would be.
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
# Methods of a net that see one network: if one is overridden it must be called, so such a net is
# not stacked.
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
# Share of the available memory that a stack may take.
_MEMORY_SHARE = 0.5
# Parameters, their gradients, the optimizer's two moments, the best epoch's, and one spare.
_COPIES_OF_WEIGHTS = 6
# What autograd keeps of each layer's output: the output, its gradient and the activation's.
_COPIES_OF_OUTPUTS = 3
# The stack's, and those that are gathered for the next batches or for the candidates that go on.
_COPIES_OF_TARGETS = 2
# In units of one candidate's targets: the teacher's logits, and what a rule makes of them.
_TARGETS_ONCE = 2


def why_not_stackable(net: InstanceSmoothedClassifier, data: FitData) -> str | None:
    """Return why the networks of an estimator must be trained one by one, None if they need not.

    Parameters
    ----------
    net : InstanceSmoothedClassifier
        Knows the sizes of the data; is built here.
    data : FitData

    Returns
    -------
    str or None
        Empty if the module fails alone, too: then its training says why.
    """
    if net.callbacks not in (None, "disable", []):
        return "callbacks act on one network"
    if net.compile:
        return "compile=True compiles one network"
    stock = InstanceSmoothedClassifier
    if net.mixed_precision is not None:
        return "torch.func.vmap computes in full precision whatever mixed_precision says"
    hooks = [*_HOOKS, *(name for name in dir(stock) if name.startswith("on_"))]
    own = [name for name in hooks if getattr(type(net), name) is not getattr(stock, name)]
    if own:
        return f"{type(net).__name__} overrides {own[0]}, which sees one network"
    if net.optimizer not in _ELEMENTWISE:
        return f"{getattr(net.optimizer, '__name__', net.optimizer)} is not known to treat each weight alone"
    try:
        with net.training(data.seed) as state:
            return _why_module_refuses(net, data, state.device)
    except Exception as error:  # torch.func has no error of its own: whatever it says is the reason
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if is_out_of_memory(error):
            return f"the memory does not suffice for two networks at once: {text}"
        return "" if _fails_alone(net, data) else f"torch.func refuses the module: {text}"


def _fails_alone(net: InstanceSmoothedClassifier, data: FitData) -> bool:
    """Return whether the module itself cannot take a few rows."""
    try:
        with net.training(data.seed), torch.no_grad():
            net.module_.eval()
            check_logits(net.infer(_few_rows(net, data)), len(net.classes_))
    except Exception:  # of whatever kind, the training of the network raises it again
        return True
    return False


def _few_rows(net: InstanceSmoothedClassifier, data: FitData) -> Any:
    few = data.train.samples.take(np.arange(min(len(data.train), 8)))
    return next(iter(net.get_iterator(few)))[0]


def _why_module_refuses(net: InstanceSmoothedClassifier, data: FitData, device: torch.device) -> str | None:
    """Send a few rows through a stack of two, in both modes, and compare with the module itself."""
    X = _few_rows(net, data)
    stack = Stack(net, 2, device)
    stack.logits(X, training=True).sum().backward()
    with torch.no_grad():
        stacked = Stack(net, 2, device).logits(X, training=False)
        net.module_.eval()
        alone = check_logits(net.infer(X), len(net.classes_))
    advise_on_probabilities(alone)
    if not torch.allclose(stacked, alone[:, None].expand_as(stacked), rtol=1e-3, atol=1e-3):
        return "the module gives other logits under torch.func.vmap than alone"
    return None


def affordable_size(net: InstanceSmoothedClassifier, data: FitData, n_workers: int = 1) -> int:
    """Return how many candidates a stack may hold, by the memory of the device and the main one.

    Processes that work beside this one, `n_workers` in all, get the same share.
    """
    share = _MEMORY_SHARE / n_workers
    targets = len(data.train) * len(net.classes_) * (8 if net.dtype == "float64" else 4)
    with net.training(data.seed) as state:
        device = state.device
        one = _network_bytes(net, data) + _COPIES_OF_TARGETS * targets
        size = share * available_memory(device) / one
    # Targets are computed on the CPU, whatever the device is.
    room = share * available_main_memory() - _TARGETS_ONCE * targets
    return max(1, int(min(size, room / (targets if device.type == "cuda" else one))))


def _network_bytes(net: InstanceSmoothedClassifier, data: FitData) -> int:
    """Return about what the training of one more network takes: weights, layers' outputs."""
    batch_size = len(data.train) if net.batch_size == -1 else min(net.batch_size, len(data.train))
    few = data.train.samples.take(np.arange(min(len(data.train), 2)))
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
    outputs = sum(sizes) // len(few) * batch_size
    return _COPIES_OF_WEIGHTS * weights + _COPIES_OF_OUTPUTS * outputs
