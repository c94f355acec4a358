"""Labelers in front of the real product whose web is killed with -9 again and again.

They send what browsers send, drafts included, and ask again where no answer came. In the end each
acknowledged ranking is there once, as it was sent; none that was not answered is there twice;
nobody was given more than the overlap allows. Eight of them for twenty seconds; `make chaos` takes
LABELERS=50 MINUTES=10 KILLS=5.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.labeling_clients import Labeler, Submission
from labeling.judgements import dense_ranks
from tests.config.running import Product
from tests.config.test_web_kill import shell
from tests.lengths import at_least
from tests.servers import free_port, postgres

LABELERS = at_least(8, "LABELERS")
SECONDS = max(20, at_least(0, "MINUTES") * 60)
KILLS = at_least(2, "KILLS")
OVERLAP = 2
SLATES = 30 * SECONDS
"""More than so many labelers can rank in that time."""

pytestmark = [
    pytest.mark.kill,
    pytest.mark.xdist_group("product"),
    pytest.mark.timeout(900 + 3 * SECONDS),
]

SET_UP = f"""
import json, random
from benchmarks.labeling_scene import session_of
from benchmarks.many_rankings import add_slates, scene_of
from labeling.people import create_user
rng = random.Random(0)
boss = create_user(username="boss", superuser=True)
scene = scene_of(rng, name="Chaos", by=boss, prompts=200, labelers={LABELERS})
add_slates(rng, scene, ranked=0, waiting={SLATES}, overlap={OVERLAP})
sessions = {{user.pk: session_of(user) for user in scene.labelers}}
print(json.dumps({{"slug": scene.project.slug, "sessions": sessions}}))
"""
LOOK = """
import json
from labeling.hidden_numbers import Of, hidden
from labeling.models import Assignment, Draft, Ranking
rankings = [
    [hidden(Of.SLATE, r.slate_id), r.labeler_id, r.is_current, r.comment,
     {hidden(Of.COMPLETION, x.completion_id): x.rank for x in r.ranks.all()}]
    for r in Ranking.objects.prefetch_related("ranks")
]
slots = list(
    Assignment.objects.exclude(labeler=None).values_list("slate", "labeler", "state", "ahead")
)
drafts = [
    [hidden(Of.SLATE, d.slate_id), d.labeler_id, d.content["comment"]]
    for d in Draft.objects.all()
]
print(json.dumps({"rankings": rankings, "slots": slots, "drafts": drafts}))
"""

Key = tuple[int, int]
"""Slate, labeler."""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_is_lost_doubled_or_given_out_too_often(
    tmp_path: Path, product_python: Path, tiny_model: Path, database: str
) -> None:
    settings = {"RANKLOOP_MODEL": str(tiny_model), "RANKLOOP_LOG_LEVEL": "WARNING"}
    if database == "sqlite":
        ranked_under_fire(Product(tmp_path / "data", free_port(), product_python, **settings))
        return
    with postgres(durable=True) as address:
        settings["RANKLOOP_DATABASE"] = address
        ranked_under_fire(Product(tmp_path / "data", free_port(), product_python, **settings))


def ranked_under_fire(product: Product) -> None:
    try:
        product.wait_until_up()
        made = shell(product, SET_UP)
        labelers = {
            int(pk): Labeler(product.port, made["slug"], session, patient=True, drafts=True)
            for pk, session in made["sessions"].items()
        }
        for labeler in labelers.values():
            labeler.start()
        kills = fire(product)
        go_on_until_each_has_ranked(labelers)
        for labeler in labelers.values():
            labeler.over.set()
        for labeler in labelers.values():
            labeler.join(120)
            assert not labeler.is_alive()
        product.wait_until_up()
        found = shell(product, LOOK)
    finally:
        assert product.end() == 0
    assert kills == KILLS
    assert [one.heard.refused for one in labelers.values() if one.heard.refused] == []
    compare(labelers, found)
    ranked = sum(len(one.heard.acknowledged) for one in labelers.values())
    tries = sum(one.heard.tries for one in labelers.values())
    answers = sum(len(times) for one in labelers.values() for times in one.heard.times.values())
    assert tries > answers, "nobody met a dead server"
    print(
        f"{ranked} rankings of {len(labelers)} labelers, {kills} kills, {tries - answers} unheard"
    )


def fire(product: Product) -> int:
    """Kill the web's main process and its worker by turns, all over the time."""
    began, done = time.monotonic(), 0
    while done < KILLS:
        time.sleep(max(0.0, began + SECONDS * (done + 1) / (KILLS + 1) - time.monotonic()))
        product.wait_until_up()
        pids = product.pids("granian")
        os.kill(pids[0] if done % 2 else pids[-1], signal.SIGKILL)
        done += 1
    time.sleep(max(0.0, began + SECONDS - time.monotonic()))
    return done


def go_on_until_each_has_ranked(labelers: dict[int, Labeler]) -> None:
    """A few times, on a machine however slow."""
    deadline = time.monotonic() + 300
    while any(len(one.heard.acknowledged) < 3 for one in labelers.values()):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def compare(labelers: dict[int, Labeler], found: dict[str, Any]) -> None:
    """What labelers were told, and what is there."""
    stored: dict[Key, tuple[str, dict[int, int]]] = {}
    for slate, labeler, is_current, comment, ranks in found["rankings"]:
        assert is_current
        assert (slate, labeler) not in stored, "doubled"
        stored[slate, labeler] = (comment, {int(pk): rank for pk, rank in ranks.items()})
    told = {(one.slate, pk): one for pk, who in labelers.items() for one in who.heard.acknowledged}
    unheard = {(one.slate, pk): one for pk, who in labelers.items() for one in who.heard.unanswered}
    assert len(told) == sum(len(who.heard.acknowledged) for who in labelers.values())
    assert not set(told) - set(stored), "lost"
    assert not set(stored) - set(told) - set(unheard), "nobody said that"
    for key, judgement in stored.items():
        assert judgement == as_stored(told.get(key) or unheard[key])
    kept = {(slate, labeler): comment for slate, labeler, comment in found["drafts"]}
    for pk, who in labelers.items():
        for slate, comment in who.heard.drafts.items():
            if (slate, pk) not in unheard:  # a ranking that came in has its draft served
                assert kept[slate, pk] == comment, "a draft is lost"
    slots = [tuple(slot) for slot in found["slots"]]
    done = Counter(slate for slate, _labeler, state, _ahead in slots if state == "done")
    assert all(count <= OVERLAP for count in done.values())
    assert done.total() == len(stored)
    assert len({(slate, labeler) for slate, labeler, *_rest in slots}) == len(slots)
    held = Counter((labeler, ahead) for _slate, labeler, state, ahead in slots if state == "open")
    assert all(count == 1 for count in held.values())


def as_stored(said: Submission) -> tuple[str, dict[int, int]]:
    """Its comment and its ranks."""
    return said.comment, dense_ranks(said.ranks, said.ranks)
