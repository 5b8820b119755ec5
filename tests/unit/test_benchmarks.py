"""The benchmark's figures, report and chart are right; what it measures is not asserted anywhere."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, contenders, report, scale
from benchmarks.figures import Summary, percentile
from benchmarks.metrics import GOALS, METRICS, Goal
from benchmarks.session import MEASURE, WORKLOADS

TITLES = {"django_ai": "django_ai", "celery": "bare Celery", "absurd": "absurd", "limit": "PostgreSQL alone"}


@pytest.fixture
def results() -> dict[str, Any]:
    return {
        "suite": "compare",
        "when": "2026-01-02T03:04+00:00",
        "sizes": "full",
        "repeats": 3,
        "contenders": TITLES,
        "machine": {"cores": "2", "load before": "0.10"},
        "redis": "7.0",
        "postgres": {"server_version": "15.1", "fsync": "on"},
        "versions": {"django_ai": {"django": "5.2"}, "limit": {}},
        "values": {
            "steps": {"django_ai": [900.0, 1000.0, 1400.0], "celery": [400.0, 500.0, 450.0], "absurd": [500.0] * 3},
            "idle_p50": {"django_ai": [20.0, 10.0, 12.0], "celery": [30.0] * 3, "absurd": [24.0] * 3},
            "nap_p50": {"django_ai": [4.04, 4.04, 4.04]},
            "limit_cte": {"limit": [2000.0, 2100.0, 2200.0]},
        },
    }


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([3, 1, 2], 50, 2), ([1, 2, 3, 4], 50, 2), (list(range(1, 101)), 95, 95), ([7], 95, 7), ([1, 2], 100, 2)],
)
def test_a_percentile_is_one_of_the_values(values, percent, expected):
    assert percentile(values, percent) == expected


def test_there_is_no_percentile_of_nothing():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_summary_tells_the_median_and_the_extremes():
    assert Summary.of([3.0, 1.0, 10.0, 2.0]) == Summary(median=2.5, low=1.0, high=10.0, count=4)


def test_the_report_shows_medians_with_their_spread(results):
    assert "| steps a second, 1 worker process | 1,000 (900–1,400) | 450 (400–500) | 500 (500–500) |" in lines(results)
    assert "| lateness of a sleep of 0.5 s, median (ms) | 4.0 (4.0–4.0) | – | – |" in lines(results)


def test_more_than_one_times_better_is_better_in_either_direction(results):
    assert "| steps a second, 1 worker process | 2.22 | 2.00 |" in lines(results)
    assert "| 10 steps on an idle system, median | 2.50 | 2.00 |" in lines(results)


def test_what_has_no_counterpart_is_not_compared(results):
    assert not [line for line in lines(results) if line.startswith("| lateness of a sleep of 0.5 s, median |")]


def test_goals_are_held_against_others_the_best_of_them_and_plain_numbers(results):
    assert "| steps a second, 1 worker process ≥ 2 × absurd | 2.00 × | yes |" in lines(results)
    assert "| 10 steps on an idle system, median ≤ 0.5 × the best of the others | 0.50 × | yes |" in lines(results)
    assert "| lateness of a sleep of 0.5 s, median ≤ 10 ms | 4.0 ms | yes |" in lines(results)
    limit = "PostgreSQL alone (commits a second, both writes in one statement)"
    assert f"| steps a second, 1 worker process ≥ 0.4 × {limit} | 0.48 × | yes |" in lines(results)


def test_a_goal_that_is_missed_says_so(results):
    results["values"]["steps"]["absurd"] = [501.0] * 3
    assert "| steps a second, 1 worker process ≥ 2 × absurd | 2.00 × | no |" in lines(results)


def test_a_goal_without_figures_is_neither_reached_nor_missed():
    goal = Goal("steps", 2, "absurd")
    assert goal.reached({}) is None
    assert goal.reached({"steps": {"django_ai": 5}}) is None


def test_a_quick_run_is_called_one(results):
    results["sizes"] = "quick"
    assert "A quick run" in report.markdown(results)


def test_figures_of_a_busy_machine_are_not_to_be_trusted(results):
    assert "The machine was busy" not in report.markdown(results)
    results["machine"]["load before"] = "3.20"
    assert "The machine was busy" in report.markdown(results)


def test_the_chart_is_a_picture_with_a_bar_for_each_figure(results):
    picture = ET.fromstring(chart.svg(results))
    bars = [bar for bar in picture.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") in {"own", "other"}]
    steps = [float(bar.get("width", "")) for bar in bars[:3]]
    assert steps == pytest.approx([1000 * pixels(1400), 450 * pixels(1400), 500 * pixels(1400)], abs=0.1)
    assert "no counterpart" in "".join(picture.itertext())


def pixels(highest: float) -> float:
    return chart.BARS_WIDTH / highest


def test_every_workload_is_measured_and_done_by_somebody():
    done = frozenset().union(*(contender.does for contender in contenders.CONTENDERS))
    assert set(MEASURE) == set(WORKLOADS) == {metric.workload for metric in METRICS} == done


def test_every_goal_names_figures_and_contenders_that_exist():
    names = {metric.name for metric in METRICS}
    known = {contender.name for contender in contenders.CONTENDERS} | {"", "best"}
    assert [
        goal for goal in GOALS if {goal.metric, goal.of or goal.metric} - names or goal.contender not in known
    ] == []


def test_this_project_always_takes_part():
    assert [contender.name for contender in contenders.chosen("absurd")] == ["django_ai", "absurd"]


def test_an_unknown_peer_is_refused_with_those_that_there_are():
    with pytest.raises(SystemExit, match=r"No such peer: abzurd\. There are: django_ai, celery"):
        contenders.chosen("abzurd")


def lines(results: dict[str, Any]) -> list[str]:
    return report.markdown(results).splitlines()


def test_the_report_of_the_scale_has_a_row_for_each_stage(results):
    values = {name: [1.0, 3.0, 2.0] for name in scale.COLUMNS} | {"gigabytes": [0.5]}
    results["stages"] = [{"finished": 5_000_000, "sleeping": 100_000, "values": values}]
    row = scale.markdown(results).splitlines()[-1]
    assert row.startswith("| 5,000,000 | 100,000 | 2 (1–3) | 2 (1–3) | 2.00 (1.00–3.00) | 2.0 (1.0–3.0) |")
    assert row.endswith("| 0.50 |")
