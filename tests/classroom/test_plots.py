"""Guards figures, token strips, sliders and the live curve: words beside every picture, one copy.

pytest tests/classroom/test_plots.py
"""

import base64
import struct
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_lib.classroom import COLORS, LiveCurve, explore, live, loss_curve, show, widgets
from course_lib.classroom.cards import Card, box
from course_lib.classroom.plots import (
    bars,
    baseline,
    picture,
    points,
    use_style,
)
from course_lib.classroom.token_display import token_strip
from course_lib.runtime.checks import BadArgumentError


@dataclass
class Interval:
    mean: float
    low: float
    high: float
    n: int = 5


@pytest.fixture(autouse=True)
def _style():
    use_style()
    yield
    assert not plt.get_fignums(), "a figure was left open"


def runs(count=5, points=6, start=3.0):
    return [
        [{"step": s, "tokens": 64 * s, "loss": start - 0.1 * s + 0.01 * run} for s in range(points)]
        for run in range(count)
    ]


def png(card: Card) -> bytes:
    return base64.b64decode(card.html.split("base64,")[1].split('"')[0])


def test_a_picture_carries_its_words_and_is_closed_and_small(capsys):
    figure, ax = plt.subplots()
    loss_curve(ax, runs(), "masked", "masked", live=runs(1)[0])
    card = picture(figure, 'loss "falls" <steadily>')
    assert 'alt="loss &quot;falls&quot; &lt;steadily&gt;"' in card.html
    assert repr(card) == '[figure] loss "falls" <steadily>'
    width, height = struct.unpack(">II", png(card)[16:24])
    assert (width, height) == (720, 380)
    figure, _ = plt.subplots()
    show(figure, alt="an empty frame")
    assert "an empty frame" in capsys.readouterr().out


def test_the_same_figure_is_the_same_bytes():
    def draw():
        figure, ax = plt.subplots()
        loss_curve(ax, runs(), "masked", "masked")
        return png(picture(figure, "loss"))

    assert draw() == draw()


def test_the_curve_draws_mean_and_range_over_seeds_and_the_live_run_on_top():
    figure, ax = plt.subplots()
    loss_curve(ax, runs(5), "masked", "masked", live=runs(1, start=3.2)[0])
    mean, mine = ax.get_lines()
    assert mean.get_color() == COLORS["masked"]
    np.testing.assert_allclose(mean.get_ydata()[0], 3.02)
    np.testing.assert_allclose(mine.get_ydata()[0], 3.2)
    assert len(ax.collections) == 1
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["masked, 5 seeds", "masked, your run"]
    assert ax.get_xlabel() == "tokens seen"
    plt.close(figure)


def test_bars_draw_the_interval_and_lines_are_named():
    figure, ax = plt.subplots()
    bars(ax, {"pretrained": Interval(0.8, 0.7, 0.9), "scratch": 0.5}, "macro F1")
    baseline(ax, 0.33, "chance")
    heights = [patch.get_height() for patch in ax.patches]
    assert heights == [0.8, 0.5]
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["0.8", "0.5", "chance"]
    plt.close(figure)


def test_methods_that_meet_in_one_figure_differ_in_colour():
    for group in (
        ("masked", "causal", "span", "infilling", "baseline"),
        ("masked", "masked-static", "left-only"),
        ("pretrained", "scratch"),
        ("learned", "alibi"),
    ):
        assert len({COLORS[name] for name in group}) == len(group)


def test_a_strip_marks_targets_in_words_too():
    strip = token_strip(["The", "[MASK]", "Ġsat"], labels=[-100, "cat", None])
    assert repr(strip) == "The [MASK](->cat) ␣sat"
    assert "→ cat" in strip.html
    assert "-100" not in strip.html


def test_a_wrong_token_is_marked_by_more_than_a_colour():
    strip = token_strip(["Ada", "sat"], labels=["TOWN, not PERSON", None], wrong=[0])
    assert repr(strip) == "Ada(->✗ TOWN, not PERSON) sat"
    assert "3px double" in strip.html
    assert "✗ TOWN, not PERSON" in strip.html
    assert "3px double" not in token_strip(["Ada"], labels=["PERSON"]).html
    for place in (1, 5):
        with pytest.raises(BadArgumentError, match="what is wrong there"):
            token_strip(["Ada", "sat"], labels=["TOWN", None], wrong=[place])


def test_a_strip_frames_what_it_is_told_to():
    html = token_strip(["a", "<x>", "b"], color="span", framed={"<x>"}).html
    assert html.count(f"border:2px solid {COLORS['span']}") == 1


