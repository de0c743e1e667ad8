"""
Reading calibration from pictures
=================================

One figure with all displays: a naive Bayes classifier, which is too sure of itself, and a network with
smoothed labels, their confidences, one class, all classes, and how the rule smoothed.

Run ``python examples/plot_calibration_displays.py [FILE]``; without FILE the figure is shown on the screen.
"""

# %%
# Two classifiers
# ---------------
# Displays and report take any classifier's probabilities. The smoothing curve needs one of ours.

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import ReliabilityDisplay, SmoothingCurveDisplay
from sk_ils.metrics import calibration_report

X, y = make_classification(
    n_samples=6000, n_features=20, n_informative=10, n_classes=8, flip_y=0.05, random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=2000, stratify=y, random_state=0)

network = make_pipeline(StandardScaler(), InstanceSmoothedClassifier(random_state=0))
models = {"naive Bayes": GaussianNB(), "network, ILS2": network}
for clf in models.values():
    clf.fit(X_train, y_train)
y_proba = {name: clf.predict_proba(X_test) for name, clf in models.items()}

# %%
# The numbers
# -----------
# The report says what the pictures cannot: how large an error would be by chance alone.

print(calibration_report(y_test, y_proba, random_state=0))

# %%
# All displays in one figure
# --------------------------
# A display draws into any axes; the class-wise one divides its axes into a grid.

figure = plt.figure(figsize=(13, 12), layout="constrained")
top, bottom = figure.add_gridspec(2, 1, height_ratios=(1, 1.6))
left, middle, right = (figure.add_subplot(place) for place in top.subgridspec(1, 3))

ReliabilityDisplay.from_predictions(y_test, y_proba, ax=left)
left.set_title("Confidence", pad=48)
ReliabilityDisplay.from_predictions(y_test, y_proba, kind=5, ax=middle)
middle.set_title("One class", pad=48)
SmoothingCurveDisplay.from_estimator(network, X_train, y_train, ax=right)
right.set_title("What the teacher's view made of the labels", pad=48)
grid = figure.add_subplot(bottom)
ReliabilityDisplay.from_predictions(y_test, y_proba, kind="classwise", ax=grid)

if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=110)
else:
    plt.show()
