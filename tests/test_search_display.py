from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, ParameterGrid, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from sk_ils import SmoothingSearchCV
from sk_ils.inspection import SearchCell, SearchDisplay
from sk_ils.inspection._search_cells import SearchResults
from sk_ils.inspection._search_edges import grid_edges
from sk_ils.smoothing import ILS, ILS1

C, GAMMA = [10.0, 0.1, 1.0], [0.1, 0.01]


pytestmark = pytest.mark.usefixtures("headless")


@pytest.fixture(scope="module")
def svc_search():
    """A search of 3 x 2 x 2 candidates, of which the third parameter is hidden in a picture of the others."""
    grid = {"C": C, "gamma": GAMMA, "shrinking": [True, False]}
    return GridSearchCV(SVC(), grid, cv=4).fit(*load_iris(return_X_y=True))


def made_up(grid, scores, **attributes):
    """A fitted search with these scores of the candidates (rows) in the splits (columns)."""
    scores = np.asarray(scores, dtype=float)
    results = {"params": list(ParameterGrid(grid)), "mean_test_score": scores.mean(axis=1)}
    results |= {f"split{i}_test_score": split for i, split in enumerate(scores.T)}
    assert len(results["params"]) == len(scores)
    return SimpleNamespace(cv_results_=results, **attributes)


def my_hits(clf, X, y):
    return clf.score(X, y)


def neg_my_misses(clf, X, y):
    return clf.score(X, y) - 1


def texts_of(display):
    return [["" if text is None else text.get_text() for text in row] for row in display.text_]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# The numbers


@pytest.mark.parametrize("names", [["C"], ["gamma"], ["C", "gamma"], ["shrinking", "C"]])
def test_a_cell_has_mean_and_standard_error_of_the_best_candidate_that_shares_it(svc_search, names):
    results = svc_search.cv_results_
    frame = SearchDisplay.from_search(svc_search, *names).frame()
    assert list(frame.columns) == [*names, "mean_score", "standard_error", "candidate", "n_candidates"]
    cells = {tuple(params[name] for name in names) for params in results["params"]}
    assert len(frame) == len(cells)
    assert {tuple(row) for row in frame[names].itertuples(index=False)} == cells
    for _, cell in frame.iterrows():
        sharing = [
            i for i, params in enumerate(results["params"]) if all(params[n] == cell[n] for n in names)
        ]
        best = max(sharing, key=lambda i: results["mean_test_score"][i])
        splits = np.array([results[f"split{k}_test_score"][best] for k in range(4)])
        assert cell["candidate"] == best
        assert cell["n_candidates"] == len(sharing)
        assert cell["mean_score"] == pytest.approx(splits.mean())
        assert cell["standard_error"] == pytest.approx(splits.std(ddof=1) / 2)


def test_a_failed_candidate_does_not_hide_another_and_is_counted():
    search = made_up({"a": [1, 2], "b": [1, 2]}, [[np.nan], [0.3], [np.nan], [np.nan]])
    frame = SearchDisplay.from_search(search, "a").frame()
    assert frame["mean_score"].tolist() == pytest.approx([0.3, np.nan], nan_ok=True)
    assert frame["candidate"].tolist() == [1, 2]
    assert frame["n_candidates"].tolist() == [2, 2]
    assert frame["standard_error"].isna().all()  # a single split


def test_candidates_without_the_parameter_are_left_out():
    grid = [{"rule": ["none"]}, {"rule": ["ils"], "rule__p": [1, 2]}, {"rule__p": [2], "rule__q": [5]}]
    search = made_up(grid, [[0.9, 0.9], [0.1, 0.3], [0.3, 0.5], [0.2, 0.6]])
    assert SearchDisplay.from_search(search, "p", "q").frame()["candidate"].tolist() == [3]
    assert SearchDisplay.from_search(search, "p").frame()["candidate"].tolist() == [1, 2, 3]


