# What __init__.py exports lazily, for type checkers and editors. A test compares the two.

from sk_ils import batches as batches
from sk_ils import classifiers as classifiers
from sk_ils import datasets as datasets
from sk_ils import inspection as inspection
from sk_ils import metrics as metrics
from sk_ils import model_selection as model_selection
from sk_ils import modules as modules
from sk_ils import smoothing as smoothing
from sk_ils import temperature as temperature
from sk_ils._show_versions import show_versions as show_versions
from sk_ils.classifiers import InstanceSmoothedClassifier as InstanceSmoothedClassifier
from sk_ils.classifiers import TeacherClassifier as TeacherClassifier
from sk_ils.model_selection import SmoothingSearchCV as SmoothingSearchCV

__version__: str
__all__ = [
    "__version__",
    "InstanceSmoothedClassifier",
    "SmoothingSearchCV",
    "TeacherClassifier",
    "show_versions",
]
