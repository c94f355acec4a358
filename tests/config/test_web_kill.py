"""The web killed with -9 while eight labelers submit: no ranking is lost, none is there twice."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.config.running import Product
from tests.servers import free_port

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("product"), pytest.mark.timeout(900)]

SLATES, LABELERS, KILLS = 400, 8, 4
SET_UP = f"""
import json
from labeling import people
from tests import factories
project = factories.make_project(name="Kill", slates_ahead=1)
for _ in range({SLATES}):
    factories.make_slate(project)
tokens = []
for _ in range({LABELERS}):
    labeler = factories.make_labeler(project)
    tokens.append(people.issue_token(user=labeler, name="t", scopes=["read", "write"])[1])
print(json.dumps({{"slug": project.slug, "tokens": tokens}}))
"""
LOOK = """
import json
from labeling.hidden_numbers import Of, hidden
from labeling.models import Assignment, Ranking
rows = {r.pk: [r.slate_id,
               {hidden(Of.COMPLETION, x.completion_id): x.rank for x in r.ranks.all()}]
        for r in Ranking.objects.prefetch_related("ranks")}
made = Assignment.objects.filter(slate__request=None)  # the sampler may add one at the end
left = made.exclude(state=Assignment.State.DONE).count()
print(json.dumps({"rows": rows, "left": left}))
"""


class Labeler(threading.Thread):
    """Ranks until nothing is left; asks again, with the same words, where no answer came."""

    def __init__(self, product: Product, slug: str, token: str) -> None:
        super().__init__(daemon=True)
        self.product, self.slug, self.token = product, slug, token
        self.acknowledged: dict[int, dict[str, int]] = {}
        self.tries = 0
        self.failures: list[object] = []

    def run(self) -> None:
        while True:
            status, given = self.post("assignments/next/", {})
            if status == 204:
                return
            if status != 200:
                self.failures.append((status, given))
                return
            ranks = {str(c["id"]): random.randint(1, 4) for c in given["completions"]}
            body = {"assignment": given["id"], "lease": given["lease"], "ranks": ranks}
            status, stored = self.post("rankings/", body)
            if status not in {200, 201}:
                self.failures.append((status, stored))
                return
            self.acknowledged[stored["id"]] = stored["ranks"]

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Until there is an answer that is not the server's fault."""
        while True:
            self.tries += 1
            connection = http.client.HTTPConnection("127.0.0.1", self.product.port, timeout=30)
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            try:
                address = f"/api/v1/projects/{self.slug}/{path}"
                connection.request("POST", address, json.dumps(body), headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            finally:
                connection.close()
            if answer.status < 500:
                return answer.status, json.loads(text) if text else None
            time.sleep(0.05)


def shell(product: Product, code: str) -> Any:
    return json.loads(product.manage("shell", "--no-imports", "-c", code).splitlines()[-1])


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_ranking_is_lost_and_none_is_doubled(
    tmp_path: Path,
    product_python: Path,
    tiny_model: Path,
    database: str,
    request: pytest.FixtureRequest,
) -> None:
    settings = {"RANKLOOP_MODEL": str(tiny_model)}
    if database == "postgresql":
        settings["RANKLOOP_DATABASE"] = request.getfixturevalue("postgres_url")
    product = Product(tmp_path / "data", free_port(), product_python, **settings)
    try:
        product.wait_until_ready()
        made = shell(product, SET_UP)
        labelers = [Labeler(product, made["slug"], token) for token in made["tokens"]]
        for labeler in labelers:
            labeler.start()
        kills = kill_again_and_again(product, labelers)
        for labeler in labelers:
            labeler.join(300)
            assert not labeler.is_alive()
            assert labeler.failures == []
        found = shell(product, LOOK)
    finally:
        assert product.end() == 0
    assert kills >= 3
    acknowledged = {pk: ranks for one in labelers for pk, ranks in one.acknowledged.items()}
    assert sum(len(one.acknowledged) for one in labelers) == len(acknowledged)
    assert sum(one.tries for one in labelers) > 2 * SLATES + LABELERS  # some met a dead server
    stored = {int(pk): ranks for pk, (_slate, ranks) in found["rows"].items()}
    assert stored == acknowledged
    assert len({slate for slate, _ranks in found["rows"].values()}) == len(stored) >= SLATES
    assert found["left"] == 0


def kill_again_and_again(product: Product, labelers: list[Labeler]) -> int:
    """Kill the web's main process and its worker by turns, a moment after it is up."""
    done = 0
    while done < KILLS:
        product.wait_until_up()
        time.sleep(random.uniform(0.1, 0.6))
        if not any(labeler.is_alive() for labeler in labelers):
            break
        pids = product.pids("granian")
        if not pids:
            continue
        os.kill(pids[0] if done % 2 else pids[-1], signal.SIGKILL)
        done += 1
    return done
