"""How many threads torch gets, by the work of a step.

Two threads gain nothing where a step takes less than a fraction of a millisecond, and beside one
other busy process they lose a hundredfold: each wait of one for the other ends only when the system
gives it a core again. ``benchmarks/speed/threads.py`` has the figures.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

# Operations of a step (forward, backward) from which on more than one thread pays.
_THREADED_FLOPS = 1e8


@cache
def _controller() -> ThreadpoolController:
    # Looks through the libraries that are loaded; torch's is, by now.
    return ThreadpoolController()


@contextmanager
def threads_for(flops: float, device: torch.device) -> Iterator[None]:
    """Give torch one thread in the block, or as many as the user allows if a step is worth it.

    Only the calling thread is limited, so that fits and predictions in others are not.

    Parameters
    ----------
    flops : float
        Floating-point operations of one step, such as a batch's forward and backward pass.
    device : torch.device
        Where they are done; threads matter on a CPU only.

    Yields
    ------
    None
        The block runs inside.
    """
    if device.type != "cpu" or flops >= _THREADED_FLOPS or torch.get_num_threads() == 1:
        yield
        return
    with _controller().limit(limits=1, user_api="openmp"):
        yield


def weight_flops(module: nn.Module) -> float:
    """Return the operations of a forward pass that uses each weight once, for one sample.

    The weights of a lazy layer, whose number the first batch decides, are left out.
    """
    return 2.0 * sum(parameter.numel() for parameter in module.parameters() if not is_lazy(parameter))


@contextmanager
def counted_work(module: nn.Module, note: Callable[[float], None]) -> Iterator[None]:
    """Count the operations of the first forward pass in the block.

    Each weight of a layer is used once for each place of its output, such as a pixel; what a
    module computes without weights is left out.

    Parameters
    ----------
    module : torch module
    note : callable
        Gets the floating-point operations of a forward pass, for one sample.

    Yields
    ------
    None
        The block runs inside.
    """
    flops = 0.0
    handles: list[RemovableHandle] = []

    def add(layer: nn.Module, args: Any, output: Any) -> None:
        nonlocal flops
        output = output[0] if isinstance(output, tuple) and output else output
        size = output.numel() / max(len(output), 1) if isinstance(output, Tensor) and output.ndim else 1
        flops += sum(
            2 * p.numel() * max(1, size / len(p))
            for p in layer.parameters(recurse=False)
            if p.ndim > 1 and len(p)
        )

    def finish(layer: nn.Module, args: Any, output: Any) -> None:
        note(flops)
        for handle in handles:
            handle.remove()

    handles += [layer.register_forward_hook(add) for layer in module.modules()]
    handles.append(module.register_forward_hook(finish))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
