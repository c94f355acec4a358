"""The pages of practice, quiz and pauses, and that nothing tells a gold item from other prompts."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from labeling.assignments import shown
from labeling.decisions import decided, decision_of
from labeling.hidden_numbers import Of, hidden
from labeling.leasing import lease_next
from labeling.models import Assignment, Membership, Project, Purpose, Ranking, User
from labeling.slates import give_slot
from tests.factories import make_answer, make_item, make_labeler, make_ranking, make_slate
from tests.labeling.views.clients import as_user, numbered

pytestmark = pytest.mark.django_db


@pytest.fixture
def labeler(project: Project) -> User:
    return make_labeler(project, "lin")


def submit(client: Client, assignment: Assignment, ranks: dict[int, int], **headers: str) -> object:
    fields: dict[str, object] = {f"rank-{numbered(pk)}": rank for pk, rank in ranks.items()}
    fields["lease"] = str(assignment.lease_token)
    where = reverse("submission", args=[assignment.project.slug, assignment.pk])
    return client.post(where, fields, headers=headers)


def right(assignment: Assignment) -> dict[int, int]:
    decision = decision_of(assignment.slate)
    assert decision is not None
    return decided(decision)


def rank_page(client: Client, project: Project) -> str:
    return client.get(reverse("rank", args=[project.slug])).content.decode()


def test_practice_is_explained_before_the_next_prompt(project: Project, labeler: User) -> None:
    make_item(project, "practice", explanation="It is **true**.")
    client = as_user(labeler)
    assert "Practice 1 of 1." in rank_page(client, project)
    held = lease_next(project=project, labeler=labeler)
    assert held
    first, *_rest, last = sorted(right(held), key=right(held).__getitem__)
    swapped = right(held) | {first: right(held)[last], last: right(held)[first]}
    answer = submit(client, held, swapped)
    ranking = Ranking.objects.get()
    page = reverse("practice-answer", args=[project.slug, ranking.pk])
    assert answer["Location"] == page  # type: ignore[index]  # a response
    html = client.get(page).content.decode()
    assert "what differs" in html
    assert "<strong>true</strong>" in html
    # The first and the last are exchanged: of six pairs only that of the middle two is as it was.
    assert html.count("is better than") == 5


def test_a_script_that_sends_it_later_is_led_there_once(project: Project, labeler: User) -> None:
    make_item(project, "practice")
    make_slate(project)
    client = as_user(labeler)
    held = lease_next(project=project, labeler=labeler)
    assert held
    submit(client, held, right(held), accept="application/json")
    asked = client.get(reverse("rank", args=[project.slug]), headers={"HX-Request": "true"})
    assert asked["HX-Redirect"] == reverse(
        "practice-answer", args=[project.slug, Ranking.objects.get().pk]
    )
    assert "Rank these 4 completions" in rank_page(client, project)


def test_only_ones_own_practice_is_explained(project: Project, labeler: User) -> None:
    practice = make_answer(make_item(project, "practice"), labeler)
    gold = make_answer(make_item(project, "gold"), labeler)
    for user, ranking in ((make_labeler(project), practice), (labeler, gold)):
        address = reverse("practice-answer", args=[project.slug, ranking.pk])
        assert as_user(user).get(address).status_code == 404


def test_who_passes_is_welcomed(project: Project, labeler: User) -> None:
    make_item(project, "quiz")
    make_slate(project)
    client = as_user(labeler)
    assert "Quiz 1 of 1." in rank_page(client, project)
    held = lease_next(project=project, labeler=labeler)
    assert held
    submit(client, held, right(held))
    html = rank_page(client, project)
    assert "You passed the quiz, welcome." in html
    assert "Rank these 4 completions" in html


def test_who_does_not_sees_a_friendly_page(project: Project, labeler: User) -> None:
    make_item(project, "quiz")
    make_slate(project)
    client = as_user(labeler)
    held = lease_next(project=project, labeler=labeler)
    assert held
    submit(client, held, {pk: 5 - rank for pk, rank in right(held).items()})
    html = rank_page(client, project)
    assert "Thank you, that was the quiz" in html
    assert "Rank these" not in html


def test_who_is_paused_sees_a_friendly_page_and_a_script_gets_nothing(
    project: Project, labeler: User
) -> None:
    make_slate(project)
    make_slate(project)
    client = as_user(labeler)
    held = lease_next(project=project, labeler=labeler)
    assert held
    Membership.objects.filter(user=labeler).update(paused_at=held.opened_at)
    assert "Let us look at this together" in rank_page(client, project)
    assert client.get(reverse("ahead", args=[project.slug])).status_code == 204
    ranks = {one.pk: place for place, one in enumerate(shown(held), 1)}
    answer = submit(client, held, ranks, accept="application/json")
    assert answer.json() == {"open": None}  # type: ignore[attr-defined]  # a response
    assert Ranking.objects.count() == 1


NUMBERS = re.compile(r"\d+")
SECRETS = re.compile(
    r'(name="(?:lease|csrfmiddlewaretoken)" value=")[^"]*|(csrf[^"]*?")[^"]*', re.IGNORECASE
)
TEXTS = re.compile(r"(What is the number|Answer) #( good for\?|\.)")


def plain(html: str) -> str:
    """The page without ids, tokens and texts."""
    without = SECRETS.sub("", html)
    return TEXTS.sub("text", NUMBERS.sub("#", without))


def pages_of(project: Project, purpose: Purpose) -> list[str]:
    """All that a labeler sees of such a slate: before, ahead, after, in the list, skipped."""
    labeler = make_labeler(project)
    client = as_user(labeler)
    make_slate(project)
    first = lease_next(project=project, labeler=labeler)
    assert first
    make_ranking(
        project,
        labeler,
        {one.pk: place for place, one in enumerate(shown(first), 1)},
        assignment=first,
    )
    if purpose == Purpose.GOLD:
        slate = make_item(project)
    else:
        slate = make_slate(project, purpose=purpose, overlap=0)
    held = give_slot(slate=slate, labeler=labeler)
    opened = rank_page(client, project)
    assert f'data-assignment="{hidden(Of.ASSIGNMENT, held.pk)}"' in opened
    compared = client.get(reverse("compare", args=[project.slug, held.pk])).content.decode()
    held = lease_next(project=project, labeler=labeler)  # type: ignore[assignment]  # it is held
    submit(client, held, {one.pk: place for place, one in enumerate(shown(held), 1)})
    ranking = Ranking.objects.get(slate=slate)
    after = client.get(reverse("ranking", args=[project.slug, ranking.pk])).content.decode()
    mine = client.get(reverse("my-rankings", args=[project.slug])).content.decode()
    skipped = give_slot(
        slate=make_item(project)
        if purpose == Purpose.GOLD
        else make_slate(project, purpose=purpose, overlap=0),
        labeler=labeler,
    )
    skipped = lease_next(project=project, labeler=labeler)  # type: ignore[assignment]  # it is held
    make_slate(project)
    passed = client.post(
        reverse("skip", args=[project.slug, skipped.pk]),
        {"lease": str(skipped.lease_token)},
        headers={"HX-Request": "true"},
    )
    return [plain(one) for one in (opened, compared, after, mine, passed.content.decode())]


@pytest.mark.parametrize("purpose", [Purpose.GOLD, Purpose.REPEAT])
def test_it_looks_like_any_other_prompt(project: Project, purpose: Purpose) -> None:
    usual, this = pages_of(project, Purpose.TRAINING), pages_of(project, purpose)
    for one, other in zip(usual, this, strict=True):
        assert one == other
        assert not re.search("gold|quiz|repeat|purpose", other, re.IGNORECASE)


def test_no_id_on_the_page_tells_a_gold_item(project: Project, labeler: User) -> None:
    """Its slot is the newest of all, its slate and completions came on another day."""
    project.gold_percent = 100
    project.save()
    item = make_item(project)
    make_slate(project)
    page = rank_page(as_user(labeler), project)
    held = Assignment.objects.get(labeler=labeler)
    assert held.slate == item
    assert held == Assignment.objects.latest("pk")
    ids = [held.pk, item.pk, *item.items.values_list("completion_id", flat=True)]
    data = ('data-slate="{}"', 'data-assignment="{}"', 'data-completion="{}"')
    for named in (*data, "/rank/{}/", 'name="rank-{}"'):
        assert named.split("{}")[0] in page
        assert not any(named.format(pk) in page for pk in ids), named