def test_where_shows_only_candidates_with_these_values():
    rules = [ILS(), ILS1(), ILS1(shift=0.9)]
    search = made_up({"s": rules, "s__curvature": [1, 2]}, np.arange(12).reshape(6, 2))
    frame = SearchDisplay.from_search(search, "s__curvature", where={"s": ILS1()}).frame()
    assert frame["candidate"].tolist() == [2, 3]
    assert SearchDisplay.from_search(search, "s", where={"curvature": 2.0}).frame()["candidate"].tolist() == [
        1,
        3,
        5,
    ]
    with pytest.raises(ValueError, match=r"No candidate has s__curvature and .*theirs are .*ILS1\(shift=0.9"):
        SearchDisplay.from_search(search, "curvature", where={"s": "ils"})


# Names of parameters


def test_parameters_of_a_pipeline_may_be_named_by_their_end():
    pipe = Pipeline([("scale", StandardScaler()), ("svc", SVC())])
    grid = {"svc__C": [1, 10], "svc__gamma": GAMMA}
    search = GridSearchCV(make_pipeline(MinMaxScaler(), pipe), {f"pipeline__{k}": v for k, v in grid.items()})
    search.fit(*load_iris(return_X_y=True))
    full = SearchDisplay.from_search(search, "pipeline__svc__C", "pipeline__svc__gamma").frame()
    assert list(full.columns[:2]) == ["pipeline__svc__C", "pipeline__svc__gamma"]
    for short in ("C", "svc__C"):
        display = SearchDisplay.from_search(search, short, "gamma")
        assert display.frame().equals(full)
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("C", "gamma")


def test_two_parameters_with_the_same_end_need_their_full_names():
    search = made_up({"a__p": [1], "b__p": [2, 3]}, [[1], [2]])
    with pytest.raises(ValueError, match=r"'p' may be any of \['a__p', 'b__p'\]: write the name in full"):
        SearchDisplay.from_search(search, "p")
    ax = SearchDisplay.from_search(search, "b__p", "a__p").ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("b__p", "a__p")


def test_a_name_that_is_a_parameter_is_not_taken_for_an_end():
    search = made_up({"p": [1, 2], "b__p": [3]}, [[1], [2]])
    assert SearchDisplay.from_search(search, "p").x == "p"


# Metrics


def test_a_loss_is_shown_with_its_own_sign():
    X, y = load_iris(return_X_y=True)
    scorer = make_scorer(log_loss, greater_is_better=False, response_method="predict_proba")
    for scoring in ("neg_log_loss", scorer):
        search = GridSearchCV(LogisticRegression(max_iter=500), {"C": C}, scoring=scoring).fit(X, y)
        display = SearchDisplay.from_search(search, "C")
        mean = display.frame().set_index("C")["mean_score"]
        np.testing.assert_allclose(mean[C], -search.cv_results_["mean_test_score"])
        assert display.ax_.get_ylabel() == "Cross-entropy (nats), less is better"
        kept = SearchDisplay.from_search(search, "C", negate_score=False)
        np.testing.assert_allclose(kept.frame()["mean_score"], -display.frame()["mean_score"])
        assert kept.frame()["standard_error"].equals(display.frame()["standard_error"])
        assert kept.ax_.get_ylabel() == "Negative cross-entropy (nats), more is better"


@pytest.mark.parametrize(
    ("scoring", "options", "label"),
    [
        (None, {}, "Score, more is better"),
        ("balanced_accuracy", {}, "Balanced accuracy, more is better"),
        (lambda clf, X, y: clf.score(X, y), {}, "Score, more is better"),
        (my_hits, {}, "My hits, more is better"),
        (neg_my_misses, {}, "My misses, less is better"),
        ("accuracy", {"negate_score": True}, "Negative accuracy, less is better"),
        ("accuracy", {"score_name": "Hits"}, "Hits, more is better"),
        ("neg_brier_score", {}, "Brier score, less is better"),
    ],
)
def test_other_scores_are_shown_as_they_are(scoring, options, label):
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1.0]}, scoring=scoring).fit(X, y)
    display = SearchDisplay.from_search(search, "var_smoothing", **options)
    assert display.ax_.get_ylabel() == label
    sign = -1 if "less" in label else 1
    np.testing.assert_array_equal(display.frame()["mean_score"], sign * search.cv_results_["mean_test_score"])


