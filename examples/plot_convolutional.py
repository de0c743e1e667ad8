"""
A convolutional network on images that move
===========================================

Training images are moved by up to a pixel, anew in each epoch, so there seem to be more of them. The teacher
has to look at the same moved images as the student: ``teacher_mode="online"``.
"""

# %%
# Images, as they are and moved
# -----------------------------
# The digits of scikit-learn have 8 times 8 pixels. A torch Dataset gives an image and its label; this one
# moves the image.

import matplotlib.pyplot as plt
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from skorch.callbacks import LRScheduler
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from sk_ils import InstanceSmoothedClassifier, TeacherClassifier
from sk_ils.inspection import TrainingDisplay
from sk_ils.metrics import expected_calibration_error


class MovedImages(Dataset):
    """Images that are moved by up to one pixel, anew whenever one is asked for."""

    def __init__(self, images, targets):
        self.targets = targets
        self.padded = nn.functional.pad(images, (1, 1, 1, 1))

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        down, right = torch.randint(3, (2,)).tolist()
        return self.padded[index, :, down : down + 8, right : right + 8], self.targets[index]


digits = load_digits()
images = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]  # (image, channel, row, column)
labels = torch.tensor(digits.target)

torch.manual_seed(0)
moved = MovedImages(images, labels)
figure, axes = plt.subplots(1, 6, figsize=(9, 1.8), layout="constrained")
axes[0].imshow(images[3, 0].numpy(), cmap="gray_r")
axes[0].set_title("as it is", fontsize="medium")
for ax in axes[1:]:
    ax.imshow(moved[3][0][0].numpy(), cmap="gray_r")
for ax in axes:
    ax.set_axis_off()

# %%
# The network
# -----------
# Any torch module that returns a logit for each class. ``n_classes`` is filled in by ``fit``.


class ConvNet(nn.Sequential):
    """Two convolutions, each with pooling, and a linear layer."""

    def __init__(self, n_classes):
        super().__init__(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(128, n_classes)),
        )


# %%
# Four ways to train it
# ---------------------
# 450 images train, 150 are held out, and the other 1,197 test. The learning rate goes down to zero, by a
# callback of skorch. Images that are held out must not move: they are given as a Dataset of their own. The
# numbers are means over two splits.


def train_and_test(seed):
    """Return the fitted classifiers and their scores on the test images, by name."""
    known, test = train_test_split(range(len(labels)), train_size=600, stratify=labels, random_state=seed)
    train, held_out = train_test_split(known, train_size=450, stratify=labels[known], random_state=seed)
    parameters = {
        "module": ConvNet,
        "train_split": predefined_split(TensorDataset(images[held_out], labels[held_out])),
        "lr": 0.01,
        "max_epochs": 100,
        "patience": None,
        "callbacks": [LRScheduler("CosineAnnealingLR", T_max=100)],
        "batch_size": 64,
        "random_state": seed,
        "device": "cpu",
    }
    plain, moved = TensorDataset(images[train], labels[train]), MovedImages(images[train], labels[train])
    classifiers = {
        "hard labels": TeacherClassifier(**parameters).fit(plain),
        "ILS2": InstanceSmoothedClassifier(**parameters).fit(plain),
        "hard labels, moved": TeacherClassifier(**parameters).fit(moved),
        "ILS2, moved": InstanceSmoothedClassifier(teacher_mode="online", **parameters).fit(moved),
    }
    scores = {}
    for name, clf in classifiers.items():
        proba = clf.predict_proba(images[test])
        scores[name] = {
            "accuracy": (proba.argmax(axis=1) == labels[test].numpy()).mean(),
            "log loss": log_loss(labels[test], proba),
            "ECE": expected_calibration_error(labels[test], proba),
        }
    return classifiers, pd.DataFrame.from_dict(scores, orient="index")


runs = [train_and_test(seed) for seed in range(2)]
print((sum(scores for _, scores in runs) / len(runs)).round(3).to_string())

# %%
# Both help: smoothed labels lower the log loss, and so do moved images. Together they are the lowest, but
# hardly lower than smoothed labels alone. With two splits such a small difference says nothing.
#
# What moving changes
# -------------------
# Without it the teacher soon knows its training images by heart: its training loss goes to zero, and its loss
# on the hold-out stays where it is. With it the two losses stay together, and training goes on to be worth it
# for longer. The student's training loss cannot go to zero, since its labels are smoothed, and its loss on
# the hold-out is that before its temperature.

classifiers, _ = runs[0]
figure, axes = plt.subplots(1, 2, figsize=(9.5, 5), layout="constrained", sharey=True)
for ax, name in zip(axes, ("ILS2", "ILS2, moved"), strict=True):
    TrainingDisplay.from_estimator(classifiers[name], ax=ax)
    ax.set(title=name, ylim=(0, 1.2))
plt.show()
