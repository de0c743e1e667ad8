"""What a type checker tells a user of the package."""

import re
from pathlib import Path

from mypy import api

ROOT = Path(__file__).parent.parent

SCRIPT = """
import numpy as np

import sk_ils
from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier

X, y = np.zeros((20, 2)), np.zeros(20)
clf = InstanceSmoothedClassifier(random_state=0)
search = SmoothingSearchCV(clf)
"""

CLASSIFIER = "sk_ils.classifiers.InstanceSmoothedClassifier"
FLOATS = "numpy.ndarray[tuple[Any, ...], numpy.dtype[numpy.floating[Any]]]"
LABELS = "numpy.ndarray[tuple[Any, ...], numpy.dtype[Any]]"

TYPES = {
    "clf.fit(X, y)": CLASSIFIER,
    "clf.partial_fit(X, y)": CLASSIFIER,
    "clf.set_params(lr=0.1)": CLASSIFIER,
    "clf.predict(X)": LABELS,
    "clf.predict_proba(X)": FLOATS,
    "clf.teacher_predict_proba(X)": FLOATS,
    "clf.score(X, y)": "float",
    "clf.classes_": LABELS,
    "clf.n_features_in_": "int",
    "clf.temperature_": "float",
    "clf.module_": "torch.nn.modules.module.Module",
    "clf.to_torch()": "torch.nn.modules.module.Module",
    "TeacherClassifier.load('file')": "sk_ils.classifiers.TeacherClassifier",
    "TeacherClassifier().fit(X, y)": "sk_ils.classifiers.TeacherClassifier",
    "search.fit(X, y)": "sk_ils.model_selection.SmoothingSearchCV",
    "search.predict(X)": LABELS,
    "search.predict_proba(X)": FLOATS,
    "search.score(X, y)": "float",
    "search.best_params_": "dict[str, Any]",
    "search.best_score_": "float",
    "sk_ils.__version__": "str",
    "sk_ils.metrics.expected_calibration_error(y, y)": "float",
}


def test_what_a_user_calls_has_a_type_that_says_something(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + "".join(f"reveal_type({expression})\n" for expression in TYPES))
    # With the project's options and in its folder, mypy finds the cache that `make types` has filled.
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    report, errors, _ = api.run(["--no-pretty", str(script)])
    assert not errors
    assert ": error: " not in report
    # NumPy before 2.1 says less of an array's shape.
    report = report.replace("builtins.", "").replace("ndarray[Any, ", "ndarray[tuple[Any, ...], ")
    types = re.findall(r'Revealed type is "(.*)"', report)
    assert dict(zip(TYPES, types, strict=True)) == TYPES
