"""Loaders yield every row once, in the order that the seed draws."""

import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from sk_ils._samples import subset
from sk_ils.batches import BatchLoader, DatasetLoader, SampleSet


def rows(n):
    return SampleSet(
        torch.arange(n, dtype=torch.float32)[:, None], torch.arange(n), weight=torch.arange(n) / 2
    )


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("n", "batch_size"), [(1, 4), (4, 4), (10, 4), (100, 3), (100, 1), (5, 100)])
def test_each_row_comes_once_with_its_own_targets(n, batch_size, shuffle):
    loader = BatchLoader(rows(n), batch_size, shuffle=shuffle, generator=torch.Generator().manual_seed(0))
    batches = list(loader)
    assert len(batches) == len(loader)
    X = torch.cat([X for X, _ in batches]).squeeze(1)
    assert X.sort().values.tolist() == list(range(n))
    for X, targets in batches:
        assert X.squeeze(1).tolist() == targets.y_encoded.tolist()
        assert (X.squeeze(1) / 2).tolist() == targets.weight.tolist()
        assert targets.soft is None
    if not shuffle:
        assert X.squeeze(1).tolist() == list(range(n))[-len(X) :]


def test_of_large_batches_few_are_gathered_at_once():
    soft = torch.empty(1, 1).expand(40, 2**22)  # 32 MB a batch
    loader = BatchLoader(rows(40).with_soft(soft), 2, shuffle=True, generator=torch.Generator())
    _, targets = next(iter(loader))
    assert targets.soft.shape == (2, 2**22)
    held = targets.soft.untyped_storage().nbytes()
    assert held == 2**25


@pytest.mark.parametrize(("n", "sizes"), [(9, [4, 5]), (10, [4, 4, 2]), (8, [4, 4]), (1, [1])])
def test_a_last_batch_of_one_row_joins_the_one_before(n, sizes):
    assert [len(X) for X, _ in BatchLoader(rows(n), 4)] == sizes


@pytest.mark.parametrize(("n", "sizes"), [(9, [4, 4]), (10, [4, 4]), (8, [4, 4]), (3, [])])
def test_drop_last_leaves_out_what_fills_no_batch(n, sizes):
    assert [len(X) for X, _ in BatchLoader(rows(n), 4, drop_last=True)] == sizes


@pytest.mark.parametrize(("n", "num_workers"), [(23, 0), (23, 2), (21, 0), (21, 2), (1, 0)])
def test_a_dataset_comes_in_the_same_batches_as_a_tensor(n, num_workers):
    dataset = SampleSet(TensorDataset(rows(n).X, torch.zeros(n)), torch.arange(n))
    orders = []
    for loader in (
        BatchLoader(rows(n), 4, shuffle=True, generator=torch.Generator().manual_seed(1)),
        DatasetLoader(
            dataset,
            batch_size=4,
            shuffle=True,
            generator=torch.Generator().manual_seed(1),
            num_workers=num_workers,
        ),
    ):
        epochs = [[X.squeeze(1).tolist() for X, _ in loader] for _ in range(2)]
        assert n == 1 or epochs[0] != epochs[1]
        assert len(loader) == len(epochs[0])
        orders.append(epochs)
    assert orders[0] == orders[1]


def test_taking_rows_of_a_dataset_takes_their_targets_along():
    dataset = SampleSet(TensorDataset(rows(9).X, torch.zeros(9)), torch.arange(9))
    part = dataset.take([7, 2])
    assert [part[0][0].item(), part[1][0].item()] == [7, 2]
    assert part.y_encoded.tolist() == [7, 2]


def test_a_subset_gives_its_dataset_pythons_integers_and_knows_its_numbers():
    asked = []

    class Noting(TensorDataset):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    part = subset(Noting(torch.arange(10)), np.array([7, 2, 5], dtype=np.int32))
    assert [item[0].item() for item in part] == [7, 2, 5]
    assert part[1][0] == 2
    assert {type(index) for index in asked} == {int}
    assert np.asarray(part.indices, dtype=np.int64).tolist() == list(part.indices) == [7, 2, 5]
    sent = pickle.loads(pickle.dumps(subset(TensorDataset(torch.arange(10)), np.array([7, 2]))))
    assert [item[0].item() for item in sent] == [7, 2]


@pytest.mark.parametrize("n", [20_000, 20_001])  # the last batch of the second has one row
def test_the_order_of_a_dataset_takes_few_bytes_a_row(n):
    samples = SampleSet(TensorDataset(torch.zeros(n, 1), torch.zeros(n)), torch.zeros(n, dtype=torch.int64))
    loader = DatasetLoader(samples, shuffle=True, generator=torch.Generator(), batch_size=10)
    next(iter(loader))  # loads what is loaded late
    tracemalloc.start()
    next(iter(loader))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * n  # a list of numbers takes 40
