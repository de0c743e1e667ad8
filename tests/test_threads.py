"""Fits in several threads: the networks of a fit alone, and torch's generators as they were."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV
from torch import nn

from sk_ils._net.seeding import others_may_fit, seeded


class Dropout(nn.Module):
    """Draws initial weights, and in every batch."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.3), nn.Linear(n_features_in, n_classes))

    def forward(self, X):
        return self.layers(X)


def run_in_threads(function, arguments, n_threads=4):
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, arguments))


def test_fits_in_threads_give_the_networks_of_fits_alone(student, table):
    X, y = table

    def probabilities(seed):
        return student(module=Dropout, max_epochs=3, random_state=seed).fit(X, y).predict_proba(X)

    alone = [probabilities(seed) for seed in range(3)]
    assert not np.allclose(alone[0], alone[1]), "the seed does not matter: nothing is tested"
    together = run_in_threads(probabilities, [*range(3)] * 4)
    for number, proba in enumerate(together):
        np.testing.assert_array_equal(proba, alone[number % 3])


def test_a_search_in_threads_gives_the_scores_of_one_alone(student, table):
    X, y = table

    def scores(n_threads):
        search = GridSearchCV(
            student(module=Dropout, max_epochs=2),
            {"smoothing__epsilon": [0.1, 0.2, 0.3]},
            cv=3,
            n_jobs=n_threads,
        )
        with parallel_config("threading"):
            return search.fit(X, y).cv_results_["mean_test_score"]

    np.testing.assert_array_equal(scores(4), scores(1))


def test_a_teacher_that_fits_networks_in_threads_does_not_wait_for_ever(student, teacher, table):
    X, y = table
    inner = GridSearchCV(teacher(module=Dropout, max_epochs=2), {"lr": [0.01, 0.1]}, cv=2, n_jobs=2)

    def probabilities(_):
        with parallel_config("threading"):
            return student(teacher=inner, max_epochs=2).fit(X, y).predict_proba(X)

    alone = probabilities(0)
    for proba in run_in_threads(probabilities, range(3)):
        np.testing.assert_array_equal(proba, alone)


def test_predictions_do_not_wait_for_a_fit(teacher, table):
    X, y = table
    clf = teacher().fit(X, y)
    with seeded(0, "cpu"), ThreadPoolExecutor(1) as pool:
        pool.submit(clf.predict_proba, X).result(timeout=60)


def test_the_users_stream_survives_turns_inside_each_other():
    before = torch.get_rng_state()
    first_is_away, second_is_done = threading.Event(), threading.Event()
    draws = {}

    def first():
        with seeded(1, "cpu"):
            torch.rand(1)
            with others_may_fit():
                first_is_away.set()
                second_is_away.wait(60)
            draws["first"] = torch.rand(1)
        second_may_end.set()

    def second():
        first_is_away.wait(60)
        with seeded(2, "cpu"):
            draws["second"] = torch.rand(1)
            with others_may_fit():
                second_is_away.set()
                second_may_end.wait(60)
        second_is_done.set()

    second_is_away, second_may_end = threading.Event(), threading.Event()
    run_in_threads(lambda function: function(), [first, second])
    assert second_is_done.is_set()
    expected = torch.Generator().manual_seed(1)
    torch.rand(1, generator=expected)
    assert draws["first"] == torch.rand(1, generator=expected)
    assert draws["second"] == torch.rand(1, generator=torch.Generator().manual_seed(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_error_ends_the_turn():
    with pytest.raises(RuntimeError, match="no teacher"), seeded(0, "cpu"), others_may_fit():
        raise RuntimeError("no teacher")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(_draw).result(timeout=60) == _draw()


def _draw():
    with seeded(0, "cpu"):
        return torch.rand(1)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_process_that_is_forked_in_the_middle_of_another_threads_fit_can_fit():
    inside, done = threading.Event(), threading.Event()

    def hold():
        with seeded(0, "cpu"):
            inside.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(60)
    child = multiprocessing.get_context("fork").Process(target=_draw)
    child.start()
    child.join(30)
    code = child.exitcode
    child.kill()
    done.set()
    thread.join()
    assert code == 0
