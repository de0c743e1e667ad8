"""What a report of a bug must say of the machine: versions, threads, GPUs."""

import os
import platform
import sys
from importlib import metadata

__all__ = ["show_versions"]

# Those of pyproject.toml, which a test compares.
_REQUIRED = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "skorch",
    "safetensors",
    "joblib",
    "threadpoolctl",
    "tqdm",
)
# What this package works with if it is there: for displays, GPUs, clusters, bars and ONNX.
_OPTIONAL = (
    "matplotlib",
    "pandas",
    "accelerate",
    "distributed",
    "rich",
    "ipywidgets",
    "onnx",
    "onnxscript",
    "onnxruntime",
)


def show_versions() -> None:
    """Print what a bug report should say of the machine.

    That is: Python and the system, the versions of this package and of what it needs or works
    with, torch's threads and GPUs, and the thread pools of the numerical libraries. Packages other
    than torch are looked up and not imported, so that the text comes also where an import fails.
    Nothing is sent anywhere.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn.

    Examples
    --------
    >>> from sk_ils import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    System
           python: 3...
    """
    sections = {
        "System": _system(),
        "Packages": {"sk-ils": _own_version(), **{name: _version(name) for name in _REQUIRED}},
        "Optional packages": {name: _version(name) for name in _OPTIONAL},
        "torch": _torch(),
        "Thread pools": _pools(),
    }
    print("\n\n".join(_as_text(title, lines) for title, lines in sections.items()))


def _as_text(title: str, lines: dict[str, str]) -> str:
    width = max(13, *map(len, lines))
    return "\n".join([title, *(f"{name:>{width}}: {value}" for name, value in lines.items())])


def _system() -> dict[str, str]:
    return {
        "python": " ".join(sys.version.split()),
        "platform": platform.platform(),
        "processors": str(os.cpu_count()),
    }


def _own_version() -> str:
    # Of the code that runs: an installed copy may be another one.
    from sk_ils import __version__

    return __version__


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _torch() -> dict[str, str]:
    try:
        import torch
    except Exception as error:  # that is what the report is about, then
        return {"import": f"fails with {type(error).__name__}: {error}"}
    about = {
        "version": torch.__version__,
        "threads": f"{torch.get_num_threads()}, between operations {torch.get_num_interop_threads()}",
        "built for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA",
        "CUDA": "available" if torch.cuda.is_available() else "not available",
    }
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        about |= {f"cuda:{number}": torch.cuda.get_device_name(number) for number in range(count)}
    about["MPS"] = "available" if torch.backends.mps.is_available() else "not available"
    return about


def _pools() -> dict[str, str]:
    """Describe the pools that are loaded, which are more after an import of torch."""
    from threadpoolctl import threadpool_info

    given = os.environ.get("OMP_NUM_THREADS", "not set")
    pools = {"OMP_NUM_THREADS": given}
    for number, pool in enumerate(threadpool_info(), 1):
        text = f"{pool['internal_api']} {pool['version'] or ''}".strip()
        pools[str(number)] = f"{text}, {pool['num_threads']} threads ({pool['prefix']})"
    return pools