def test_of_several_metrics_the_one_that_refit_names_is_shown():
    X, y = load_iris(return_X_y=True)
    scoring = {
        "hits": "accuracy",
        "ce": make_scorer(log_loss, greater_is_better=False, response_method="predict_proba"),
    }
    grid = {"C": [1.0, 1e-3]}
    search = GridSearchCV(LogisticRegression(max_iter=500), grid, scoring=scoring, refit="ce").fit(X, y)
    default = SearchDisplay.from_search(search, "C")
    np.testing.assert_allclose(default.frame()["mean_score"], -search.cv_results_["mean_test_ce"])
    assert default.ax_.get_ylabel() == "Ce, less is better"
    other = SearchDisplay.from_search(search, "C", metric="hits")
    np.testing.assert_allclose(other.frame()["mean_score"], search.cv_results_["mean_test_hits"])
    assert other.ax_.get_ylabel() == "Hits, more is better"
    splits = [search.cv_results_[f"split{k}_test_hits"][0] for k in range(5)]
    assert other.frame()["standard_error"][0] == pytest.approx(np.std(splits, ddof=1) / np.sqrt(5))
    search.refit = False
    with pytest.raises(ValueError, match=r"pass metric=, one of \['hits', 'ce'\]"):
        SearchDisplay.from_search(search, "C")
    with pytest.raises(ValueError, match=r"no metric 'log_loss'. It has \['hits', 'ce'\]"):
        SearchDisplay.from_search(search, "C", metric="log_loss")


# The heat map


