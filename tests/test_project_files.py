"""The files around the package: the recipe and the workflows say what pyproject.toml says."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def test_the_recipe_asks_for_what_the_project_asks_for():
    requirements = read("recipe/recipe.yaml")["requirements"]
    ours = [requirement.replace("torch>", "pytorch>") for requirement in PROJECT["dependencies"]]
    assert [name.replace(" ", "") for name in requirements["run"][1:]] == ours
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert [name.replace(" ", "") for name in requirements["host"][2:]] == build


def test_the_lowest_python_is_the_same_everywhere():
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert read("recipe/recipe.yaml")["context"]["python_min"] == lowest
    [job] = read(".github/workflows/lower-bounds.yml")["jobs"].values()
    assert [step["with"]["python-version"] for step in job["steps"] if "python" in step.get("uses", "")] == [
        lowest
    ]


def test_each_python_that_the_project_names_is_tested():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert read(".github/workflows/tests.yml")["jobs"]["linux"]["strategy"]["matrix"]["python"] == named


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise_and_ends_in_time(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        # What runs code of a pull request may write nothing.
        assert "permissions" not in job or "github.repository == 'sk-ils/sk-ils'" in job["if"]


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} >= {"tests", "lower-bounds", "nightly", "docs", "release"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_action_is_pinned_to_a_major_version(path):
    used = re.findall(r"uses: \S+@(\S+)", path.read_text())
    assert used
    assert all(re.fullmatch(r"(release/)?v\d+", version) for version in used)
