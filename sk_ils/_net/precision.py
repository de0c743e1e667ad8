"""Mixed precision: products in bfloat16, weights, logits and losses in float32."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def in_precision(forward: Callable[[], Any], mixed_precision: str | None, device: torch.device) -> Any:
    """Return what a module's forward gives, computed in mixed precision if that is asked for.

    Parameters
    ----------
    forward : callable
        Calls the module.
    mixed_precision : {"bf16"} or None
        None computes in the module's own type.
    device : torch.device
        Where the module is.

    Returns
    -------
    Tensor or tuple
        With "bf16" all its floating-point Tensors are float32, so that probabilities, losses and
        temperatures have the digits of float32.
    """
    if mixed_precision is None:
        return forward()
    with torch.autocast(device.type, torch.bfloat16):
        output = forward()
    if isinstance(output, tuple):
        return tuple(_in_float32(part) for part in output)
    return _in_float32(output)


def _in_float32(output: Any) -> Any:
    low = isinstance(output, Tensor) and output.dtype in (torch.bfloat16, torch.float16)
    return output.float() if low else output
