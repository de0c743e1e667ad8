"""Draw docs/images/search.png: the scores of a search over epsilon.

Run it as ``python docs/figures/search.py``.
"""

from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV
from sk_ils.inspection import SearchDisplay

X, y = load_digits(return_X_y=True)
X_train, _, y_train, _ = train_test_split(X, y, train_size=1000, stratify=y, random_state=0)
net = InstanceSmoothedClassifier(random_state=0)
grid = {"smoothing": ["uniform", "ils2"], "smoothing__epsilon": [0.02, 0.05, 0.1, 0.2, 0.3, 0.4]}
search = SmoothingSearchCV(net, grid, cv=5).fit(X_train, y_train)
figure = SearchDisplay.from_search(search, "epsilon").figure_
figure.savefig(Path(__file__).parents[1] / "images" / "search.png", dpi=90)
