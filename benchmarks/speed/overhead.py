"""What the estimator costs beside a hand-written torch loop with the same mathematics.

Run ``python -m benchmarks.speed.overhead``. Prints one table: seconds per epoch (fit) or per call
(predict_proba), medians over interleaved repetitions in one process, as ratios to the hand-written loop of
the same row.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.plain import PlainMLP
from sk_ils import InstanceSmoothedClassifier
from sk_ils.smoothing import ILS

N_ROWS, N_FEATURES, N_CLASSES = 50_000, 64, 10


class SmallConvNet(nn.Module):
    """Two convolutions and a linear layer for 8 x 8 images."""

    def __init__(self, n_classes=N_CLASSES):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(512, n_classes),
        )

    def forward(self, X):
        """Return logits for rows of 64 values."""
        return self.layers(X.reshape(-1, 1, 8, 8))


def make_data(n_rows):
    """Return inputs, labels and a teacher's probabilities."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    logits = X @ rng.normal(size=(N_FEATURES, N_CLASSES)).astype(np.float32) / 4
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    y = (rng.random((n_rows, 1)) > proba.cumsum(axis=1)).sum(axis=1).clip(max=N_CLASSES - 1)
    return X, y, proba


def hand_fit(X, target, X_valid, y_valid, *, batch_size, epochs, module, target_of_batch=None):
    """Train as a careful user would by hand: no synchronisation in the loop, best epoch kept."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    best, state = float("inf"), None
    for _ in range(epochs):
        module.train()
        losses = []
        for index in torch.randperm(len(X), device=X.device).split(batch_size):
            batch = X[index]
            soft = target[index] if target_of_batch is None else target_of_batch(batch, target[index])
            optimizer.zero_grad()
            loss = cross_entropy(module(batch), soft)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        torch.stack(losses).mean().item()
        module.eval()
        with torch.no_grad():
            total, hits = torch.zeros(2, device=X.device)
            for start in range(0, len(X_valid), batch_size):
                logits = module(X_valid[start : start + batch_size])
                labels = y_valid[start : start + batch_size]
                total += cross_entropy(logits, labels, reduction="sum")
                hits += (logits.argmax(dim=1) == labels).sum()
        if total.item() < best:
            best = total.item()
            state = {name: value.clone() for name, value in module.state_dict().items()}
    module.load_state_dict(state)
    return module


def hand_predict(module, X, batch_size):
    """Return probabilities."""
    module.eval()
    with torch.no_grad():
        parts = [torch.softmax(module(X[i : i + batch_size]), dim=1) for i in range(0, len(X), batch_size)]
    return torch.cat(parts).cpu().numpy()


def interleaved(contenders, repetitions):
    """Return the median seconds of each contender, which take turns; the first turn is a warm-up."""
    seconds = {name: [] for name in contenders}
    for turn in range(repetitions + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def print_rows(title, seconds, reference):
    """Print one line for each contender."""
    for name, value in seconds.items():
        ratio = value / seconds[reference]
        print(f"{title:<26} {name:<38} {1000 * value:9.1f} ms   {ratio:6.2f}x", flush=True)


def compare_fit_and_predict(batch_size, epochs, repetitions, data):
    """Compare our estimator and stock skorch with the hand-written loop."""
    X, y, proba = data
    X_train, X_valid, y_train, y_valid, p_train, _ = train_test_split(
        X, y, proba, test_size=0.2, random_state=0
    )
    valid = predefined_split(Dataset(X_valid, y_valid))
    tensors = [torch.from_numpy(part) for part in (X_train, X_valid, y_valid)]
    common = {
        "module": PlainMLP,
        "module__hidden_sizes": (64, 64),
        "optimizer": torch.optim.AdamW,
        "lr": 1e-3,
        "batch_size": batch_size,
        "max_epochs": epochs,
        "train_split": valid,
        "verbose": 0,
        "device": "cpu",
    }
    ours = InstanceSmoothedClassifier(**common, smoothing="ils", patience=None, random_state=0)
    stock = NeuralNetClassifier(
        **common,
        module__n_features_in=N_FEATURES,
        module__n_classes=N_CLASSES,
        criterion=nn.CrossEntropyLoss,
        iterator_train__shuffle=True,
    )

    def by_hand():
        soft = torch.from_numpy(ILS().targets(y_train, np.log(p_train).astype(np.float32)))
        module = PlainMLP(N_FEATURES, N_CLASSES, (64, 64))
        return hand_fit(tensors[0], soft, *tensors[1:], batch_size=batch_size, epochs=epochs, module=module)

    contenders = {
        "hand-written loop": by_hand,
        "InstanceSmoothedClassifier": lambda: ours.fit(X_train, y_train, teacher_proba=p_train),
        "stock skorch (hard labels)": lambda: stock.fit(X_train, y_train),
    }
    seconds = interleaved(contenders, repetitions)
    per_epoch = {name: value / epochs for name, value in seconds.items()}
    print_rows(f"epoch of fit, batch {batch_size}", per_epoch, "hand-written loop")

    module, X_all = by_hand(), torch.from_numpy(X)
    contenders = {
        "hand-written loop": lambda: hand_predict(module, X_all, batch_size),
        "InstanceSmoothedClassifier": lambda: ours.predict_proba(X),
        "stock skorch": lambda: stock.predict_proba(X),
    }
    seconds = interleaved(contenders, 3 * repetitions)
    print_rows(f"predict_proba, batch {batch_size}", seconds, "hand-written loop")


def compare_teachers(title, make_module, batch_size, epochs, repetitions, data):
    """Compare a teacher asked once with one asked in every batch, all hand-written."""
    X, y, _ = data
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    X_valid, y_valid, X, y = X[::5], y[::5], X[1::5], y[1::5]
    teacher = make_module().eval()
    rule = ILS()

    def cached():
        with torch.no_grad():
            logits = torch.cat([teacher(part) for part in X.split(batch_size)])
        run(rule.torch_targets(y, logits))

    def ask(batch, labels):
        with torch.no_grad():
            return rule.torch_targets(labels, teacher(batch))

    def run(target, target_of_batch=None):
        hand_fit(
            X,
            target,
            X_valid,
            y_valid,
            batch_size=batch_size,
            epochs=epochs,
            module=make_module(),
            target_of_batch=target_of_batch,
        )

    contenders = {
        "hard labels": lambda: run(y),
        "teacher asked once (cached)": cached,
        "teacher asked in every batch": lambda: run(y, ask),
    }
    seconds = interleaved(contenders, repetitions)
    print_rows(title, {name: value / epochs for name, value in seconds.items()}, "hard labels")


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.overhead", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = make_data(N_ROWS)
    for batch_size, epochs in ((128, 8), (1024, 20)):
        compare_fit_and_predict(batch_size, epochs, arguments.repetitions, data)
    compare_teachers(
        "hand loop, MLP 256-256",
        lambda: PlainMLP(N_FEATURES, N_CLASSES, (256, 256)),
        128,
        10,
        arguments.repetitions,
        data,
    )
    compare_teachers("hand loop, small conv net", SmallConvNet, 128, 8, arguments.repetitions, data)


if __name__ == "__main__":
    main()
