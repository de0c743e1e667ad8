"""The package as a whole: what it exports, what it imports, what its files say."""

import ast
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sk_ils

ROOT = Path(__file__).parent.parent


def test_every_exported_name_is_there_and_an_unknown_one_is_not():
    for name in sk_ils.__all__:
        assert getattr(sk_ils, name) is not None
        assert name in dir(sk_ils)
    with pytest.raises(AttributeError, match="nonsense"):
        sk_ils.nonsense  # noqa: B018


def test_dir_shows_the_exported_names_and_the_public_submodules_and_nothing_else():
    submodules = {m.name for m in pkgutil.iter_modules(sk_ils.__path__) if not m.name.startswith("_")}
    assert set(dir(sk_ils)) == {*sk_ils.__all__, *submodules}
    for name in submodules:
        assert getattr(sk_ils, name).__name__ == f"sk_ils.{name}"


def test_type_checkers_read_of_the_same_names_as_python():
    stub = ast.parse((Path(sk_ils.__file__).parent / "__init__.pyi").read_text())
    imported = {name.asname for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert {*imported, "__version__"} == set(dir(sk_ils))


WITHOUT_TORCH = """
import json, sys
import sk_ils

heavy = ("torch", "skorch", "matplotlib")
loaded = {}
sk_ils.show_versions  # what is called is found, not what it asks
loaded["sk_ils"] = [name for name in heavy if name in sys.modules]
for module in ("metrics", "inspection", "datasets", "temperature"):
    getattr(sk_ils, module)  # needs no import of its own
    loaded[f"sk_ils.{module}"] = [name for name in heavy if name in sys.modules]

import matplotlib
from types import SimpleNamespace
from sk_ils.inspection import SearchDisplay

matplotlib.use("agg")
results = {"params": [{"a": 1}], "mean_test_score": [1.0], "split0_test_score": [1.0]}
SearchDisplay.from_search(SimpleNamespace(cv_results_=results), "a").frame()
loaded["a drawn search"] = [name for name in heavy if name in sys.modules]
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded():
    """Return what a fresh interpreter has loaded after each of several steps."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "module", ["sk_ils", "sk_ils.metrics", "sk_ils.inspection", "sk_ils.datasets", "sk_ils.temperature"]
)
def test_whoever_wants_no_network_does_not_wait_for_torch(loaded, module):
    assert loaded[module] == []


def test_a_search_without_networks_is_drawn_without_torch(loaded):
    assert loaded["a drawn search"] == ["matplotlib"]


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == sk_ils.__version__
    for path in ("CITATION.cff", "recipe/recipe.yaml"):
        assert f"version: {sk_ils.__version__}\n" in (ROOT / path).read_text(), path


def test_the_source_distribution_has_what_the_readme_links_to_and_make_test_needs():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    included = {name.removeprefix("/") for name in tools["hatch"]["build"]["targets"]["sdist"]["include"]}
    assert not [name for name in included if not (ROOT / name).exists()]
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / "README.md").read_text())
    needed = {*links, "Makefile", "constraints.txt", "tests", "sk_ils", "examples/demo_digits.py"}
    assert not [path for path in needed if path.split("/")[0] not in included]


def test_the_readme_names_its_two_commands():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
