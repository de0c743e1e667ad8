"""What an editor or a notebook shows of an estimator: its text, its table of parameters, its completions."""

import importlib
import re
from pathlib import Path

import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.utils import estimator_html_repr

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV, TeacherClassifier
from sk_ils._net import sklearn_net
from sk_ils.smoothing import ILS2
from sk_ils.temperature import TemperatureScaledClassifier

ESTIMATORS = {
    "teacher": TeacherClassifier(max_epochs=2, module__hidden_sizes=(4,), random_state=0),
    "student": InstanceSmoothedClassifier(max_epochs=2, smoothing="ils1", random_state=0),
    "search": SmoothingSearchCV(
        InstanceSmoothedClassifier(max_epochs=2, random_state=0), {"smoothing": ["none"]}, cv=2
    ),
}
CLASSIFIERS = {name: ESTIMATORS[name] for name in ("teacher", "student")}


@pytest.fixture(params=[False, True], ids=["unfitted", "fitted"])
def state(request, iris):
    return (lambda estimator: estimator.fit(*iris)) if request.param else lambda estimator: estimator


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture
def estimator(request, state):
    return state(clone(ESTIMATORS[request.param]))


every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, indirect=True)
every_classifier = pytest.mark.parametrize("estimator", CLASSIFIERS, indirect=True)


@every_estimator
def test_no_text_shows_a_memory_address_or_what_skorch_keeps_for_itself(estimator):
    page = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", estimator_html_repr(estimator), flags=re.S)
    for text in (repr(estimator), page):
        assert not re.search(r"0x[0-9a-f]{6}|x[0-9a-f]{8,}&gt;", text)
        for name in ("callbacks__", "print_log", "virtual_params_", "cuda_dependent_attributes_"):
            assert name not in text


@pytest.mark.needs_sklearn("1.8", "texts in the table")
@every_estimator
def test_the_table_has_every_parameter_with_the_text_of_the_docstring(estimator):
    page = estimator._repr_html_()
    described = re.findall(r'<td class="param" title="[^"]{5,}">(\w+)<', page)  # entries of several names
    described += re.findall(r'<span class="param-doc-description"[^>]*>\s*(\w+): .{9,}</span>', page)
    nested = {name for name in estimator.get_params(deep=False) if "__" in name}
    assert set(estimator.get_params(deep=False)) - nested <= set(described)


@every_classifier
def test_dir_shows_parameters_and_what_users_call(estimator):
    names = set(dir(estimator))
    assert set(estimator.get_params(deep=False)) <= names
    assert {"fit", "predict_proba", "save_params", "load_params", "forward", "history", "score"} <= names
    if hasattr(estimator, "module_"):
        assert {"module_", "optimizer_", "callbacks_", "classes_", "temperature_", "n_features_in_"} <= names


@every_classifier
def test_dir_shows_nothing_that_is_not_there_and_no_internals(estimator):
    names = set(dir(estimator))
    assert all(hasattr(estimator, name) for name in names)
    for name in ("criterion", "dataset", "classes", "predict_nonlinearity", "notify", "fit_session"):
        assert name not in names
        assert hasattr(estimator, name)


def test_every_name_that_dir_hides_or_keeps_exists(iris):
    student = InstanceSmoothedClassifier(max_epochs=1).fit(*iris)
    for name in sklearn_net._HIDDEN | sklearn_net._FROM_SKORCH:
        assert hasattr(student, name), name


def test_a_parameter_that_is_named_as_something_hidden_is_shown():
    class WithSplits(TeacherClassifier):
        def __init__(self, *, training=None, **kwargs):
            super().__init__(**kwargs)
            self.training = training

    assert "training" in dir(WithSplits())


@pytest.mark.parametrize(
    ("estimator", "page"),
    [
        (InstanceSmoothedClassifier(), "sk_ils.InstanceSmoothedClassifier"),
        (TeacherClassifier(), "sk_ils.TeacherClassifier"),
        (SmoothingSearchCV(InstanceSmoothedClassifier()), "sk_ils.SmoothingSearchCV"),
        (TemperatureScaledClassifier(TeacherClassifier()), "sk_ils.temperature.TemperatureScaledClassifier"),
        (ILS2(), "sk_ils.smoothing.ILS2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_picture_links_to_a_page_of_the_api_reference(estimator, page):
    assert f'href="https://sk-ils.github.io/sk-ils/api/generated/{page}.html' in estimator_html_repr(
        estimator
    )
    module, _, name = page.rpartition(".")
    assert name in (Path(__file__).parents[1] / "docs" / "api" / "index.rst").read_text()
    assert getattr(importlib.import_module(module), name) is type(estimator)


def test_the_picture_of_a_private_subclass_links_to_the_page_of_its_public_base():
    class _Private(TeacherClassifier):
        pass

    _Private.__module__ = TeacherClassifier.__module__
    assert "api/generated/sk_ils.TeacherClassifier.html" in estimator_html_repr(_Private())


def test_the_picture_of_a_users_own_class_links_to_no_page_of_ours():
    class Mine(TeacherClassifier):
        pass

    assert "api/generated/sk_ils" not in estimator_html_repr(Mine())
