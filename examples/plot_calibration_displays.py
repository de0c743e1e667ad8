"""
Reading calibration from pictures
=================================

What a reliability diagram shows of the confidence, of one class and of all classes, and how a rule has
smoothed the labels. The classifiers are a naive Bayes, which is too sure of itself, and a network with
smoothed labels.
"""

# %%
# Two classifiers
# ---------------
# Displays and report take any classifier's probabilities. The picture of the smoothing needs a network of
# ours.

import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import ReliabilityDisplay, SmoothingCurveDisplay
from sk_ils.metrics import calibration_report

X, y = make_classification(
    n_samples=6000, n_features=20, n_informative=10, n_classes=8, flip_y=0.05, random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=2000, stratify=y, random_state=0)

network = InstanceSmoothedClassifier(random_state=0).fit(X_train, y_train)
models = {"naive Bayes": GaussianNB().fit(X_train, y_train), "network": network}
y_proba = {name: clf.predict_proba(X_test) for name, clf in models.items()}

# %%
# The confidence, and one class
# -----------------------------
# At the left: how often the predicted class is the true one, against its probability. At the right: how often
# class 5 is the true one, whatever was predicted. A marker stands for a bin of probabilities, its line for
# the 95 % interval of the frequency, and the strip above shows how many rows are in each bin. Hollow markers
# have fewer than ten rows, and say little. A display draws into any axes.

figure, axes = plt.subplots(1, 2, figsize=(9, 6), layout="constrained")
ReliabilityDisplay.from_predictions(y_test, y_proba, ax=axes[0])
axes[0].set_title("Confidence", pad=48)
ReliabilityDisplay.from_predictions(y_test, y_proba, kind=5, ax=axes[1])
_ = axes[1].set_title("Class 5", pad=48)

# %%
# All classes
# -----------
# The worst calibrated class is the first one. The numbers are the errors of each class.

classwise = ReliabilityDisplay.from_predictions(y_test, y_proba, kind="classwise")

# %%
# The numbers
# -----------
# The report says what the pictures cannot: how large an error would be by chance alone. ``null_median`` and
# ``null_high`` are the 0.5 and the 0.95 quantile of the error that a perfectly calibrated classifier with
# these probabilities would show.

report = calibration_report(y_test, y_proba, random_state=0)
errors = ["expected_calibration_error", "classwise_calibration_error"]
table = report.frame().loc[(list(models), errors), ["value", "null_median", "null_high"]]
print(table.round(4).to_string())

# %%
# All four errors are larger than chance would have them. That of the network's confidence is so by little,
# that of naive Bayes is more than twice as large as chance explains.
#
# What became of the labels
# -------------------------
# The network's rule, ILS2, takes 0.1 from every label and divides it among the wrong classes as its teacher
# sees the row. The map shows the mean over the training rows of each class: the brighter, the more the
# teacher takes rows of that class for the other one.

smoothing = SmoothingCurveDisplay.from_estimator(network, X_train, y_train)
plt.show()
