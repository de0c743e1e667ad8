"""Tensors and one JSON document as the bytes of a file: safetensors, sealed by a checksum."""

import hashlib
import json
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

# In the header's metadata: the document, and the SHA-256 of the whole file, in which the digits of
# the checksum itself count as zeros.
_DOCUMENT, _SEAL = "sk_ils", "sha256"
_NO_SEAL = "0" * 64
# Raised when an older reader would misunderstand a file.
_VERSION = 1


def pack(tensors: dict[str, Tensor], document: dict[str, Any]) -> bytearray:
    """Return the content of a file.

    Parameters
    ----------
    tensors : dict of str to Tensor
    document : dict
        Of what JSON can hold.

    Returns
    -------
    bytearray
    """
    plain = {name: _as_plain_tensor(name, value) for name, value in tensors.items()}
    text = json.dumps({"version": _VERSION, **document})
    data = bytearray(safetensors.torch.save(plain, {"format": "pt", _DOCUMENT: text, _SEAL: _NO_SEAL}))
    start = data.index(_entry(_NO_SEAL)) + len(_entry(""))
    data[start : start + len(_NO_SEAL)] = hashlib.sha256(data).hexdigest().encode()
    return data


def unpack(data: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Return what is in a file.

    Parameters
    ----------
    data : bytes
    name : str
        Of the file, for errors.

    Returns
    -------
    tensors : dict of str to Tensor
    document : dict or None
        None in files of others.

    Raises
    ------
    ValueError
        If the file is no safetensors, or not as it was written.
    """
    try:
        tensors = safetensors.torch.load(data)
        header = data[8 : 8 + int.from_bytes(data[:8], "little")]
        metadata = json.loads(header).get("__metadata__") or {}
    # The latter ones come from headers that are right by their form only.
    except (SafetensorError, ValueError, KeyError, TypeError, AssertionError, RuntimeError) as error:
        raise ValueError(
            f"{name} is no file of parameters, as save or save_params writes it ({error}); a file object "
            "must stand at its beginning."
        ) from error
    if _DOCUMENT not in metadata:
        return tensors, None
    if not _is_sealed(data, header, metadata.get(_SEAL, "")):
        raise ValueError(f"{name} is damaged: it is not what its checksum says. Get or write it anew.")
    try:
        document = json.loads(metadata[_DOCUMENT])
        version = document["version"]
        is_newer = version > _VERSION
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{name} was not written by sk_ils: {error!r}.") from error
    if is_newer:
        raise ValueError(f"{name} was written by a newer version of sk_ils: update sk_ils.")
    return tensors, document


def _entry(seal: str) -> bytes:
    # Inside of the document, which is a string in the header's JSON, each quote has a backslash.
    return f'"{_SEAL}":"{seal}'.encode()


def _is_sealed(data: bytes, header: bytes, seal: str) -> bool:
    """Return whether a file is as it was written."""
    if len(seal) != len(_NO_SEAL) or header.count(_entry(seal)) != 1:
        return False
    found = hashlib.sha256(data[:8])
    found.update(header.replace(_entry(seal), _entry(_NO_SEAL)))
    found.update(memoryview(data)[8 + len(header) :])
    return found.hexdigest() == seal


def _as_plain_tensor(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"The module's state {name!r} is a {type(value).__name__}; a file of parameters holds tensors "
            "only. Save the whole estimator with joblib or pickle."
        )
    # A copy each, because safetensors refuses weights that share their memory.
    return value.detach().to("cpu", copy=True).contiguous()