def test_a_cell_of_the_heat_map_stands_at_its_values(svc_search):
    display = SearchDisplay.from_search(svc_search, "C", "gamma")
    display.figure_.canvas.draw()
    ax, shown = display.ax_, display.im_.get_array()
    columns = {
        text.get_text(): tick for tick, text in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    }
    rows = {text.get_text(): tick for tick, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert list(columns) == ["0.1", "1", "10"]
    assert list(rows) == ["0.01", "0.1"]
    left, right, bottom, top = display.im_.get_extent()
    assert (left, right, bottom, top) == (-0.5, 2.5, -0.5, 1.5)  # y upwards, ticks in the middle
    for cell in display.cells:
        row, column = int(rows[f"{cell.y:g}"]), int(columns[f"{cell.x:g}"])
        assert shown[row, column] == cell.mean_score
        assert float(display.text_[row, column].get_text()) == pytest.approx(cell.mean_score, abs=1e-3)
        assert display.text_[row, column].get_position() == (column, row)


@pytest.mark.parametrize("negate", [False, True])
def test_the_best_cell_is_outlined_and_bright(negate):
    search = made_up({"a": [1, 2], "b": [1, 2, 3]}, [[0.1], [0.9], [0.2], [0.3], [0.4], [0.5]])
    display = SearchDisplay.from_search(search, "a", "b", negate_score=negate)
    (outline,) = display.ax_.patches
    assert outline.get_xy() == (-0.5, 0.5)  # a = 1, b = 2
    colours = display.im_.cmap(display.im_.norm(display.im_.get_array()))[..., :3].sum(axis=2)
    assert np.unravel_index(colours.argmax(), colours.shape) == (1, 0)


def test_missing_and_failed_cells_are_empty():
    grid = [{"a": [1], "b": [1, 2]}, {"a": [2], "b": [2]}]
    display = SearchDisplay.from_search(made_up(grid, [[0.5], [0.25], [np.nan]]), "a", "b")
    assert display.im_.get_array().mask.tolist() == [[False, True], [False, True]]
    assert texts_of(display) == [["0.500", ""], ["0.250", "nan"]]


def test_a_search_in_which_all_failed_can_be_drawn():
    search = made_up({"a": [1, 2], "b": [1]}, [[np.nan], [np.nan]])
    display = SearchDisplay.from_search(search, "a", "b")
    display.figure_.canvas.draw()
    assert texts_of(display) == [["nan", "nan"]]
    assert not display.ax_.patches


def test_values_need_not_be_numbers():
    grid = {"layers": [(64, 64), (8,)], "rule": [ILS1(shift=0.9), "none", None]}
    display = SearchDisplay.from_search(made_up(grid, np.arange(6)[:, None]), "layers", "rule")
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["(64, 64)", "(8,)"]
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["ILS1(shift=0.9)", "none", "None"]
    np.testing.assert_array_equal(display.im_.get_array(), [[0, 3], [1, 4], [2, 5]])


def test_equal_numbers_of_different_type_are_one_value_but_true_is_no_number():
    grid = [{"a": [1, np.int64(1), 2]}, {"a": [1.0], "b": [np.str_("one"), np.int64(7), np.True_, True]}]
    search = made_up(grid, np.arange(7)[:, None])
    assert SearchDisplay.from_search(search, "a").frame()["n_candidates"].tolist() == [6, 1]
    display = SearchDisplay.from_search(search, "b")
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["one", "7", "True"]
    display = SearchDisplay.from_search(made_up({"a": [1, True, float("nan")]}, [[1], [2], [3]]), "a")
    assert len(display.cells) == 3


@pytest.mark.parametrize(("shape", "numbers"), [((1, 1), True), ((6, 10), True), ((7, 9), False)])
def test_numbers_are_written_while_there_is_room(shape, numbers):
    grid = {"a": list(range(shape[0])), "b": list(range(shape[1]))}
    display = SearchDisplay.from_search(
        made_up(grid, np.random.default_rng(0).random((np.prod(shape), 2))), "a", "b"
    )
    display.figure_.canvas.draw()
    assert (display.text_ is not None) == numbers


def test_a_title_an_axes_and_keywords_pass_through(svc_search):
    _, ax = plt.subplots()
    display = SearchDisplay.from_search(svc_search, "C", "gamma", name="SVC", ax=ax, cmap="Blues")
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert ax.get_title() == "SVC"
    assert display.im_.get_cmap().name == "Blues"
    again = display.plot()
    assert again is display
    assert display.ax_ is not ax


# Lines


def test_a_line_runs_through_means_with_bars_of_the_standard_error(svc_search):
    display = SearchDisplay.from_search(svc_search, "C")
    frame = display.frame().sort_values("C")
    (bar,) = display.errorbar_
    x, y = bar.lines[0].get_data()
    assert list(x) == sorted(C)
    np.testing.assert_allclose(y, frame["mean_score"])
    ends = np.array([segment[:, 1] for segment in bar.lines[2][0].get_segments()])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * frame["standard_error"])
    assert display.ax_.get_xlabel() == "C"
    assert display.ax_.get_legend() is None
    assert display.im_ is display.text_ is None


def test_each_value_of_the_part_that_owns_the_parameter_has_a_line():
    grid = {"clf__rule": ["uniform", "ils2"], "clf__rule__epsilon": [0.2, 0.1], "clf__lr": [1, 2]}
    scores = np.array(
        [[0.1, 0.3], [0.2, 0.2], [0.9, 0.8], [0.5, 0.5], [0, 0], [0.4, 0.4], [0.3, 0.6], [0, 0]]
    )
    search = made_up(grid, scores)
    display = SearchDisplay.from_search(search, "epsilon")
    assert display.line == "clf__rule"
    assert legend_texts(display.ax_) == ["rule=uniform", "rule=ils2"]
    for rule, bar in zip(["uniform", "ils2"], display.errorbar_, strict=True):
        for epsilon, mean in zip(*bar.lines[0].get_data(), strict=True):
            wanted = {"clf__rule": rule, "clf__rule__epsilon": epsilon}
            sharing = [i for i, p in enumerate(search.cv_results_["params"]) if wanted.items() <= p.items()]
            assert mean == pytest.approx(scores[sharing].mean(axis=1).max())
    frame = display.frame()
    assert list(frame.columns[:2]) == ["clf__rule", "clf__rule__epsilon"]
    assert len({bar.lines[0].get_color() for bar in display.errorbar_}) == 2
    one = SearchDisplay.from_search(search, "epsilon", where={"rule": "ils2"})
    assert legend_texts(one.ax_) == ["rule=ils2"]


