"""Rankings come out as pairs and as whole rankings, page by page, up to a mark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

import pytest

from labeling.comparisons import exportable, pairs, ranked_slates
from labeling.formats.preferences import pair_lines, ranking_lines
from labeling.judgements import Judgement
from labeling.models import Project, Ranking
from labeling.prompts import withdraw_prompt
from labeling.rankings import correct_ranking, ranks_of
from tests.factories import (
    make_labeler,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
    make_source,
)

pytestmark = pytest.mark.django_db


def rank(project: Project, ranks: list[int], texts: list[str] | None = None) -> Ranking:
    labeler = make_labeler(project)
    make_slate(project, texts or [f"text {rank}" for rank in ranks])
    return make_ranking(project, labeler, ranks)


def lines(written: Iterator[str]) -> list[dict]:
    return [json.loads(line) for line in written]


def test_each_untied_pair_comes_out_once():
    project = make_project()
    rank(project, [2, 1, 3, 3], ["b", "a", "c", "d"])
    found = [
        (chosen.text, rejected.text) for _r, chosen, rejected in pairs(exportable(project=project))
    ]
    assert sorted(found) == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]


def test_a_pair_is_in_trls_format_with_the_source_of_each_side():
    project = make_project()
    prompt = make_prompt(project, category="open_qa")
    text = 'He said "50 % off" – 100%\n\u202e%(side)s {}'
    source = make_source(project, 'a "quoted" 50% source')
    make_slate(project, [text, "Worse."], prompt=prompt, source=source)
    ranking = make_ranking(project, make_labeler(project), [1, 2])
    (row,) = lines(pair_lines(ranked_slates(exportable(project=project))))
    chosen, rejected = ranking.slate.items.all()
    assert row == {
        "prompt": prompt.messages,
        "chosen": [{"role": "assistant", "content": text}],
        "rejected": [{"role": "assistant", "content": "Worse."}],
        "chosen_id": chosen.completion_id,
        "chosen_source": 'a "quoted" 50% source',
        "chosen_rank": 1,
        "chosen_finished": True,
        "rejected_id": rejected.completion_id,
        "rejected_source": 'a "quoted" 50% source',
        "rejected_rank": 2,
        "rejected_finished": True,
        "ranking": ranking.pk,
        "prompt_id": prompt.pk,
        "split": "train",
        "category": "open_qa",
        "purpose": "training",
        "labeler": ranking.labeler.pseudonym,
        "weight": 1.0,
        "seconds": 12.5,
        "created_at": ranking.created_at.isoformat(),
    }


def test_a_whole_ranking_keeps_its_ties():
    project = make_project()
    ranking = rank(project, [2, 1, 2, 3])
    (row,) = lines(ranking_lines(ranked_slates(exportable(project=project))))
    assert row["ranks"] == [2, 1, 2, 3]
    assert [item["text"] for item in row["completions"]] == ["text 2", "text 1", "text 2", "text 3"]
    assert row["completions"][0]["source"] == "base"
    assert (row["ranking"], row["prompt"]) == (ranking.pk, ranking.slate.prompt.messages)


def test_only_what_stands_comes_out():
    project = make_project()
    first = rank(project, [1, 2, 3, 4])
    turned = {completion: 5 - rank for completion, rank in ranks_of(first).items()}
    second = correct_ranking(
        ranking=first, labeler=first.labeler, judgement=Judgement(ranks=turned), seconds=1
    )
    withdraw_prompt(prompt=rank(project, [1, 2, 3, 4]).slate.prompt)
    rank(make_project(), [1, 2, 3, 4])
    assert [slate.id for slate in ranked_slates(exportable(project=project))] == [second.pk]


def test_evaluation_rankings_come_out_only_where_they_are_asked_for():
    project = make_project()
    make_slate(project, purpose="evaluation")
    make_ranking(project)
    assert not list(ranked_slates(exportable(project=project)))
    both = exportable(project=project, purposes=["training", "evaluation"])
    assert [slate.purpose for slate in ranked_slates(both)] == ["evaluation"]


def test_what_is_submitted_during_an_export_is_left_to_the_next(monkeypatch):
    monkeypatch.setattr("labeling.comparisons.PAGE", 2)
    project = make_project()
    first = [rank(project, [1, 2]).pk for _ in range(5)]
    reading = ranked_slates(exportable(project=project))
    seen = [slate.id for slate in islice(reading, 1)]
    late = rank(project, [1, 2]).pk
    seen += [slate.id for slate in reading]
    assert seen == first
    rest = ranked_slates(exportable(project=project), after=first[-1])
    assert [slate.id for slate in rest] == [late]


def test_two_queries_a_page_and_one_for_the_end(django_assert_num_queries):
    project = make_project()
    for _ in range(3):
        rank(project, [1, 2])
    with django_assert_num_queries(3):
        assert len(list(pairs(exportable(project=project), up_to=10**9))) == 3


def test_it_loads_with_datasets_as_it_stands(tmp_path):
    datasets = pytest.importorskip("datasets")
    project = make_project()
    rank(project, [1, 1, 2, 3])
    rank(project, [2, 1])
    for name, written, rows in (("pairs", pair_lines, 6), ("rankings", ranking_lines, 2)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(written(ranked_slates(exportable(project=project)))))
        loaded = datasets.load_dataset(
            "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert len(loaded) == rows
