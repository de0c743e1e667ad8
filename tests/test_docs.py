"""README and docs: their programs run, with fewer epochs, and their pictures are there."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import TensorDataset

ROOT = Path(__file__).parents[1]
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
    "docs/guide/clusters.md",
    "docs/guide/saving.md",
    "docs/guide/search.md",
    "docs/guide/training.md",
    "docs/metrics.md",
)


class MyModule(nn.Module):
    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.linear = nn.Linear(n_features_in, n_classes)

    def forward(self, X):
        return self.linear(X)


def programs(page):
    """A page's programs in their order, made quick if they are long."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    if page not in LONG:
        return found
    quick = {
        'device="cuda", max_epochs=50': 'device="cpu", max_epochs=2',
        "SmoothedClassifier(random_state=0": "SmoothedClassifier(random_state=0, max_epochs=2",
        "load_digits(": "load_iris(",
        "import load_digits": "import load_iris",
        "cv=3": "cv=2",
        ", verbose=1": "",
    }
    for old, new in quick.items():
        found = found.replace(old, new)
    return found


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
@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("docs/results/")])
@pytest.mark.usefixtures("headless")
def test_the_programs_of_a_page_run(page, names, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the files that they write
    with torch.random.fork_rng(devices=[]):  # for the modules that they build themselves
        exec(programs(page), names)
    if page == "docs/metrics.md":
        # Its recipe for labels 1 to 3 is right: those of scikit-learn alone would be uniform.
        proba = names["calibrated"].predict_proba(names["X_test"])
        assert names["calibrated"].classes_.tolist() == [1, 2, 3]
        assert log_loss(names["y_test"], proba) < 0.2
    if page == "docs/coming_from/skorch.md":
        names["net"].set_params(max_epochs=1).fit(names["X_train"], names["y_train"])


@pytest.mark.parametrize("page", PAGES)
def test_the_pictures_of_a_page_are_there(page):
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / page).parent.joinpath(picture).is_file(), picture


# scikit-learn's own fault, which docs/metrics.md tells of. When these tests fail, scikit-learn has mended it,
# and the page's warning can go.


def temperature_scaled_loss(labels, container=np.asarray):
    X, y = load_iris(return_X_y=True)
    X, X_new, y, y_new = train_test_split(X, labels[y], test_size=0.5, stratify=y, random_state=0)
    clf = FrozenEstimator(LogisticRegression(max_iter=1000).fit(X, y))
    calibrated = CalibratedClassifierCV(clf, method="temperature").fit(X_new, container(y_new))
    return log_loss(y_new, calibrated.predict_proba(X_new))


def test_scikit_learns_temperature_takes_integer_labels_for_column_numbers():
    right = temperature_scaled_loss(np.array([0, 1, 2]))
    assert right == pytest.approx(0.05, abs=0.02)
    assert temperature_scaled_loss(np.array(["1", "2", "3"])) == pytest.approx(right)
    assert temperature_scaled_loss(np.array(["1", "2", "3"]), pd.Series) == pytest.approx(right)
    assert temperature_scaled_loss(np.array([1, 2, 3])) > 0.9


def test_scikit_learns_temperature_takes_rows_of_a_series_for_its_index(table):
    X, y = table
    series = pd.Series(np.unique(y, return_inverse=True)[1], index=np.arange(len(y)) + 1000)
    with pytest.raises(KeyError):
        CalibratedClassifierCV(
            FrozenEstimator(LogisticRegression().fit(X, series)), method="temperature"
        ).fit(X, series)
