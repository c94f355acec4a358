"""The export: every pair with its sources, in a form that datasets and TRL take as it is."""

from __future__ import annotations

import json
import typing

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling import comparisons
from labeling.downloads import blocks
from labeling.models import Source
from labeling.prompts import withdraw_prompt
from labeling.weights import set_weight
from tests.factories import (
    make_assignment,
    make_labeler,
    make_manager,
    make_project,
    make_prompt,
    make_ranking,
    make_researcher,
    make_slate,
    make_source,
)
from training.records import RankedText, RankingRow

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(k=3)


@pytest.fixture
def export(api, project):
    client = api(make_researcher(project), "read")

    def get(**query):
        answer = client.get(f"/api/v1/projects/{project.slug}/preferences.jsonl", query)
        assert answer.status_code == 200, answer.content
        assert answer.streaming
        body = b"".join(answer.streaming_content).decode()
        assert body == "" or body.endswith("\n")
        return [json.loads(line) for line in body.split("\n") if line]

    return get


def test_each_untied_pair_is_a_row(project, export):
    policy = make_source(project, "policy 2", Source.Kind.POLICY)
    slate = make_slate(project, ["best", "worse", "as bad"], source=policy)
    labeler = make_labeler(project)
    ranking = make_ranking(
        project, labeler, [1, 2, 2], assignment=make_assignment(project, labeler)
    )
    best, worse, as_bad = slate.items.values_list("completion_id", flat=True)
    rows = export()
    assert [(row["chosen_id"], row["rejected_id"]) for row in rows] == [
        (best, worse),
        (best, as_bad),
    ]
    row = rows[0]
    assert row["prompt"] == slate.prompt.messages
    assert row["chosen"] == [{"role": "assistant", "content": "best"}]
    assert row["rejected"] == [{"role": "assistant", "content": "worse"}]
    assert row["chosen_source"] == row["rejected_source"] == "policy 2"
    assert row["labeler"] == labeler.pseudonym
    assert labeler.username not in json.dumps(rows)
    assert (row["ranking"], row["prompt_id"]) == (ranking.pk, slate.prompt_id)
    assert (row["split"], row["purpose"]) == ("train", "training")


def test_trl_rows_are_the_explicit_prompt_preference_format(project, export):
    make_ranking(project)
    rows = export(form="trl")
    assert len(rows) == 3
    assert all(list(row) == ["prompt", "chosen", "rejected"] for row in rows)
    for row in rows:
        assert row["prompt"][-1]["role"] == "user"
        for answer in (row["chosen"], row["rejected"]):
            assert [message["role"] for message in answer] == ["assistant"]
            assert set(answer[0]) == {"role", "content"}


def test_whole_rankings_are_rows_of_a_run_directory(project, export):
    ranking = make_ranking(project, ranks=[2, 1, 2])
    (row,) = export(form="rankings")
    required = {
        name
        for name, kind in typing.get_type_hints(RankingRow, include_extras=True).items()
        if typing.get_origin(kind) is not typing.NotRequired
    }
    assert required <= set(row)
    assert all(set(item) == set(typing.get_type_hints(RankedText)) for item in row["completions"])
    assert (row["id"], row["ranks"], row["weight"]) == (str(ranking.pk), [2, 1, 2], 1.0)


def test_pairs_and_rankings_carry_the_labelers_weight_as_it_is_now(project, export):
    boss, careful, hasty, random = (make_manager(project), *(make_labeler(project) for _ in "123"))
    elsewhere = make_project()
    make_ranking(elsewhere, careful)
    set_weight(project=elsewhere, labeler=careful, weight=0.1, by=boss, reason="another project")
    by = {}
    for labeler, weight in ((careful, 1), (hasty, 0.5), (random, 0)):
        by[make_ranking(project, labeler).pk] = weight
        set_weight(project=project, labeler=labeler, weight=0.75, by=boss, reason="at first")
        set_weight(project=project, labeler=labeler, weight=weight, by=boss, reason="after all")
    assert {row["ranking"]: row["weight"] for row in export(form="rankings")} == by
    pairs = export()
    assert len(pairs) == 9
    assert all(row["weight"] == by[row["ranking"]] for row in pairs)


def test_the_schema_says_what_the_weight_is(api, project):
    schema = api(make_manager(project)).get("/api/v1/schema/?format=json").json()
    operation = schema["paths"]["/api/v1/projects/{slug}/preferences.jsonl"]["get"]
    assert "`weight`" in operation["description"]


