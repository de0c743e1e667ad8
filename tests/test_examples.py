"""The gallery's examples, without running them: their form, and that all names that they use exist."""

import ast
import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("plot_*.py"))
# What an example needs beside the package's own requirements and extras, and says so.
OPTIONAL = {"skrub", "onnxruntime"}


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem, scope="module")
def source(request):
    return request.param.read_text(encoding="utf-8")


def imports(tree):
    """Return (module, name or None) of everything that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


def test_there_are_examples():
    assert len(EXAMPLES) >= 15
    assert (FOLDER / "README.rst").read_text().startswith("Gallery\n=======\n")


def test_an_example_has_a_title_and_an_introduction(source):
    title, underline, *introduction = ast.get_docstring(ast.parse(source)).splitlines()
    assert underline == "=" * len(title)
    assert len(" ".join(introduction).split()) >= 10


def test_an_example_has_prose_with_headings(source):
    cells = re.findall(r"^# %%\n((?:#.*\n)+)", source, re.MULTILINE)
    assert len(cells) >= 3
    assert source.count("\n# %%") == len(cells), "a cell begins without prose"
    headings = re.findall(r"^# (\S.*)\n# (-+)$", source, re.MULTILINE)
    assert len(headings) >= 2
    assert all(len(underline) == len(heading) for heading, underline in headings)


def test_an_example_reads_no_arguments_and_shows_its_figures_last(source):
    tree = ast.parse(source)
    assert "sys" not in {module for module, _ in imports(tree)}
    assert ast.unparse(tree.body[-1]) == "plt.show()"


def test_an_example_imports_what_there_is(source):
    for module, name in imports(ast.parse(source)):
        package = module.split(".")[0]
        if find_spec(package) is None and package in OPTIONAL:
            assert f"pip install {package}" in source or f"{package}`" in source
        elif package == "sk_ils":
            assert name is None or hasattr(importlib.import_module(module), name), f"{module}.{name}"
        else:
            assert find_spec(module) is not None, module


def test_an_example_imports_no_private_module(source):
    modules = [
        f"{module}.{name}" for module, name in imports(ast.parse(source)) if module.startswith("sk_ils")
    ]
    assert modules
    assert not [module for module in modules if "._" in module]


def test_the_roles_of_an_example_name_what_there_is(source):
    for target in re.findall(r":(?:class|func|meth|mod):`~?(sk_ils[\w.]*)`", source):
        module, _, name = target.rpartition(".")
        assert hasattr(importlib.import_module(module), name), target
    for target in re.findall(r":ref:`sphx_glr_auto_examples_(\w+\.py)`", source):
        assert (FOLDER / target).is_file(), target