def test_searches_can_be_compared_in_one_axes(svc_search):
    first = SearchDisplay.from_search(svc_search, "C", name="first")
    second = SearchDisplay.from_search(svc_search, "C", name="second", ax=first.ax_, where={"gamma": 0.01})
    assert legend_texts(second.ax_) == ["first", "second"]
    assert first.errorbar_[0].lines[0].get_color() != second.errorbar_[0].lines[0].get_color()


def test_names_stand_in_the_order_of_the_search_and_are_not_joined():
    grid = [{"rule": ["uniform", "ils2"], "rule__epsilon": [0.1, 0.2]}, {"rule": ["none"]}]
    scores = np.array([[1, 2], [3, 4], [6, 7], [4, 5], [0, 0.5]])
    display = SearchDisplay.from_search(made_up(grid, scores), "rule")
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["uniform", "ils2", "none"]
    line = display.errorbar_[0].lines[0]
    assert list(line.get_ydata()) == [3.5, 6.5, 0.25]
    assert line.get_linestyle() == "None"


@pytest.mark.parametrize(
    ("values", "scale"), [([0.001, 0.2], "log"), ([0.01, 1.0], "linear"), ([0, 0.001, 5], "linear")]
)
def test_values_over_more_than_two_decades_get_a_logarithmic_axis(values, scale):
    display = SearchDisplay.from_search(made_up({"a": values}, np.ones((len(values), 2))), "a")
    display.figure_.canvas.draw()
    assert display.ax_.get_xscale() == scale


def test_line_keywords_pass_through(svc_search):
    display = SearchDisplay.from_search(svc_search, "C", color="red", linestyle="--")
    line = display.errorbar_[0].lines[0]
    assert (line.get_color(), line.get_linestyle()) == ("red", "--")


# Contract


def test_a_pipeline_that_ends_with_a_search_is_shown_as_the_search(svc_search):
    alone, last = (
        SearchDisplay.from_search(search, "C") for search in (svc_search, Pipeline([("search", svc_search)]))
    )
    pd.testing.assert_frame_equal(last.frame(), alone.frame())
    assert alone.edges
    assert str(last.edges) == str(alone.edges)


