"""Neural classifiers for scikit-learn whose probabilities can be trusted.

Names are imported on first use (PEP 562), so that the modules that need no torch stay without it.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_MODULE_OF: dict[str, str] = {
    "InstanceSmoothedClassifier": "classifiers",
    "SmoothingSearchCV": "model_selection",
    "TeacherClassifier": "classifiers",
}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"sk_ils.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'sk_ils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
