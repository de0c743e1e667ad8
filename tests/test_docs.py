"""README and docs: their programs run, with fewer epochs, and their pictures are there."""

import importlib
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.utils.fixes import parse_version
from torch import nn
from torch.utils.data import TensorDataset

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/sk-ils/sk-ils/blob/main/"
RAW = "https://raw.githubusercontent.com/sk-ils/sk-ils/main/"
SITE = "https://sk-ils.github.io/sk-ils/"
PAGES = ["README.md"]
PAGES += sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "docs").rglob("*.md")
    if not path.relative_to(ROOT / "docs").parts[0].startswith(("_", "auto_examples"))
)
# Their programs take minutes as they stand; all others run as they are.
LONG = (
    "README.md",
    "docs/coming_from/skorch.md",
    "docs/metrics.md",
)
PROJECT_PAGES = sorted(path.name for path in ROOT.glob("*.md") if path.name != "README.md")


# Since when scikit-learn has what some pages use.
SINCE = {'method="temperature"': "1.8", "from sklearn.callback": "1.9"}
sklearn_version = parse_version(parse_version(sklearn.__version__).base_version)


class MyModule(nn.Module):
    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.linear = nn.Linear(n_features_in, n_classes)

    def forward(self, X):
        return self.linear(X)


QUICK = {
    'device="cuda", max_epochs=50': 'device="cpu", max_epochs=2',
    "SmoothedClassifier(random_state=0": "SmoothedClassifier(random_state=0, max_epochs=2",
    "load_digits(": "load_iris(",
    "import load_digits": "import load_iris",
    "cv=3": "cv=2",
    ", verbose=1": "",
}


SAME_NUMBER = r"theirs (\d+\.\d+), ours (\d+\.\d+)"