def test_a_search_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError, match=r"cv_results_.*got GridSearchCV without: call its fit"):
        SearchDisplay.from_search(GridSearchCV(SVC(), {"C": C}), "C")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("nu",),
            r"'nu' has not been searched over. The searched parameters are \['C', 'gamma', 'shrinking'\]",
        ),
        (("C", "nu"), "'nu' has not been searched over"),
        (("C", "C"), "must be two parameters, got 'C' for both"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(svc_search, arguments, message):
    with pytest.raises(ValueError, match=message):
        SearchDisplay.from_search(svc_search, *arguments)
    with pytest.raises(ValueError, match="'nu' has not been"):
        SearchDisplay.from_search(svc_search, "C", where={"nu": 1})
    with pytest.raises(ValueError, match="No candidate has a__p and b__p"):
        SearchDisplay.from_search(made_up([{"a__p": [1]}, {"b__p": [2]}], [[1], [2]]), "a__p", "b__p")
    assert not plt.get_fignums()


def test_our_search_is_shown_in_nats(student, table):
    grid = [
        {"net__smoothing": ["none"]},
        {"net__smoothing": ["uniform", "ils2"], "net__smoothing__epsilon": [0.1, 0.3]},
    ]
    pipe = Pipeline([("scale", StandardScaler()), ("net", student(max_epochs=2))])
    search = SmoothingSearchCV(pipe, grid, cv=2).fit(*table)
    display = SearchDisplay.from_search(search, "smoothing", "epsilon")
    assert display.score_label == "Cross-entropy (nats)"
    frame = display.frame()
    assert list(frame["net__smoothing"]) == ["uniform", "uniform", "ils2", "ils2"]
    np.testing.assert_array_equal(frame["mean_score"], -search.cv_results_["mean_test_score"][1:])
    lines = SearchDisplay.from_search(search, "smoothing__epsilon")
    assert legend_texts(lines.ax_) == ["smoothing=uniform", "smoothing=ils2"]


def test_other_searches_with_the_same_results_will_do():
    search = RandomizedSearchCV(SVC(), {"C": C, "gamma": GAMMA}, n_iter=3, random_state=0)
    search.fit(*load_iris(return_X_y=True))
    assert SearchDisplay.from_search(search, "C", "gamma").frame()["n_candidates"].tolist() == [1, 1, 1]


def test_a_display_can_be_made_of_its_cells():
    cells = [SearchCell("a", None, None, 1.0, 0.5, 0, 1), SearchCell("b", None, None, 2.0, 0.5, 1, 1)]
    display = SearchDisplay(cells, x="letter", score_label="Points").plot()
    assert display.ax_.get_ylabel() == "Points, more is better"
    assert display.frame()["letter"].tolist() == ["a", "b"]


# The best candidate at the edge of the grid


def searched(values, scores, name="net__lr", **attributes):
    """A search over one parameter with these scores of its values (rows) in the splits (columns)."""
    return made_up({name: values}, scores, **attributes)


def edge_search(student, values, name="smoothing__epsilon", refit=True, **parameters):
    """Fit a search of ours in which the score is the value (less is worse), whatever the network does."""

    def value(clf, X, y):
        return float(clf.get_params()[name])

    clf = student(max_epochs=1, **{"smoothing": "uniform", **parameters})
    return SmoothingSearchCV(clf, {name: values}, cv=2, scoring=value, refit=refit)


def test_a_search_says_once_if_its_best_candidate_lies_at_the_edge_of_the_grid(student, table):
    search = edge_search(student, [0.3, 0.1, 0.2])
    message = (
        r"at the edge of the grid: smoothing__epsilon=0.3 \(the largest of \[0.1, 0.2, 0.3\]\).*search again"
    )
    with pytest.warns(UserWarning, match=message) as record:
        search.fit(*table)
    assert len(record) == 1
    assert record[0].filename == __file__
    assert search.predict(table[0]).shape == (240,)


@pytest.mark.parametrize(
    ("values", "name", "parameters"),
    [
        ([0.1, 0.2], "smoothing__epsilon", {}),  # of two values each is at an edge
        ([0.7, 0.8, 1.0], "smoothing__shift", {"smoothing": "ils1"}),  # a probability ends at 1
    ],
)
def test_a_search_is_silent_about_edges_that_say_nothing(student, table, values, name, parameters):
    search = edge_search(student, values, name, **parameters).fit(*table)
    assert search.best_params_ == {name: values[-1]}


def test_a_choice_of_the_users_own_is_no_edge(student, table):
    def first(results):
        return 0

    assert edge_search(student, [0.1, 0.2, 0.3], refit=first).fit(*table).best_index_ == 0


def test_an_edge_is_told_if_it_beats_its_neighbour_beyond_the_noise_of_the_splits():
    clear, noisy = [[0.1, 0.2], [0.2, 0.3], [0.4, 0.5]], [[0.1, 0.2], [0.5, 0.1], [0.2, 0.5]]
    for scores, told in ((clear, True), (noisy, False)):
        (edge,) = grid_edges(SearchResults.of(searched([1, 2, 3], scores), None), 2, estimator=None)
        assert (edge.side, edge.value, edge.values) == ("largest", 3, [1, 2, 3])
        assert edge.beyond_noise == told


@pytest.mark.parametrize(
    ("values", "scores"),
    [
        ([1, 2, 3], [1, 3, 2]),  # inside
        ([1, 2, 3], [1, 3, 3]),  # no better than its neighbour
        ([1, 2], [1, 2]),
        (["a", "b", "c"], [1, 2, 3]),
        ([True, False, None], [1, 2, 3]),
        ([0, 1, 2], [3, 2, 1]),  # nothing is smaller than 0
        ([1, 2, np.nan], [3, 2, 1]),
    ],
)
def test_what_is_no_edge(values, scores):
    search = searched(values, np.array(scores, dtype=float)[:, None])
    best = int(np.argmax(scores))
    assert grid_edges(SearchResults.of(search, None), best, estimator=None) == []
    display = SearchDisplay.from_search(search, "lr")
    assert not display.edges
    assert not display.ax_.texts


def test_an_edge_is_that_of_the_values_tried_with_all_else_equal():
    grid = [{"rule": ["a"], "p": [1, 2, 3]}, {"rule": ["b"], "p": [5, 6]}]
    search = made_up(grid, [[1], [2], [9], [3], [4]])
    (edge,) = grid_edges(SearchResults.of(search, None), 2, estimator=None)
    assert (edge.name, edge.values, edge.side) == ("p", [1, 2, 3], "largest")


def test_the_range_that_an_estimator_allows_has_no_edge_beyond():
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 2, 3]}).fit(*load_iris(return_X_y=True))
    search.cv_results_ |= {"mean_test_score": np.array([3.0, 2.0, 1.0])}
    assert not SearchDisplay.from_search(search, "n_neighbors").edges
    search.cv_results_ |= {"mean_test_score": np.array([1.0, 2.0, 3.0])}
    assert [edge.side for edge in SearchDisplay.from_search(search, "n_neighbors").edges] == ["largest"]


