"""Near duplicates are found whichever word differs, and a new one shares their split."""

from __future__ import annotations

import io
import json

import pytest
from django.db import connection
from django.urls import reverse

from labeling import near_duplicates as near_duplicates_module
from labeling.imports import MAX_NEAR, import_file
from labeling.models import Completion, Import, Prompt, Split
from labeling.near_duplicates import group_beside, group_of, near_duplicates, near_in_import
from labeling.near_keys import keys_of
from labeling.prompts import NewPrompt, add_prompts, messages_of, split_for, withdraw_prompt
from tests.factories import make_completions, make_manager, make_project, make_prompt

LONG = "Please write a short but friendly reminder that the library closes early on Friday"


def shares_a_key(one: str, other: str) -> bool:
    return bool({*keys_of(one)} & {*keys_of(other)} - {None})


@pytest.mark.parametrize("place", range(len(LONG.split())))
def test_one_word_changed_leaves_a_key_whichever_word_it_is(place):
    for fresh in ("a", "something", "counterrevolutionaries"):
        words = LONG.split()
        words[place] = fresh
        assert shares_a_key(LONG, " ".join(words)), words


def test_case_spacing_punctuation_and_unicode_form_make_no_difference():
    assert keys_of("What IS  love,\nreally?") == keys_of("what is love really")
    assert keys_of("ﬁne Ａpples today") == keys_of("fine apples today")


def test_other_texts_share_none():
    assert not shares_a_key(LONG, "Explain how rain forms to a child of six years")


def test_one_character_changed_in_a_chinese_text_mostly_leaves_a_key():
    text = "请用简单的语言给六岁的孩子解释一下为什么会下雨"
    changed = [text[:at] + "雪" + text[at + 1 :] for at in range(len(text))]
    found = sum(shares_a_key(text, other) for other in changed)
    assert found >= 0.8 * len(changed)


@pytest.mark.parametrize("text", ["", "?!", "\u202e", "a", "word", "two words", "\ud800"])
def test_short_and_odd_texts_have_keys_or_none(text):
    assert len(keys_of(text)) == 3


@pytest.mark.django_db
def test_the_nearest_comes_first_and_others_are_left_out(project):
    near = make_prompt(project, "Explain rain to a child.")
    nearer = make_prompt(project, "Explain rain to the child.")
    make_prompt(project, "Write a poem about autumn leaves.")
    found = near_duplicates(project=project, text="explain rain to the child")
    assert [one.prompt for one in found] == [nearer, near]
    assert 85 <= found[1].percent < found[0].percent < 100
    assert near_duplicates(project=project, text="Name a river in Asia.") == []


@pytest.mark.django_db
def test_those_of_another_project_are_not_looked_at(project):
    make_prompt(make_project(), "Explain rain to a child.")
    assert near_duplicates(project=project, text="Explain rain to a child.") == []


@pytest.mark.django_db
def test_withdrawn_ones_are_found_and_those_of_an_open_import_and_later_turns_are_not(project):
    gone = make_prompt(project, "Explain rain to a child.")
    withdraw_prompt(prompt=gone)
    hidden = Import.objects.create(project=project, format="jsonl", file_name="x")
    row = NewPrompt(messages=messages_of("Explain rain to the child."))
    add_prompts(project=project, rows=[row], imported=hidden)
    answer: Completion = make_completions(gone, 1)[0]
    turns = [
        *gone.messages,
        {"role": "assistant", "content": answer.text},
        {"role": "user", "content": "And snow?"},
    ]
    add_prompts(project=project, rows=[NewPrompt(messages=turns, parent_completion=answer)])
    found = near_duplicates(project=project, text="Explain rain to some child.")
    assert [one.prompt for one in found] == [gone]


@pytest.mark.django_db
@pytest.mark.parametrize("split", list(Split))
def test_the_group_beside_a_prompt_has_its_split(project, split):
    prompt = make_prompt(project, split=split)
    group = group_of(prompt)
    assert split_for(group) == split
    assert group_of(prompt) == group


@pytest.mark.django_db
def test_the_group_of_a_prompt_that_has_one_is_that_one(project):
    prompt = make_prompt(project, "Explain rain to a child.", group="weather")
    assert group_of(prompt) == "weather"


