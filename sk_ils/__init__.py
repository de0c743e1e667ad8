"""Neural classifiers for scikit-learn whose probabilities can be trusted.

Names and submodules are imported on first use (PEP 562), so that the modules that need no torch
stay without it. What type checkers and editors see of them is in ``__init__.pyi``.
"""

from importlib import import_module as _import_module

__version__ = "0.1.0.dev0"

_MODULE_OF = {
    "InstanceSmoothedClassifier": "classifiers",
    "SmoothingSearchCV": "model_selection",
    "TeacherClassifier": "classifiers",
    "show_versions": "_show_versions",
}
_SUBMODULES = (
    "batches",
    "classifiers",
    "datasets",
    "inspection",
    "metrics",
    "model_selection",
    "modules",
    "smoothing",
    "temperature",
)

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        return getattr(_import_module(f"sk_ils.{_MODULE_OF[name]}"), name)
    if name in _SUBMODULES:
        return _import_module(f"sk_ils.{name}")
    raise AttributeError(f"module 'sk_ils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])