def programs(page):
    """Yield a page's programs in their order, quick if they are long, each with the output shown."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fence = r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```)?"
    for program, output in re.findall(fence, text, re.MULTILINE | re.DOTALL):
        for old, new in QUICK.items() if page in LONG else ():
            program = program.replace(old, new)
        yield program, output


def form_of(output):
    """Return an output without what differs from run to run: digits, and how wide numbers are."""
    return re.sub(r"[-+]?\d*\.?\d+(e[-+]\d+)?", "#", output).split()


@pytest.fixture
def names():
    """What the programs of a page take for granted."""
    X, y = load_iris(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y + 1, random_state=0)
    proba = np.full((len(y_test), 3), 1 / 3)
    return {
        "X_train": X_train,
        "y_train": y_train,
        "X_test": X_test,
        "y_test": y_test,
        "X_calibration": X_test,
        "y_calibration": y_test,
        "clf": LogisticRegression(max_iter=500).fit(X_train, y_train),
        "proba_a": proba,
        "proba_b": proba,
        "MyModule": MyModule,
        "Net": MyModule,
        "dataset": TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(y)),
    }


@pytest.mark.filterwarnings("ignore:The best candidate lies at the edge of the grid")
@pytest.mark.filterwarnings("ignore:save does not write module")
@pytest.mark.filterwarnings("ignore:Port 8787 is already in use")  # another test's cluster
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")  # Keras on torch
@pytest.mark.parametrize("page", [page for page in PAGES if "results/" not in page])
@pytest.mark.usefixtures("headless")
def test_the_programs_of_a_page_run_and_print_what_it_shows(page, names, capsys, tmp_path, monkeypatch):
    for feature, version in SINCE.items():
        used = any(feature in program for program, _ in programs(page))
        if used and sklearn_version < parse_version(version):
            pytest.skip(f"scikit-learn {version} is the first with {feature}")
    monkeypatch.chdir(tmp_path)  # for the files that they write
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # which the page sets for good
    for program, output in programs(page):
        capsys.readouterr()
        with torch.random.fork_rng(devices=[]):  # for the modules that they build themselves
            exec(program, names)
        printed = capsys.readouterr().out
        assert not output or form_of(printed) == form_of(output), f"{program}\n prints\n{printed}"
        # What a page calls the same number is the same.
        for theirs, ours in re.findall(SAME_NUMBER, printed):
            assert float(theirs) == pytest.approx(float(ours), abs=2e-6), printed
    if page == "docs/guide/posthoc.md":
        # Its recipe for labels 1 to 10 is right: those of scikit-learn alone would be uniform.
        proba = names["calibrated"].predict_proba(names["X_test"])
        assert names["calibrated"].classes_.tolist() == list(range(1, 11))
        assert log_loss(names["y_test"], proba) < 0.2
    if page == "docs/coming_from/skorch.md":
        names["net"].set_params(max_epochs=1).fit(names["X_train"], names["y_train"])


@pytest.mark.parametrize(
    ("library", "claims"), [("netcal", 4), ("torchmetrics", 4), ("label_smoothing", 1), ("keras", 1)]
)
def test_a_page_for_users_of_a_library_shows_the_same_numbers(library, claims):
    text = (ROOT / f"docs/coming_from/{library}.md").read_text(encoding="utf-8")
    shown = re.findall(SAME_NUMBER, text)
    assert len(shown) == claims
    assert all(theirs == ours for theirs, ours in shown)


def without_code(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(file):
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", without_code(file), re.MULTILINE)
    named = re.findall(r"^\(([\w-]+)\)=$", without_code(file), re.MULTILINE)  # MyST's own
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(named)


@pytest.mark.parametrize("page", [*PAGES, *PROJECT_PAGES])
def test_the_links_of_a_page_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        local = link.removeprefix(REPOSITORY).removeprefix(RAW)
        if link.startswith(SITE):
            local = re.sub(r"\.html", ".md", "docs/" + link.removeprefix(SITE))
        elif not link.startswith(("http", "mailto:")):
            local = (
                os.path.relpath((ROOT / page).parent / link.partition("#")[0], ROOT)
                if link[0] != "#"
                else page
            )
            local += "#" + link.partition("#")[2]
        if local.startswith("http"):
            continue
        file, _, anchor = local.partition("#")
        if "auto_examples/" in file:
            file = f"examples/{Path(file).stem}.py".replace("index.py", "README.rst")
        elif "api/" in file:
            file = "docs/api/index.rst"
        if file.startswith("benchmarks/") and not (ROOT / "benchmarks").exists():
            continue  # they are not in the source distribution
        assert (ROOT / file).exists(), link
        assert not anchor or not file.endswith(".md") or anchor in anchors(file), link


@pytest.mark.parametrize("page", PAGES)
def test_the_names_that_a_page_refers_to_are_there(page):
    for target in re.findall(r"\{(?:class|func|meth|mod|attr|obj)\}`[^`]*?~?([\w.]+)>?`", without_code(page)):
        if not target.startswith("sk_ils"):
            continue
        module, found = target, None
        while found is None:
            try:
                found = importlib.import_module(module)
            except ImportError:
                module = module.rpartition(".")[0]
                assert module, target
        for name in filter(None, target.removeprefix(module).split(".")):
            found = getattr(found, name)


@pytest.mark.parametrize("page", [*PAGES, *PROJECT_PAGES])
def test_the_commands_of_a_page_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?:`|^ {4}|^)make ([\w-]+)", text, re.MULTILINE)) <= set(targets)
    for module in re.findall(r"python -m (benchmarks[\w.]+)", text):
        file = ROOT / module.replace(".", "/")
        assert file.is_dir() or file.with_suffix(".py").exists() or not (ROOT / "benchmarks").exists(), module


# scikit-learn's own fault, which docs/guide/posthoc.md tells of. When these tests fail, scikit-learn has
# mended it, and the page's warning can go.


def temperature_scaled_loss(labels, container=np.asarray):
    X, y = load_iris(return_X_y=True)
    X, X_new, y, y_new = train_test_split(X, labels[y], test_size=0.5, stratify=y, random_state=0)
    clf = FrozenEstimator(LogisticRegression(max_iter=1000).fit(X, y))
    calibrated = CalibratedClassifierCV(clf, method="temperature").fit(X_new, container(y_new))
    return log_loss(y_new, calibrated.predict_proba(X_new))


@pytest.mark.needs_sklearn("1.8", 'CalibratedClassifierCV(method="temperature")')
def test_scikit_learns_temperature_takes_integer_labels_for_column_numbers():
    right = temperature_scaled_loss(np.array([0, 1, 2]))
    assert right == pytest.approx(0.05, abs=0.02)
    assert temperature_scaled_loss(np.array(["1", "2", "3"])) == pytest.approx(right)
    assert temperature_scaled_loss(np.array(["1", "2", "3"]), pd.Series) == pytest.approx(right)
    assert temperature_scaled_loss(np.array([1, 2, 3])) > 0.9


@pytest.mark.needs_sklearn("1.8", 'CalibratedClassifierCV(method="temperature")')
def test_scikit_learns_temperature_takes_rows_of_a_series_for_its_index(table):
    X, y = table
    series = pd.Series(np.unique(y, return_inverse=True)[1], index=np.arange(len(y)) + 1000)
    with pytest.raises(KeyError):
        CalibratedClassifierCV(
            FrozenEstimator(LogisticRegression().fit(X, series)), method="temperature"
        ).fit(X, series)
