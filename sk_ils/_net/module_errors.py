"""What an error means that comes out of a part: a module, an optimizer, a loader."""

import errno
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import skorch
import torch
from torch import Tensor, nn

from sk_ils import modules

_TORCH = str(Path(torch.__file__).parent)
# Whose errors in a module are about its input: torch's modules, and the default one.
_MODULES = (_TORCH, str(Path(modules.__file__)))
_LIBRARIES = (_TORCH, str(Path(skorch.__file__).parent), str(Path(__file__).parent.parent))
# Parts of the messages by which torch says so on a CPU and on a GPU; its errors are RuntimeErrors.
_OUT_OF_MEMORY = ("allocate memory", "not enough memory", "out of memory", "bad_alloc", "ALLOC_FAILED")

# Part of the message by which torch's BatchNorm refuses to train on one row, and what to do.
_ONE_ROW = "more than 1 value per channel"
_FEW_ROWS = (
    "BatchNorm cannot be trained on a batch of one row: set batch_size to at least 2, and pass at least two "
    "rows to each partial_fit; with a sampler of your own set iterator_train__drop_last=True. Or take "
    "LayerNorm, which needs no other rows."
)
# Part of the message by which torch's Embedding refuses floats.
_FLOATS = "scalar types: Long, Int"
_WHOLE_NUMBERS = "It takes whole numbers: pass X as integers, and dtype=None, which keeps their type."
# What to do about the items of a Dataset, which are cast only if they are floats.
_ITEMS = (
    " Whole numbers of a Dataset are never cast, for an embedding needs them: let the Dataset return floats, "
    "such as x.float() / 255 of pixels."
)
# How torch's 2-D convolution refuses another number of channels, or of dimensions, and what to do.
_CONVOLUTION = re.compile(r"weight of size \[\d+, \d+, \d+, \d+\].* channels|input to conv2d")
_IMAGES = (
    "Images must have the shape (rows, channels, height, width): X.transpose(0, 3, 1, 2) moves channels that "
    "come last in an array, X[:, None] adds the one of grey images. The module gets the number of channels "
    "if it names n_features_in in its __init__."
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of the CPU or the GPU does not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, RuntimeError) and any(part in str(error) for part in _OUT_OF_MEMORY):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


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
        If torch or the default network raised the error: the batch does not suit the module.
    """
    batch = _described(X)
    name = type(module).__name__
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    # Whoever can do with less memory must see that this was it.
    if is_out_of_memory(error) or not last.startswith(_MODULES):
        error.add_note(f"Raised by the module {name} on a batch of {batch}.")
        return
    lines = str(error).strip().splitlines() or [type(error).__name__]
    advice = _advice(module, X)
    for part, known in ((_ONE_ROW, _FEW_ROWS), (_FLOATS, _WHOLE_NUMBERS)):
        advice = known if part in lines[0] else advice
    if _CONVOLUTION.search(lines[0]):
        advice = _IMAGES
    raise ValueError(f"The module {name} failed on a batch of {batch}: {lines[0]}. {advice}") from error


@contextmanager
def explained_building(name: str, part: Any, parameters: dict[str, Any]) -> Iterator[None]:
    """Say which part could not be built, from which parameters.

    Parameters
    ----------
    name : str
        The parameter that holds the part, such as "optimizer".
    part : callable
    parameters : dict
        What it is built from.

    Yields
    ------
    None
        The block builds the part. An error of the part's own code gets a note; one about the call
        or from torch becomes a TypeError or ValueError that names the parameters.
    """
    try:
        yield
    except Exception as error:
        called = f"{name}={getattr(part, '__name__', repr(part))}"
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        if is_out_of_memory(error) or not last.startswith(_LIBRARIES):
            error.add_note(f"Raised while {called} was built.")
            raise
        given = ", ".join(f"{key}={_short(value)}" for key, value in parameters.items()) or "no parameters"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{called} cannot be built from {given}: {error}. Its parameters are set as {name}__..., by the "
            "names that it gives them."
        ) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
        floats = "" if X.is_floating_point() else _ITEMS
        return (
            f"Its weights are of type {weights}: dtype='float32' casts a table and the module to one type, "
            f"dtype=None takes both as they are.{floats}"
        )
    return (
        "Its sizes must suit X: name n_features_in or n_classes in its __init__ to get them from the data, "
        "or set them as module__... parameters."
    )