@pytest.mark.parametrize("negate", [False, True])
def test_pictures_mark_the_best_at_the_edge(negate):
    grid = {"a__p": [1, 2, 3], "q": [0.5, 1, 2, 4]}
    search = made_up(grid, [[i + 10 * (3 - j)] for i in range(3) for j in range(4)])
    heat_map = SearchDisplay.from_search(search, "p", "q", negate_score=negate)
    (note,) = [text for text in heat_map.ax_.texts if "edge" in text.get_text()]
    assert note.get_text() == "Best at the grid's edge: p = 3 (largest), q = 0.5 (smallest)"
    lines = SearchDisplay.from_search(search, "p", negate_score=negate)
    (note,) = lines.ax_.texts
    assert note.get_text() == "Best at the grid's edge: p = 3 (largest)"
    (ring,) = [line for line in lines.ax_.lines if line.get_gid() == "best at the edge"]
    best = lines.frame()["mean_score"].iloc[2]
    assert (ring.get_xdata().tolist(), ring.get_ydata().tolist()) == ([3], [best])
    for display in (heat_map, lines):
        display.figure_.canvas.draw()
        box = display.figure_.bbox
        note = next(text for text in display.ax_.texts if "edge" in text.get_text())
        assert box.fully_overlaps(note.get_window_extent())
        assert not display.ax_.get_window_extent().overlaps(note.get_window_extent())


def test_notes_of_several_searches_in_one_axes_stand_below_each_other():
    search = searched([1, 2, 3], [[1.0], [2.0], [3.0]])
    first = SearchDisplay.from_search(search, "lr", name="first")
    second = SearchDisplay.from_search(search, "lr", name="second", ax=first.ax_)
    second.figure_.canvas.draw()
    one, two = second.ax_.texts
    assert [text.get_text().partition(":")[0] for text in (one, two)] == [
        "first, best at the grid's edge",
        "second, best at the grid's edge",
    ]
    assert not one.get_window_extent().overlaps(two.get_window_extent())


@pytest.mark.parametrize(
    ("option", "value"), [("where", 3), ("score_name", 3), ("negate_score", "yes"), ("name", ["a"])]
)
def test_an_option_of_another_type_is_refused_by_its_name(option, value):
    with pytest.raises(ValueError, match=f"The '{option}' parameter of SearchDisplay must be"):
        SearchDisplay.from_search(None, "x", **{option: value})
