"""What a clean hold-out is worth: ``python docs/figures/images.py`` (some minutes)."""

import matplotlib.pyplot as plt
import numpy as np
from programs import run, save_figure
from sklearn.metrics import log_loss
from skorch.helper import predefined_split

from sk_ils import InstanceSmoothedClassifier

SEEDS = range(10)


def main() -> None:
    """Train the page's network in three ways with each seed, print the losses and draw them."""
    names = run("images")
    ConvNet, Images = names["ConvNet"], names["Images"]
    train, held_out, test = (names[name] for name in ("train", "held_out", "test"))
    ways = {
        "no augmentation": (Images(*train), Images(*held_out)),
        "augmented, clean hold-out": (Images(*train, augment=True), Images(*held_out)),
        "augmented, augmented hold-out": (
            Images(*train, augment=True),
            Images(*held_out, augment=True),
        ),
    }
    losses = np.empty((len(ways), len(SEEDS)))
    for place, (name, (rows, holds)) in enumerate(ways.items()):
        for seed in SEEDS:
            clf = InstanceSmoothedClassifier(
                ConvNet,
                teacher_mode="online",
                train_split=predefined_split(holds),
                random_state=seed,
                **names["settings"] | {"max_epochs": 30},
            )
            losses[place, seed] = log_loss(test[1], clf.fit(rows).predict_proba(Images(*test)))
        print(f"{name}: log loss {losses[place].mean():.4f}, by seed {losses[place].round(4).tolist()}")
    difference = losses[1] - losses[2]
    error = difference.std(ddof=1) / np.sqrt(len(SEEDS))
    print(f"clean minus augmented hold-out: {difference.mean():.4f} +- {error:.4f}")
    plt.close("all")
    _, ax = plt.subplots(figsize=(7.5, 2.4), layout="constrained")
    places = -np.arange(len(ways))
    ax.plot(losses, places, "o-", color="#0072B2", alpha=0.35)
    ax.plot(losses.mean(axis=1), places, "|", color="#D55E00", markersize=20, markeredgewidth=3)
    ax.set_yticks(places, list(ways))
    ax.set_ylim(places[-1] - 0.5, 0.5)
    ax.set_xlabel("log loss of clean test images (nats)")
    save_figure(1, "images")


if __name__ == "__main__":
    main()
