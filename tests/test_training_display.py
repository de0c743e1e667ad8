"""Loss curves: the numbers drawn, and what is on the axes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ils import SmoothingSearchCV
from sk_ils.inspection import TrainingDisplay
from sk_ils.model_selection import CrossFittedClassifier

pytestmark = pytest.mark.usefixtures("headless")


@pytest.fixture
def fitted(student, table):
    return student(max_epochs=12, lr=0.05).fit(*table)


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def markers(ax):
    return [line.get_xydata().tolist() for line in ax.lines if line.get_gid() == "best epoch"]


def test_lines_are_the_losses_of_the_history(fitted):
    display = TrainingDisplay.from_estimator(fitted)
    nets = [fitted.teacher_, fitted.teacher_, fitted, fitted]
    names = ["train_loss", "valid_loss"] * 2
    for line, net, name in zip(display.lines_, nets, names, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
        np.testing.assert_array_equal(line.get_ydata(), net.history[:, name])
    colors = [line.get_color() for line in display.lines_]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert display.ax_.get_xlabel() == "Epoch"
    assert display.ax_.get_ylabel() == "Cross-entropy (nats)"
    assert display.figure_ is display.ax_.figure


def test_the_epochs_that_were_kept_are_marked(fitted):
    display = TrainingDisplay.from_estimator(fitted)
    best = [(net.best_epoch_, min(net.history[:, "valid_loss"])) for net in (fitted.teacher_, fitted)]
    assert markers(display.ax_) == [[[epoch, loss]] for epoch, loss in best]
    assert legend_texts(display.ax_) == [
        "teacher, training",
        f"teacher, hold-out (epoch {best[0][0]} kept)",
        "student, training",
        f"student, hold-out (epoch {best[1][0]} kept)",
    ]


def test_the_frame_holds_the_numbers(fitted):
    frame = TrainingDisplay.from_estimator(fitted).frame()
    assert frame["network"].tolist() == ["teacher"] * 12 + ["student"] * 12
    assert frame["epoch"].tolist() == [*range(1, 13)] * 2
    assert frame["valid_loss"].tolist()[12:] == fitted.history[:, "valid_loss"]
    assert frame[frame["is_best"]]["epoch"].tolist() == [fitted.teacher_.best_epoch_, fitted.best_epoch_]


def test_without_a_hold_out_there_is_one_line(teacher, table):
    net = teacher(train_split=None).fit(*table)
    display = TrainingDisplay.from_estimator(net)
    assert legend_texts(display.ax_) == ["training (epoch 5 kept)"]
    assert markers(display.ax_) == [[[5, net.history[-1, "train_loss"]]]]
    assert display.frame()["valid_loss"].isna().all()


def test_epochs_without_a_hold_out_are_gaps_in_its_line(teacher, table):
    net = teacher().fit(*table).partial_fit(*table, epochs=2)
    display = TrainingDisplay.from_estimator(net)
    _, valid = display.lines_
    assert np.isfinite(valid.get_ydata()).tolist() == [True] * 5 + [False] * 2
    assert markers(display.ax_) == [[[7, net.history[-1, "train_loss"]]]]
    assert legend_texts(display.ax_) == ["training (epoch 7 kept)", "hold-out"]


def test_teachers_that_are_no_networks_have_no_curve(student, teacher, table):
    for parameters in ({"teacher": LogisticRegression(max_iter=500)}, {"smoothing": "uniform"}):
        display = TrainingDisplay.from_estimator(student(**parameters).fit(*table))
        assert [curve.network for curve in display.curves] == ["network"]
    frozen = FrozenEstimator(teacher(max_epochs=3).fit(*table))
    display = TrainingDisplay.from_estimator(student(teacher=frozen).fit(*table))
    assert display.frame()["network"].value_counts().to_dict() == {"teacher": 3, "student": 5}


def test_networks_can_be_compared_in_one_axes(fitted, teacher, table):
    first = TrainingDisplay.from_estimator(fitted, name="a", gid="mine")
    pipeline = make_pipeline(StandardScaler(), teacher()).fit(*table)
    second = TrainingDisplay.from_estimator(pipeline, name="_b", ax=first.ax_)
    assert second.ax_ is first.ax_
    assert {line.get_gid() for line in first.lines_} == {"mine"}
    assert len({line.get_color() for line in [*first.lines_, *second.lines_]}) == 3
    texts = legend_texts(first.ax_)
    assert [texts[0], texts[4].strip()] == ["a teacher, training", "_b, training"]


def test_line_keywords_pass_through(fitted):
    display = TrainingDisplay.from_estimator(fitted, c="red", lw=3, ls=":")
    assert {line.get_color() for line in display.lines_} == {"red"}
    assert {(line.get_linewidth(), line.get_linestyle()) for line in display.lines_} == {(3, ":")}
    again = display.plot(color="blue")
    assert again is display
    assert {line.get_color() for line in display.lines_} == {"blue"}


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_a_given_axes_is_used(fitted, layout):
    _, (left, right) = plt.subplots(1, 2, layout=layout)
    display = TrainingDisplay.from_estimator(fitted, ax=[left])
    assert display.ax_ is left
    assert not right.lines
    display.figure_.canvas.draw()


def test_one_epoch_can_be_seen(teacher, table):
    display = TrainingDisplay.from_estimator(teacher(max_epochs=1).fit(*table))
    assert {line.get_marker() for line in display.lines_} == {"."}


def test_a_loaded_history_is_drawn_without_a_best_epoch(fitted, student, tmp_path):
    fitted.save_params(f_params=tmp_path / "net", f_history=tmp_path / "history")
    new = student(module__hidden_sizes=(16,))
    new.load_params(f_params=tmp_path / "net", f_history=tmp_path / "history")
    display = TrainingDisplay.from_estimator(new)
    assert legend_texts(display.ax_) == ["training", "hold-out"]
    assert markers(display.ax_) == [[]]
    assert not display.frame()["is_best"].any()


def test_what_has_no_curve_is_refused(student, table, fitted):
    grid = {"smoothing": ["none"]}
    search = SmoothingSearchCV(student(max_epochs=1), grid, cv=2).fit(*table)
    ensemble = CrossFittedClassifier(student(max_epochs=1), cv=2).fit(*table)
    for estimator in (search, ensemble, make_pipeline(ensemble), LogisticRegression()):
        with pytest.raises(TypeError, match=r"best_estimator_, and of an ensemble one of its estimators_"):
            TrainingDisplay.from_estimator(estimator)
    assert TrainingDisplay.from_estimator(search.best_estimator_).lines_
    assert TrainingDisplay.from_estimator(ensemble.estimators_[1]).lines_
    plt.close("all")
    with pytest.raises(NotFittedError, match="Call fit first"):
        TrainingDisplay.from_estimator(student())
    with pytest.raises(ValueError, match="name"):
        TrainingDisplay.from_estimator(fitted, name=3)
    with pytest.raises(ValueError, match=r"ax must be a matplotlib Axes.* got str"):
        TrainingDisplay.from_estimator(fitted, ax="left")
    assert not plt.get_fignums()
    fitted.trim_for_prediction()
    with pytest.raises(NotFittedError, match="trim_for_prediction"):
        TrainingDisplay.from_estimator(fitted)
