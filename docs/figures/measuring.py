"""Draw docs/images/measuring.png: the reliability of a forest and of a network.

Run it as ``python docs/figures/measuring.py``.
"""

from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import ReliabilityDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
models = {
    "forest": RandomForestClassifier(50, random_state=0),
    "network": InstanceSmoothedClassifier(max_epochs=15, random_state=0),
}
proba = {name: model.fit(X_train, y_train).predict_proba(X_test) for name, model in models.items()}
display = ReliabilityDisplay.from_predictions(y_test, proba, n_bins=10)
display.figure_.savefig(Path(__file__).parents[1] / "images" / "measuring.png", dpi=90)
