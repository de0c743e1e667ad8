"""Draw docs/images/posthoc.png: naive Bayes before and after calibration.

Run it as ``python docs/figures/posthoc.py``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from sk_ils.inspection import ReliabilityDisplay
from sk_ils.temperature import TemperatureScaledClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
models = {
    "as it comes": GaussianNB(),
    "temperature": TemperatureScaledClassifier(GaussianNB()),
    "isotonic": CalibratedClassifierCV(GaussianNB(), method="isotonic"),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 4.6), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    proba = model.fit(X_train, y_train).predict_proba(X_test)
    ReliabilityDisplay.from_predictions(y_test, proba, n_bins=10, name=name, ax=ax)
figure.savefig(Path(__file__).parents[1] / "images" / "posthoc.png", dpi=90)
