"""Docstrings: the same words for the same parameter, and numpydoc's rules for all public names."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import FunctionDoc, get_doc_object
from numpydoc.validate import ERROR_MSGS, validate

import sk_ils
from sk_ils import InstanceSmoothedClassifier, TeacherClassifier
from sk_ils.inspection import ReliabilityDisplay, SearchDisplay, SmoothingCurveDisplay, TrainingDisplay
from sk_ils.metrics import (
    CalibrationScorer,
    calibration_report,
    calibration_scoring,
    classwise_calibration_error,
    expected_calibration_error,
)

# Pairs of sisters, and the entries of the same name that differ, each group with its reason.
SISTERS = [
    # Only the student has a teacher that may take weights.
    (TeacherClassifier.fit, InstanceSmoothedClassifier.fit, {"sample_weight"}),
    (TeacherClassifier, InstanceSmoothedClassifier, set()),
    (TeacherClassifier.partial_fit, InstanceSmoothedClassifier.partial_fit, set()),
    # An estimator has a class whose name can stand in the legend.
    (ReliabilityDisplay.from_estimator, ReliabilityDisplay.from_predictions, {"name"}),
    (ReliabilityDisplay.from_predictions, ReliabilityDisplay.plot, set()),
    (SmoothingCurveDisplay.from_estimator, SmoothingCurveDisplay.from_predictions, set()),
    (SmoothingCurveDisplay.from_predictions, SmoothingCurveDisplay.plot, set()),
    (SmoothingCurveDisplay, SmoothingCurveDisplay.from_predictions, set()),
    (SearchDisplay.from_search, SearchDisplay.plot, set()),
    (TrainingDisplay.from_estimator, TrainingDisplay.plot, set()),
    # The bins are those of each class, and the errors of the classes are averaged.
    (
        expected_calibration_error,
        classwise_calibration_error,
        {"n_bins", "strategy", "norm", "debias"},
    ),
    # The report takes several models, resamples, and refers to the errors for the bins.
    (
        expected_calibration_error,
        calibration_report,
        {"y_proba", "n_bins", "strategy", "sample_weight"},
    ),
    (calibration_report, CalibrationScorer, {"labels"}),
    # The labels of a search are those of all folds.
    (calibration_report, calibration_scoring, {"labels"}),
    (calibration_scoring, CalibrationScorer, set()),
]


def entries(obj):
    """Return type and description of each parameter and attribute; "a, b" counts as two."""
    doc = get_doc_object(obj)
    sections = ("Parameters", "Attributes") if inspect.isclass(obj) else ("Parameters",)
    return {
        (section, name): (entry.type, " ".join(" ".join(entry.desc).split()))
        for section in sections
        for entry in doc[section]
        for name in entry.name.split(", ")
    }


@pytest.mark.parametrize(
    ("one", "other", "different"),
    SISTERS,
    ids=[f"{one.__qualname__}-{other.__qualname__}" for one, other, _ in SISTERS],
)
def test_sister_docstrings_say_the_same_of_the_same_parameter(one, other, different):
    ours, theirs = entries(one), entries(other)
    shared = ours.keys() & theirs.keys()
    assert shared
    assert {key: ours[key] for key in shared if key[1] not in different} == {
        key: theirs[key] for key in shared if key[1] not in different
    }
    needed = {key[1] for key in shared if ours[key] != theirs[key]}
    assert different == needed, "an exception that is not needed hides the next difference"


# numpydoc's checks but for those of style that we do not follow: text on the line of the quotes
# (GL01, GL02), extended summary, See Also and Examples everywhere (ES01, SA01, EX01), and a capital
# at the start of each description, which may be a symbol (PR08).
CHECKS = set(ERROR_MSGS) - {"GL01", "GL02", "ES01", "SA01", "EX01", "PR08"}

# A protocol has no parameters, whatever numpydoc makes of its constructor.
UNCHECKED = {"Rule"}


def public_docstrings():
    """Return path and owner of the public objects and their methods, by qualified name."""
    names = [module.name for module in pkgutil.iter_modules(sk_ils.__path__) if module.name[0] != "_"]
    found = {}
    for module in map(importlib.import_module, ["sk_ils", *(f"sk_ils.{name}" for name in names)]):
        for name in module.__all__:
            obj = getattr(module, name)
            if not inspect.isclass(obj) and not inspect.isfunction(obj):
                continue
            found[obj.__qualname__] = f"{module.__name__}.{name}", module
            for method, member in inspect.getmembers(obj) if inspect.isclass(obj) else ():
                if method.startswith("_") or not str(getattr(member, "__module__", "")).startswith("sk_ils"):
                    continue
                found[member.__qualname__] = f"{module.__name__}.{name}.{method}", obj
    return found


def faults_of(path, owner):
    """Return numpydoc's faults of a docstring that we check for.

    A method of one paragraph that overrides another may leave parameters and result to the
    docstring of that one.
    """
    name = path.rpartition(".")[2]
    checks = CHECKS
    if inspect.isclass(owner) and sum(name in vars(base) for base in owner.__mro__) > 1:
        doc = FunctionDoc(getattr(owner, name))
        if not doc["Parameters"] and not doc["Returns"]:
            checks = CHECKS - {"PR01", "RT01"}
    return [f"{code}: {text}" for code, text in validate(path)["errors"] if code in checks]


PUBLIC = public_docstrings()


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - UNCHECKED))
def test_public_docstrings_follow_numpydoc(name):
    assert faults_of(*PUBLIC[name]) == []


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_help_shows_types_by_their_names(name):
    """Evaluated, ArrayLike alone is 300 characters of a union of private classes."""
    path, _ = PUBLIC[name]
    obj = pkgutil.resolve_name(path)
    if callable(obj) and not (inspect.isclass(obj) and issubclass(obj, Exception)):
        assert "_nested_sequence" not in str(inspect.signature(obj))


def public_names():
    """Return the paths under which users import, one for each object, with its value."""
    modules = [f"sk_ils.{module.name}" for module in pkgutil.iter_modules(sk_ils.__path__)]
    modules = ["sk_ils", *(name for name in modules if "._" not in name)]
    found = {}
    for module in map(importlib.import_module, modules):
        for name in module.__all__:
            if not name.startswith("__"):
                found.setdefault(
                    id(getattr(module, name)), (f"{module.__name__}.{name}", getattr(module, name))
                )
    return dict(found.values())


@pytest.mark.parametrize("path", sorted(public_names()))
def test_every_public_object_has_an_example(path):
    obj = public_names()[path]
    documented = obj if inspect.isclass(obj) or inspect.isfunction(obj) else type(obj)
    assert ">>>" in (documented.__doc__ or "")


def test_the_api_reference_lists_every_public_object():
    page = (Path(__file__).parents[1] / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    listed, module = set(), ""
    for line in page.splitlines():
        if line.startswith(".. currentmodule::"):
            module = line.split()[-1]
        elif re.fullmatch(r"   [\w.]+", line):
            listed.add(f"{module}.{line.strip()}")
    assert listed == set(public_names())