def test_a_box_survives_the_sanitizer():
    html = box("title", ["<script>alert(1)</script>"], "#000").html
    assert "<script" not in html
    assert " id=" not in html


def test_a_box_understands_code_and_stress_and_nothing_else():
    html = box("t", ["`a < b` of *the chosen*, 2 * 3 * 4"], "#000").html
    assert ">a &lt; b</code> of <em>the chosen</em>, 2 * 3 * 4<" in html


def square(side=3, kind="plain"):
    return Card(f"<p>{kind} {side * side}</p>", f"{kind} {side * side}")


def test_without_a_reader_explore_leaves_the_default_output_only(capsys):
    explore(square, side=(1, 9, 1))
    assert capsys.readouterr().out == "plain 9\n"


def test_sliders_are_labelled_start_at_the_default_and_redraw():
    box_ = widgets.panel(square, {"side": (1, 9, 2), "kind": ["plain", "bold"]})
    side, kind, output = box_.children
    assert (side.description, side.value, side.min, side.max, side.step) == ("side", 3, 1, 9, 2)
    assert output.value == "<p>plain 9</p>"
    side.value, kind.value = 5, "bold"
    assert output.value == "<p>bold 25</p>"


def test_an_error_behind_a_slider_is_shown_to_the_reader():
    def fails(rate=0.5):
        raise ValueError("no <such> rate")

    output = widgets.panel(fails, {"rate": (0.0, 1.0, 0.1)}).children[-1]
    assert output.value == "<p>ValueError: no &lt;such&gt; rate</p>"


@pytest.mark.parametrize("sliders", [{"sides": (1, 9, 1)}, {"side": (1, 9)}])
def test_a_slider_that_cannot_be_is_refused(sliders):
    with pytest.raises(ValueError, match="side"):
        widgets.panel(square, sliders)


def test_a_figure_behind_a_slider_keeps_words():
    def draw(rate=0.15):
        figure, ax = plt.subplots()
        ax.set_title(f"masked at {rate}")
        return figure

    output = widgets.panel(draw, {"rate": (0.0, 1.0, 0.05)}).children[-1]
    assert 'alt="masked at 0.15"' in output.value


def test_the_live_curve_collects_in_silence_without_a_reader(capsys):
    curve = LiveCurve("tiny BERT")
    for entry in runs(1)[0]:
        curve(entry)
    curve.close()
    assert len(curve.history) == 6
    assert capsys.readouterr().out == ""


def test_the_live_curve_redraws_one_output_at_most_once_a_second(monkeypatch):
    shown, now = [], [0.0]

    class Handle:
        def update(self, thing):
            shown.append(thing)

    def display(thing, display_id):
        shown.append(thing)
        return Handle()

    monkeypatch.setattr(live, "watched", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    curve = LiveCurve("tiny BERT", clock=lambda: now[0])
    for entry in runs(1, points=31)[0]:
        now[0] += 0.1
        curve(entry)
    assert 3 <= len(shown) <= 4
    assert "loss" in repr(shown[-1])
    curve.close()
    assert shown[-1].data == ""


def test_nobody_watches_a_quiet_course(monkeypatch):
    monkeypatch.setenv("COURSE_QUIET", "1")
    assert not live.watched()


def test_a_number_of_numpy_is_a_number():
    figure, ax = plt.subplots()
    bars(ax, {"one": np.float64(0.5), "two": 0.25}, "share")
    points(ax, {1: np.float64(0.5)}, "run", "live")
    assert [patch.get_height() for patch in ax.patches] == [0.5, 0.25]
    plt.close(figure)


def test_runs_of_unequal_length_meet_where_both_were_logged():
    figure, ax = plt.subplots()
    loss_curve(ax, [runs(1, 4)[0], runs(1, 9)[0]], "masked", "masked")
    assert len(ax.get_lines()[0].get_xdata()) == 4
    plt.close(figure)


def test_a_strip_writes_its_numbers_and_survives_equal_ones():
    assert repr(token_strip(["a", "b"], values=[0.5, 0.5])) == "a(0.50) b(0.50)"
    assert "&lt;b&gt;" in token_strip(["<b>"]).html


def test_words_of_a_figure_may_run_over_lines():
    figure, _ = plt.subplots()
    assert (
        repr(
            picture(
                figure,
                """a curve
    that falls""",
            )
        )
        == "[figure] a curve that falls"
    )
