"""The page: self-contained, equal to the summary, and honest about a bad model."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from scones.report.confusion import EXAMPLES
from scones.report.cost import estimate_cost
from scones.report.page import list_tiles, render_report, write_report
from synthetic import make_run


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(make_run())


def read_island(page: str, name: str) -> object:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_asks_the_network_for_nothing(page: str) -> None:
    without_script = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)([^"']+)""", without_script) == []
    assert "@import" not in without_script
    assert "url(" not in without_script


def test_the_page_holds_the_very_summary(page: str) -> None:
    summary = make_run().summary
    assert read_island(page, "summary") == json.loads(json.dumps(summary))
    for tile in list_tiles(summary):
        assert f"<dd>{tile.value}<" in page


def test_every_figure_has_its_data_as_csv(page: str) -> None:
    links = dict(re.findall(r'download="([\w-]+)\.csv" href="data:text/csv;base64,([^"]*)"', page))
    drawn = read_island(page, "figures")
    assert isinstance(drawn, list)
    assert set(links) == {"confusion", *(plot["name"] for plot in drawn)}
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(links["confidence-over-time"]).decode())))
    assert len(rows) == 200
    assert rows[0]["execution"].startswith("arn:aws:states:")


def test_names_cannot_inject_html() -> None:
    run = make_run(count=4)
    hostile = "<script>alert(1)</script>&\"'"
    page = render_report(replace(run, checkins=[replace(entry, key=hostile) for entry in run.checkins]))
    assert hostile not in page
    assert "<script>alert" not in page


def test_a_degraded_model_is_visible_at_first_glance() -> None:
    good, bad = render_report(make_run(0.98)), render_report(make_run(0.7))
    assert "The model meets its gate." in good
    assert 'class="tile bad"' not in good
    assert "The model is below its gate." in bad
    assert 'class="verdict bad"' in bad
    assert re.findall(r'class="tile bad"><dt>(.*?)</dt>', bad) == ["Test accuracy", "Calibration error"]


def test_a_lowered_gate_makes_no_bad_model_good() -> None:
    run = make_run(0.7)
    gate = {**run.summary["gate"], "passed": True, "least_accuracy": 0.0}
    page = render_report(replace(run, summary={**run.summary, "gate": gate}))
    assert "The model is bad: the gate was lowered to 0%." in page
    assert 'class="verdict bad"' in page
    assert 'class="tile bad"><dt>Test accuracy' in page


def test_failed_executions_are_named_first() -> None:
    run = make_run(0.98)
    workflow = {**run.summary["workflow"], "failed": 3}
    page = render_report(replace(run, summary={**run.summary, "workflow": workflow}))
    assert "3 executions failed." in page
    assert 'class="verdict bad"' in page


def test_a_model_that_is_never_sure_and_an_endpoint_without_metrics_are_shown() -> None:
    run = make_run(count=4)
    model = {**run.summary["model"], "coverage": 0.0, "selective_accuracy": None}
    endpoint = dict.fromkeys(run.summary["endpoint"])
    tiles = {tile.name: tile for tile in list_tiles({**run.summary, "model": model, "endpoint": endpoint})}
    assert not tiles["Coverage"].good
    assert tiles["Accuracy when sure"].value == "none"
    assert tiles["Endpoint"].value == "unknown"


def test_every_picture_says_what_it_shows(page: str) -> None:
    cells = page[page.index('id="confusion"') : page.index('id="wrong"')]
    pictures = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]*)"', cells)
    assert 4 <= len(pictures) <= EXAMPLES
    assert all(re.fullmatch(r"(bi|motor)cycle taken for (bi|motor)cycle 0\.\d{3}", alt) for alt in pictures)
    assert re.findall(r"<img(?![^>]* alt=\"[^\"]+\")", page) == []


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    path = write_report(make_run(count=4), tmp_path / "new" / "report.html")
    assert path.read_text().rstrip().endswith("</html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_cost_by_hand() -> None:
    run = make_run(count=2)
    checkins = [replace(entry, states={"a": 0.1, "b": 0.1}, seconds=0.25) for entry in run.checkins]
    lines = {row.part: row.dollars for row in estimate_cost(checkins).rows}
    # Two transitions at $0.025 per 1,000; express: 0.3 s of 64 MB, and one request.
    assert lines["Step Functions"][0] == pytest.approx(0.05)
    assert lines["Step Functions"][1] == pytest.approx(1000 * (1e-6 + 0.3 * 0.064 * 0.00001667))
    assert lines["Lambda"][0] == pytest.approx(1000 * (2 * 0.2e-6 + 0.2 * 0.25 * 0.0000166667))
    assert lines["Total"][0] == pytest.approx(
        sum(lines[part][0] for part in ("Step Functions", "Lambda", "S3"))
    )
