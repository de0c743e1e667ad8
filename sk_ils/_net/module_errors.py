"""What an error inside of a user's module means."""

import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_TORCH = str(Path(torch.__file__).parent)
# Of torch's errors, those that memory is to blame for: whoever can do with less must see them.
_OF_MEMORY = (MemoryError, torch.OutOfMemoryError)


def explain_module_error(error: Exception, module: nn.Module, X: Any) -> None:
    """Raise what torch's own error in a module means; a note is added to any other error.

    Parameters
    ----------
    error : Exception
    module : Module
    X : Tensor or dict or tuple of Tensors
        The batch that the module failed on.

    Raises
    ------
    ValueError
        If torch raised the error: the batch does not suit the module.
    """
    batch = _described(X)
    name = type(module).__name__
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    if isinstance(error, _OF_MEMORY) or not last.startswith(_TORCH):
        error.add_note(f"Raised by the module {name} on a batch of {batch}.")
        return
    lines = str(error).strip().splitlines() or [type(error).__name__]
    raise ValueError(
        f"The module {name} failed on a batch of {batch}: {lines[0]}. {_advice(module, X)}"
    ) from error


def _described(X: Any) -> str:
    if isinstance(X, Tensor):
        return f"shape {tuple(X.shape)} and type {str(X.dtype).removeprefix('torch.')}"
    if isinstance(X, dict):
        return "a dict of " + ", ".join(f"{name!r}: {_described(value)}" for name, value in X.items())
    return f"type {type(X).__name__}"


def _advice(module: nn.Module, X: Any) -> str:
    types = {part.dtype for part in module.parameters() if part.is_floating_point()}
    if isinstance(X, Tensor) and types and X.dtype not in types:
        weights = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
        return (
            f"Its weights are of type {weights}: dtype='float32' casts a table and the module to one type, "
            "dtype=None takes both as they are."
        )
    return (
        "Its sizes must suit X: name n_features_in or n_classes in its __init__ to get them from the data, "
        "or set them as module__... parameters."
    )
