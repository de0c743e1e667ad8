"""The package as a whole: what it exports, what it imports, what its files say."""

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


@pytest.mark.parametrize("module", ["sk_ils", "sk_ils.metrics", "sk_ils.inspection", "sk_ils.datasets"])
def test_whoever_wants_no_network_does_not_wait_for_torch(module):
    code = f"import sys, {module}; assert not {{'torch', 'skorch', 'matplotlib'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == sk_ils.__version__
    assert f"version: {sk_ils.__version__}" in (ROOT / "CITATION.cff").read_text()


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
