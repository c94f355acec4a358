"""Benchmarks end in a JSON file of one shape and a table that people read."""

import json

import pytest

from benchmarks import report


def test_a_ratio_above_one_means_ours_is_better():
    assert report.row("speed", "tokens/s", 300.0, 150.0)["ratio"] == 2
    assert report.row("delay", "s", 0.5, 2.0, more_is_better=False)["ratio"] == 4
    assert report.row("limit", "tokens/s", 900.0)["ratio"] is None


def test_a_file_has_the_machine_and_the_rows(tmp_path):
    path = report.write("speed", [report.row("a", "s", 1.0, 2.0)], results=tmp_path)
    record = json.loads(path.read_text())
    assert path.name == "speed.json"
    assert set(record) == {"machine", "rows"}
    assert "cores" in record["machine"]
    assert record["rows"] == [{"name": "a", "unit": "s", "ours": 1.0, "peer": 2.0, "ratio": 0.5}]


def test_the_page_has_a_table_of_each_file_and_keeps_its_words(tmp_path):
    page = tmp_path / "docs" / "benchmarks.md"
    report.write("b", [report.row("two|three", "s", 12345.678)], results=tmp_path, page=page)
    page.write_text(page.read_text() + "\nWords of mine.\n")
    report.write("a", [report.row("one", "%", 0.12345, 0.2)], results=tmp_path, page=page)
    report.render(results=tmp_path, page=page)
    text = page.read_text()
    assert text.index("## a") < text.index("## b") < text.index("Words of mine.")
    assert text.count("## a") == 1
    assert "| one | % | 0.123 | 0.2 | 0.617 |" in text
    assert "| two\\|three | s | 12,346 |  |  |" in text


def test_rows_of_another_shape_have_their_own_columns(tmp_path):
    page = tmp_path / "benchmarks.md"
    rows = [{"round": 1, "win_rate": 0.91}, {"round": 2, "win_rate": 0.93, "kl": None}]
    (tmp_path / "loop.json").write_text(json.dumps({"machine": "m", "rows": rows}))
    report.render(results=tmp_path, page=page)
    assert "| round | win_rate | kl |" in page.read_text()
    assert "| 2 | 0.93 |  |" in page.read_text()


def test_a_page_that_lost_its_marks_is_not_overwritten(tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text("only words")
    with pytest.raises(SystemExit, match="marks"):
        report.render(results=tmp_path, page=page)
    assert page.read_text() == "only words"


def test_a_loop_has_one_line_a_round_and_stands_there_once(tmp_path):
    page = tmp_path / "benchmarks.md"
    rounds = [{"round": 1, "results": {"ppo": {"kl": 1.0}}, "gold_win_rate": 0.9}]
    record = {
        "machine": "m",
        "seconds": 90.0,
        "ranked": 1234,
        "labelers": 6,
        "labeler_accuracy": 0.82,
        "seed": 3,
        "rounds": rounds,
    }
    for name in ("loop", "loop-length"):
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    report.render(results=tmp_path, page=page)
    text = page.read_text()
    assert text.count("## loop") == 1
    assert "| round | gold_win_rate |" in text
    assert "1.5 minutes, 1,234 rankings by 6 simulated labelers, right in 82.0% of pairs" in text
