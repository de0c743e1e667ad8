"""`show_versions`: what it says of the machine, and that it says it where something is broken."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import torch

import sk_ils
from sk_ils import _show_versions, show_versions

ROOT = Path(__file__).parent.parent


@pytest.fixture
def shown(capsys):
    """Return what is printed, by title and name."""

    def show():
        show_versions()
        sections = {}
        for block in capsys.readouterr().out.split("\n\n"):
            title, *lines = block.splitlines()
            sections[title] = dict(line.strip().split(": ", 1) for line in lines)
        return sections

    return show


def test_versions_are_those_of_what_is_installed_and_of_the_code_that_runs(shown):
    sections = shown()
    packages = sections["Packages"]
    assert packages.pop("sk-ils") == sk_ils.__version__
    assert packages == {name: metadata.version(name) for name in packages}
    # Only torch itself says for which CUDA it was built.
    assert sections["torch"]["version"] == torch.__version__


def test_it_names_each_dependency_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]]
    assert list(_show_versions._REQUIRED) == names


def test_what_is_not_installed_is_said_to_be_so(shown, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert set(shown()["Optional packages"].values()) == {"not installed"}


def test_threads_are_those_of_this_process(shown):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert shown()["torch"]["threads"].startswith("1, ")
    finally:
        torch.set_num_threads(before)


def test_an_import_of_torch_that_fails_is_in_the_table_which_comes_all_the_same(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    sections = shown()
    assert sections["torch"]["import"].startswith("fails with ModuleNotFoundError")
    assert sections["Packages"]["numpy"] == metadata.version("numpy")


def test_each_gpu_is_named(shown, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"Model {number}")
    about = shown()["torch"]
    assert (about["cuda:0"], about["cuda:1"]) == ("Model 0", "Model 1")