@pytest.mark.django_db
def test_of_several_splits_the_most_guarded_one_is_chosen(project):
    make_prompt(project, "Explain rain to a child.")
    guarded = make_prompt(project, "Explain rain to my child.")
    assert {*Prompt.objects.values_list("split", flat=True)} == {"train", "rm_test"}
    near = near_duplicates(project=project, text="Explain rain to a child")
    assert near[0].prompt != guarded
    assert group_beside(near) == group_of(guarded)
    assert group_beside([]) == ""


def imported(project, *texts, kind="prompts"):
    rows = [{"prompt": text, "completion": "Yes."} for text in texts]
    file = io.BytesIO("".join(json.dumps(row) + "\n" for row in rows).encode())
    return import_file(project=project, kind=kind, format="jsonl", file=file)


def pairs_of(row):
    return [(one.prompt.text, one.beside.text) for one in row.near.all()]


@pytest.mark.django_db
def test_an_import_points_out_what_says_nearly_the_same_and_takes_it_in(project):
    make_prompt(project, "Explain rain to a child.")
    make_prompt(make_project(), "Name a small river in Asia.")
    row = imported(
        project,
        "Explain rain to the child.",
        "Name a river in Asia.",
        "Write a poem about autumn leaves.",
        "Please write a poem about autumn leaves.",
    )
    assert (row.state, row.rows, row.near_duplicates) == ("committed", 4, 2)
    assert pairs_of(row) == [
        ("Explain rain to the child.", "Explain rain to a child."),
        ("Please write a poem about autumn leaves.", "Write a poem about autumn leaves."),
    ]
    assert all(85 <= one.percent < 100 for one in row.near.all())


@pytest.mark.django_db
@pytest.mark.parametrize("place", range(len(LONG.split())))
def test_one_word_changed_is_pointed_out_whichever_it_is(project, place):
    words = LONG.split()
    words[place] = "cats"
    make_prompt(project, LONG)
    assert imported(project, " ".join(words)).near_duplicates == 1


@pytest.mark.django_db
def test_the_first_pairs_are_shown_and_all_are_counted(project, monkeypatch):
    monkeypatch.setattr(near_duplicates_module, "BATCH", 3)
    row = imported(project, *(f"Explain how rain falls on the child number {n}" for n in range(30)))
    assert row.near_duplicates == 29
    assert row.near.count() == MAX_NEAR == 20


@pytest.mark.django_db
def test_demonstrations_prompts_are_looked_at_too_and_what_is_there_already_is_not(project):
    make_prompt(project, "Explain rain to a child.")
    row = imported(
        project, "Explain rain to a child.", "Explain rain to my child.", kind="demonstrations"
    )
    assert pairs_of(row) == [("Explain rain to my child.", "Explain rain to a child.")]


@pytest.mark.django_db
def test_an_imports_page_shows_the_pairs_with_their_texts_escaped(client, project):
    first = make_prompt(project, "Explain <b>rain</b> to a child.")
    row = imported(project, "Explain <b>rain</b> to the child.")
    client.force_login(make_manager(project))
    page = client.get(reverse("import", args=[project.slug, row.pk])).content.decode()
    assert "1 prompt says nearly the same as another one" in page
    assert "Explain &lt;b&gt;rain&lt;/b&gt; to the child." in page
    assert reverse("prompt", args=[project.slug, first.pk]) in page


@pytest.mark.django_db
def test_each_batch_takes_as_many_queries_and_seeks_in_an_index(
    project, django_assert_max_num_queries
):
    row = imported(project, *(f"Explain how rain falls on the child number {n}" for n in range(9)))
    with django_assert_max_num_queries(3):
        assert sum(map(len, near_in_import(row))) == 8
    if connection.vendor == "sqlite":
        found = near_duplicates_module._pointed(project.pk).filter(imported=row)
        plan = found.filter(pk__gt=0).order_by("pk").values_list("near_1_near_3").explain()
        assert "prompt_near_3 (project_id=? AND near_3=? AND rowid<?)" in plan