@pytest.mark.parametrize("form", ["pairs", "trl", "rankings"])
def test_it_loads_as_it_stands_with_datasets(api, project, tmp_path, form, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    make_ranking(project)
    labeler = make_labeler(project)
    prompt = make_prompt(project, "Übersetze: 你好 \u2028 <b>", split=None, category="translation")
    if prompt.split == "evaluation":
        pytest.fail("choose another text: evaluation prompts are not exported here")
    make_slate(project, ["a\nb\u2028c\x85d", 'quote " \\ back', "\u202eabc"], prompt=prompt)
    make_ranking(project, labeler)
    make_ranking(project, labeler)
    client = api(make_manager(project))
    address = f"/api/v1/projects/{project.slug}/preferences.jsonl?form={form}"
    file = tmp_path / "preferences.jsonl"
    body = b"".join(client.get(address).streaming_content)
    file.write_bytes(body)
    loaded = datasets.load_dataset(
        "json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
    )
    rows = [json.loads(line) for line in body.decode().splitlines()]
    assert loaded.to_list() == rows
    assert len(rows) == (3 if form == "rankings" else 9)


def test_only_what_stands_and_serves_for_training(project, export):
    make_ranking(make_project(k=3))
    labeler = make_labeler(project)
    make_slate(project, purpose="evaluation")
    make_ranking(project, labeler)
    withdrawn = make_ranking(project, labeler)
    withdraw_prompt(prompt=withdrawn.slate.prompt)
    assert export() == []
    assert len(export(purpose="evaluation")) == 3


def test_a_correction_takes_the_place_of_what_it_corrects(project, export):
    from labeling.judgements import Judgement
    from labeling.rankings import correct_ranking, ranks_of

    ranking = make_ranking(project, ranks=[1, 2, 3])
    turned = {pk: 4 - rank for pk, rank in ranks_of(ranking).items()}
    corrected = correct_ranking(
        ranking=ranking, labeler=ranking.labeler, judgement=Judgement(ranks=turned), seconds=1.0
    )
    (row,) = export(form="rankings")
    assert (row["id"], row["ranks"]) == (str(corrected.pk), [3, 2, 1])


def test_a_split_can_be_asked_for(project, export):
    make_slate(project, prompt=make_prompt(project, split="judge"))
    make_ranking(project)
    assert len(export(split="judge")) == 3
    assert export(split="train") == []


def test_what_is_submitted_meanwhile_is_left_for_the_next_time(api, project):
    make_ranking(project)
    client = api(make_researcher(project))
    answer = client.get(f"/api/v1/projects/{project.slug}/preferences.jsonl")
    stream = iter(answer.streaming_content)
    first = next(stream)
    make_ranking(project)
    assert len((first + b"".join(stream)).splitlines()) == 3


def test_a_wrong_form_is_named(api, project):
    client = api(make_researcher(project))
    answer = client.get(f"/api/v1/projects/{project.slug}/preferences.jsonl?form=csv")
    assert answer.status_code == 400
    assert answer.json()["field"] == "form"


def test_labelers_do_not_see_who_wrote_what(api, project):
    answer = api(make_labeler(project)).get(f"/api/v1/projects/{project.slug}/preferences.jsonl")
    assert answer.status_code == 403


def test_pages_come_by_key_and_no_transaction_is_open_between_them(project, monkeypatch):
    monkeypatch.setattr(comparisons, "PAGE", 2)
    labeler = make_labeler(project)
    made = [make_ranking(project, labeler).pk for _ in range(5)]
    with CaptureQueriesContext(connection) as captured:
        depth = len(connection.savepoint_ids)
        seen = []
        for ranking in comparisons.ranked_slates(comparisons.exportable(project=project)):
            assert len(connection.savepoint_ids) == depth
            seen.append(ranking.id)
    assert seen == made
    assert not any("OFFSET" in query["sql"] for query in captured)


def test_blocks_join_lines_and_lose_none():
    lines = [f"{number:05}" * 2000 + "\n" for number in range(50)]
    pieces = list(blocks(lines))
    assert b"".join(pieces).decode() == "".join(lines)
    assert 5 <= len(pieces) <= 10


def test_a_page_is_found_by_its_key_and_nothing_is_sorted(project):
    make_ranking(project)
    rows = comparisons.exportable(project=project, split="train")
    plan = rows.filter(pk__gt=5, pk__lte=100).order_by("pk")[:200].explain()
    if connection.vendor == "sqlite":
        assert "labeling_ranking USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan
        assert "TEMP B-TREE" not in plan
    else:
        assert "labeling_ranking_pkey" in plan or "Seq Scan on labeling_ranking" in plan
