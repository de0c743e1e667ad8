"""Fits in several threads: the networks of a fit alone, and torch's generators as they were."""

import multiprocessing
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV
from torch import nn

from sk_ils import SmoothingSearchCV
from sk_ils._net import threads
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


# --- torch's own threads --------------------------------------------------------------------------


class Noting(nn.Module):
    """Notes in each call whether it trains, and how many threads torch has."""

    calls: list = []  # noqa: RUF012

    def __init__(self, n_features_in, n_classes, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_features_in, width), nn.Linear(width, n_classes))

    def forward(self, X):
        self.calls.append((self.training, torch.get_num_threads()))
        return self.layers(X)


@pytest.fixture
def three_threads(monkeypatch):
    """Let the user allow three threads, whatever the machine has, and count small steps as large."""
    monkeypatch.setattr(threads, "_THREADED_FLOPS", 1e8)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    Noting.calls.clear()
    yield
    assert torch.get_num_threads() == 3, "the user's setting was not left as it was"
    torch.set_num_threads(before)


def mkl_threads():
    """Return how many threads MKL takes in the calling thread, None if torch has no MKL."""
    found = re.search(r"mkl_get_max_threads\(\) : (\d+)", torch.__config__.parallel_info())
    return None if found is None else int(found[1])


@pytest.mark.skipif(mkl_threads() is None, reason="torch without MKL")
def test_matrix_products_are_limited_too_after_the_user_has_set_a_number(three_threads):
    assert mkl_threads() == 3
    with threads.threads_for(1e8 - 1, torch.device("cpu")):
        assert torch.get_num_threads() == mkl_threads() == 1
        with threads.threads_for(1, torch.device("cpu")):
            assert mkl_threads() == 1
        assert mkl_threads() == 1
    assert mkl_threads() == 3
    with threads.threads_for(1e8, torch.device("cpu")):
        assert mkl_threads() == 3


@pytest.mark.parametrize(("width", "training", "prediction"), [(8, 1, 1), (40_000, 3, 1), (400_000, 3, 3)])
def test_a_step_gets_the_threads_that_its_work_is_worth(
    table, student, three_threads, width, training, prediction
):
    X, y = table
    net = student(module=Noting, module__width=width, smoothing="none", max_epochs=1, batch_size=-1)
    net.set_params(iterator_valid__batch_size=32).fit(X, y).predict_proba(X)
    assert set(Noting.calls) == {(True, training), (False, prediction)}


def test_a_stack_gets_the_threads_of_all_its_networks(table, student, three_threads):
    X, y = table
    net = student(module=Noting, module__width=4_000, smoothing="none", max_epochs=1, batch_size=-1)
    net.fit(X, y)
    assert (True, 1) in Noting.calls
    Noting.calls.clear()
    grid = {"smoothing": ["uniform"], "smoothing__epsilon": [0.01 * k for k in range(1, 13)]}
    SmoothingSearchCV(net, grid, cv=2, refit=lambda results: 0, error_score="raise").fit(X, y)
    assert (True, 3) in Noting.calls


def test_a_user_who_allows_one_thread_gets_no_more(table, student):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        Noting.calls.clear()
        student(module=Noting, module__width=60_000, smoothing="none", max_epochs=1).fit(*table)
    finally:
        torch.set_num_threads(before)
    assert {threads for _, threads in Noting.calls} == {1}


def test_a_fit_limits_no_other_thread(table, student, three_threads):
    elsewhere = []

    class Asking(Noting):
        def forward(self, X):
            other = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
            other.start()
            other.join()
            return super().forward(X)

    student(module=Asking, smoothing="none", max_epochs=1).fit(*table)
    assert (True, 1) in Noting.calls
    assert set(elsewhere) == {3}


def test_a_convolution_counts_for_each_pixel(student, three_threads):
    class Convolving(Noting):
        def __init__(self, n_features_in, n_classes):
            nn.Module.__init__(self)
            convolution = nn.Conv2d(n_features_in, 16, 3, padding="same")
            self.layers = nn.Sequential(convolution, nn.Flatten(), nn.Linear(16 * 32 * 32, n_classes))

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 8, 32, 32)).astype(np.float32), np.arange(60) % 3
    student(module=Convolving, smoothing="none", max_epochs=2).fit(X, y)
    # Before the first step is counted the weights alone, each used once, are worth one thread.
    assert Noting.calls[0] == (True, 1)
    assert Noting.calls[-2] == (False, 3) or (True, 3) in Noting.calls


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_layer_without_units_is_counted_as_no_work(student, table):
    class Hollow(nn.Module):
        def __init__(self, n_features_in, n_classes):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(n_features_in, 0), nn.Linear(0, n_classes))

        def forward(self, X):
            return self.layers(X)

    X, y = table
    proba = student(module=Hollow, smoothing="none", max_epochs=1).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(proba, np.tile(proba[0], (len(y), 1)))
