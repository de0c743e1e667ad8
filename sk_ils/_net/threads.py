"""How many threads torch gets, by the work of a step.

Two threads gain little where a step takes milliseconds, and beside one other busy process they lose
up to two hundredfold: each wait of one for the other ends only when the system gives it a core
again. What is done does not depend on the load, so that the same seed gives the same numbers.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

# Operations of a step (forward, backward) from which on it gets more than one thread. Below, one
# loses at most 1.7 times the better choice on an idle machine of two cores; above, two lose at most
# 6 times beside a busy process (``benchmarks/results/threads.txt``). No number is right for both.
_THREADED_FLOPS = 2e9


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
    with _controller().limit(limits=1, user_api="openmp"), _one_thread_of_mkl():
        yield


@contextmanager
def _one_thread_of_mkl() -> Iterator[None]:
    """Limit the matrix products of the calling thread, too.

    After a ``torch.set_num_threads`` of the user, MKL heeds that number, and OpenMP's no more.
    """
    limit = _mkl_limit()
    before = 0 if limit is None else limit(1)
    try:
        yield
    finally:
        if limit is not None:
            limit(before)


@cache
def _mkl_limit() -> Callable[[int], int] | None:
    """Return MKL's function for the threads of the calling one, None if torch has no MKL in it."""
    library = next((Path(torch.__file__).parent / "lib").glob("*torch_cpu.*"), None)
    try:
        function: Callable[[int], int] = ctypes.CDLL(str(library)).MKL_Set_Num_Threads_Local
    except (OSError, AttributeError):
        return None
    return function


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
