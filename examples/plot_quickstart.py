"""
Quickstart: how sure is it of a digit?
======================================

A neural network learns handwritten digits. It says how sure it is of each new image, and we check whether it
may be believed.
"""

# %%
# Fit
# ---
# :class:`sk_ils.InstanceSmoothedClassifier` is a scikit-learn classifier. Without further parameters it holds
# out a fifth of the rows, trains a teacher network on the labels as they are, smooths the labels by what the
# teacher thinks of each row, trains the network itself on the smoothed labels, and scales its temperature on
# the rows that were held out.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_ils import InstanceSmoothedClassifier
from sk_ils.inspection import ReliabilityDisplay, TrainingDisplay
from sk_ils.metrics import calibration_report

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

clf = InstanceSmoothedClassifier(random_state=0).fit(X_train, y_train)
print(f"Accuracy on {len(y_test)} test images: {clf.score(X_test, y_test):.3f}")

# %%
# How the training went
# ---------------------
# A marker is at the epoch that was kept: the one with the lowest loss on the rows that were held out (solid
# lines). The losses of the student are higher. Its labels are smoothed, so no network could bring its
# training loss to zero; and on the hold-out it is less sure than it should be, until the temperature mends
# that after the last epoch.

training = TrainingDisplay.from_estimator(clf)
print(f"Temperature of the student: {clf.temperature_:.2f}")

# %%
# May it be believed?
# -------------------
# Of all images of which a network is 80 % sure, 80 % should be the digit that it says. Points on the diagonal
# are as they should be, points below it are too sure. A hollow marker stands for fewer than ten images. Most
# images are in the last bin: the network is nearly certain, and it is right.

reliability = ReliabilityDisplay.from_estimator(clf, X_test, y_test, n_bins=10)

# %%
# A calibration error is never zero on a finite number of rows. ``null_high`` says how large it would be by
# chance alone: a perfectly calibrated network would show less than that in 95 of 100 cases. The error of the
# confidence, the first of the two, is below it. The class-wise one, which looks at all ten probabilities of
# each image, is a little above.

proba = clf.predict_proba(X_test)
report = calibration_report(y_test, proba, n_bins=10, random_state=0)
print(report.frame()[["value", "null_high"]].round(4))

# %%
# What it doubts
# --------------
# The ten images of which it is least sure, each with its two most probable digits and the true one. It is
# wrong on more than half of them, so a person should look at such images. On all 899 images it is wrong on 3
# %.

doubtful = np.argsort(proba.max(axis=1))[:10]
figure, axes = plt.subplots(2, 5, figsize=(9, 5), layout="constrained")
for ax, i in zip(axes.ravel(), doubtful, strict=True):
    first, second = np.argsort(proba[i])[:-3:-1]
    ax.imshow(X_test[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(
        f"{first} ({proba[i, first]:.0%}) or {second} ({proba[i, second]:.0%})\ntruth: {y_test[i]}",
        fontsize="medium",
    )
    ax.set_axis_off()
plt.show()
