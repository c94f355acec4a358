"""Runs, rounds, checkpoints, evaluations, deployments and the plan over REST."""

from __future__ import annotations

import errno

import pytest

from labeling.models import Project
from tests.factories import (
    make_manager,
    make_project,
    make_prompt,
    make_ranking,
    make_researcher,
)
from tests.training import steps
from tests.training.seeds import seed_loop
from training import artifacts
from training.models import Checkpoint, Deployment, Plan, Round, Run
from training.rules import freeze_begun_rounds

pytestmark = pytest.mark.django_db


@pytest.fixture
def seeded():
    return seed_loop(rounds=2, rankings=4, steps=6)


@pytest.fixture
def base(seeded):
    return f"/api/v1/projects/{seeded.project.slug}/"


@pytest.fixture
def manager(api, seeded):
    return api(seeded.manager)


@pytest.fixture
def reader(api, seeded):
    return api(make_researcher(seeded.project), "read")


def results(client, address, **query):
    answer = client.get(address, query)
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_runs_are_listed_the_newest_first(reader, base, seeded):
    rows = results(reader, f"{base}runs/")
    assert [row["id"] for row in rows] == list(
        seeded.project.runs.order_by("-pk").values_list("pk", flat=True)
    )
    assert rows[0]["state"] == "running"
    assert rows[0]["round"] == 3
    assert {row["kind"] for row in results(reader, f"{base}runs/", kind="ppo")} == {"ppo"}
    assert len(results(reader, f"{base}runs/", state="running")) == 1


def test_a_run_tells_its_config_curves_and_results(reader, base, seeded):
    done = seeded.project.runs.filter(kind=Run.Kind.PPO, state=Run.State.SUCCEEDED).first()
    run = reader.get(f"{base}runs/{done.pk}/").json()
    assert run["config"]["episodes"] == 384
    assert [step for step, _value in run["metrics"]["kl"]] == [1, 2, 3, 4, 5, 6]
    assert run["results"]["episodes"] == 384.0
    assert run["checkpoint"] == done.checkpoint.pk
    assert run["reward"] == done.reward_id
    assert run["datasets"]
    assert run["error"] is None


def test_a_failed_run_says_why(reader, base, seeded):
    Run.objects.filter(pk=seeded.ppo.pk).update(
        state=Run.State.FAILED, error_code="disk_full", error_values={"path": "runs/1"}
    )
    error = reader.get(f"{base}runs/{seeded.ppo.pk}/").json()["error"]
    assert error["code"] == "disk_full"
    assert "runs/1" in error["detail"]


def test_a_run_is_cancelled_and_resumed(manager, base, seeded):
    address = f"{base}runs/{seeded.ppo.pk}/"
    answer = manager.post(f"{address}cancel/")
    assert answer.status_code == 202
    assert answer.json()["cancel_requested_at"]
    assert manager.post(f"{address}resume/").status_code == 409
    Run.objects.filter(pk=seeded.ppo.pk).update(state=Run.State.CANCELLED)
    assert manager.post(f"{address}cancel/").json()["code"] == "run_not_live"
    answer = manager.post(f"{address}resume/")
    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"


def test_a_run_is_repeated_with_changes(manager, base, seeded):
    body = {"repeats": seeded.ppo.pk, "changes": {"episodes": 64}}
    answer = manager.post(f"{base}runs/", body, format="json")
    assert answer.status_code == 201, answer.content
    run = answer.json()
    assert (run["repeats"], run["config"]["episodes"]) == (seeded.ppo.pk, 64)
    assert (run["state"], run["queue_position"], run["round"]) == ("queued", 1, None)


def test_changes_that_do_not_run_are_named(manager, base, seeded):
    for changes in ({"episodes": -1}, {"no_such_field": 1}):
        body = {"repeats": seeded.ppo.pk, "changes": changes}
        answer = manager.post(f"{base}runs/", body, format="json")
        assert answer.status_code == 400
        assert answer.json()["code"] == "config_invalid"
        assert next(iter(changes)) in answer.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"kind": "ppo", "repeats": 1}, {"kind": "nonsense"}])
def test_a_run_needs_a_kind_or_one_to_repeat(manager, base, body):
    answer = manager.post(f"{base}runs/", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["field"] == "kind"


@pytest.mark.parametrize(
    "kind", ["reward", "judge", "best_of", "ppo", "grpo", "rejection", "evaluate"]
)
def test_a_run_of_a_kind_takes_the_newest_of_what_it_needs(manager, base, seeded, kind):
    answer = manager.post(f"{base}runs/", {"kind": kind, "changes": {"seed": 5}}, format="json")
    assert answer.status_code == 201, answer.content
    run = answer.json()
    assert (run["state"], run["config"]["seed"]) == ("queued", 5)
    newest = {one.kind: one.pk for one in Checkpoint.objects.order_by("pk")}
    current = Deployment.objects.current().get(project=seeded.project).checkpoint_id
    assert run["base"] == newest["base"]
    assert run["reward"] == (None if kind in ("reward", "judge", "evaluate") else newest["reward"])
    assert run["judge"] == (None if kind in ("reward", "judge") else newest["judge"])
    starts = {
        **dict.fromkeys(("ppo", "grpo", "rejection"), current),
        "evaluate": newest["policy"],
    }
    assert run["start"] == starts.get(kind)
    assert current == newest["policy"], "so there is nothing but the base to compare it with"
    assert run["deployed"] == (newest["base"] if kind == "evaluate" else None)
    assert run["datasets"]


def test_a_run_without_what_it_needs_is_refused(api):
    project = make_project()
    client = api(make_manager(project))
    address = f"/api/v1/projects/{project.slug}/runs/"
    codes = {}
    make_prompt(project)
    for kind in ("sft", "reward", "ppo"):
        answer = client.post(address, {"kind": kind}, format="json")
        codes[kind] = (answer.status_code, answer.json()["code"])
    assert codes == {
        "sft": (409, "nothing_to_train_on"),
        "reward": (409, "nothing_to_train_on"),
        "ppo": (400, "run_needs_checkpoint"),
    }
    assert not Run.objects.exists()


def test_rounds_are_listed_and_one_shows_its_runs(reader, base, seeded):
    assert [row["number"] for row in results(reader, f"{base}rounds/")] == [3, 2, 1]
    round_ = reader.get(f"{base}rounds/2/").json()
    assert round_["state"] == "deployed"
    assert [run["kind"] for run in round_["runs"]] == [
        "evaluate",
        "ppo",
        "best_of",
        "judge",
        "reward",
    ]
    assert round_["evaluations"][0]["win_rate"] == pytest.approx(0.64)
    assert len(round_["datasets"]) == 2
    assert reader.get(f"{base}rounds/9/").status_code == 404


def test_a_round_is_started_once(api):
    project = make_project()
    steps.add_evaluation_prompts(project)
    make_ranking(project)
    client = api(make_manager(project))
    address = f"/api/v1/projects/{project.slug}/rounds/"
    answer = client.post(address)
    assert answer.status_code == 201, answer.content
    assert (answer.json()["number"], answer.json()["trigger"]) == (1, "hand")
    again = client.post(address)
    assert (again.status_code, again.json()["code"]) == (409, "round_under_way")
    assert Round.objects.get().step == Round.Step.FREEZE
    freeze_begun_rounds()
    assert Run.objects.get().round == Round.objects.get()


def test_on_a_full_disk_no_run_is_started(api, monkeypatch):
    def put_file(path, name):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(artifacts, "put_file", put_file)
    project = make_project()
    make_ranking(project)
    steps.add_evaluation_prompts(project)
    address = f"/api/v1/projects/{project.slug}/runs/"
    answer = api(make_manager(project)).post(address, {"kind": "reward"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert "nothing was started" in answer.json()["detail"]
    assert not Run.objects.exists()


def test_checkpoints_lead_back_to_what_made_them(reader, base, seeded):
    rows = {row["id"]: row for row in results(reader, f"{base}checkpoints/")}
    policy = Checkpoint.objects.filter(kind="policy").latest("pk")
    row = rows[policy.pk]
    assert (row["kind"], row["version"], row["name"]) == ("policy", 2, str(policy))
    assert row["run"] == policy.run_id
    assert row["started_from"] in rows
    assert rows[row["reward"]]["kind"] == "reward"
    assert row["datasets"] == sorted(policy.run.datasets.values_list("pk", flat=True))
    outside = next(one for one in rows.values() if one["run"] is None)
    assert (outside["kind"], outside["datasets"], outside["reward"]) == ("base", [], None)


def test_datasets_tell_their_sums(reader, base, seeded):
    rows = results(reader, f"{base}datasets/")
    assert rows
    assert all(len(row["sha256"]) == 64 for row in rows)


def test_evaluations_show_numbers_gate_and_texts(reader, base, seeded):
    listed = results(reader, f"{base}evaluations/")
    assert [row["id"] for row in listed] == sorted((row["id"] for row in listed), reverse=True)
    one = reader.get(f"{base}evaluations/{seeded.evaluation.pk}/").json()
    assert one["win_rate"] == listed[0]["win_rate"]
    assert one["blind"] is None
    assert one["gate"]["judged_by"] == "judge"
    assert all(set(point) == {"name", "holds", "sentence"} for point in one["gate"]["points"])
    texts = results(reader, f"{base}evaluations/{seeded.evaluation.pk}/texts/", page_size=5)
    assert len(texts) == min(5, seeded.evaluation.texts.count())
    assert texts[0]["messages"][-1]["role"] == "user"
    assert texts[0]["candidate_score"] is not None


def test_deploy_and_roll_back_keep_the_history(manager, base, seeded):
    before = Deployment.objects.current().get(project=seeded.project).checkpoint_id
    first = Checkpoint.objects.filter(kind="policy").earliest("pk")
    answer = manager.post(f"{base}deployments/", {"checkpoint": first.pk}, format="json")
    assert answer.status_code == 201, answer.content
    assert answer.json()["deployed_by"] == seeded.manager.username
    again = manager.post(f"{base}deployments/", {"checkpoint": first.pk}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "deployed_already")
    undo = {"roll_back": answer.json()["id"]}
    back = manager.post(f"{base}deployments/", undo, format="json")
    assert (back.status_code, back.json()["checkpoint"]) == (201, before)
    retried = manager.post(f"{base}deployments/", undo, format="json")
    assert (retried.status_code, retried.json()["code"]) == (409, "not_the_roll_back_target")
    assert Deployment.objects.current().get(project=seeded.project).pk == back.json()["id"]
    history = results(manager, f"{base}deployments/")
    assert [row["kind"] for row in history[:2]] == ["roll_back", "deploy"]
    assert [row["replaced_at"] is None for row in history].count(True) == 1


@pytest.mark.parametrize("body", [{}, {"checkpoint": 1, "roll_back": 1}, {"checkpoint": "x"}])
def test_a_deployment_needs_one_of_the_two(manager, base, body):
    answer = manager.post(f"{base}deployments/", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["field"] == "checkpoint"


def test_a_roll_back_that_does_not_say_of_what_is_refused(manager, base, seeded):
    before = Deployment.objects.count()
    for vague in (True, None, "", 0):
        answer = manager.post(f"{base}deployments/", {"roll_back": vague}, format="json")
        assert (answer.status_code, answer.json()["field"]) == (400, "roll_back")
    assert Deployment.objects.count() == before


def test_a_deployment_of_another_project_cannot_be_rolled_back(api, base, seeded):
    other = make_project()
    answering = Deployment.objects.current().get(project=seeded.project)
    answer = api(make_manager(other)).post(
        f"/api/v1/projects/{other.slug}/deployments/", {"roll_back": answering.pk}, format="json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "not_the_roll_back_target")
    assert Deployment.objects.current().get(project=seeded.project) == answering


def test_a_checkpoint_of_another_project_cannot_be_deployed(api, seeded):
    other = make_project()
    policy = Checkpoint.objects.filter(kind="policy").latest("pk")
    answer = api(make_manager(other)).post(
        f"/api/v1/projects/{other.slug}/deployments/", {"checkpoint": policy.pk}, format="json"
    )
    assert answer.status_code == 404


def test_a_run_of_another_project_is_not_there(api, seeded):
    other: Project = make_project()
    client = api(make_manager(other))
    address = f"/api/v1/projects/{other.slug}/runs/"
    assert client.get(f"{address}{seeded.ppo.pk}/").status_code == 404
    assert client.post(f"{address}{seeded.ppo.pk}/cancel/").status_code == 404
    body = {"repeats": seeded.ppo.pk}
    assert client.post(address, body, format="json").status_code == 404


def test_the_plan_is_read_and_changed(manager, reader, base, seeded):
    body = {"after_rankings": None, "every_hours": 6, "overrides": {"ppo": {"episodes": 128}}}
    answer = manager.patch(f"{base}plan/", body, format="json")
    assert answer.status_code == 200, answer.content
    plan = Plan.objects.get(project=seeded.project)
    assert (plan.after_rankings, plan.every_hours) == (None, 6)
    assert plan.overrides == {"ppo": {"episodes": 128}}
    assert reader.get(f"{base}plan/").json()["every_hours"] == 6


def test_a_plan_that_cannot_hold_is_refused(manager, base):
    answer = manager.patch(f"{base}plan/", {"kl_limit": -1}, format="json")
    assert (answer.status_code, answer.json()["field"]) == (400, "kl_limit")
    answer = manager.patch(f"{base}plan/", {"overrides": {"ppo": {"nope": 1}}}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "config_invalid")


def test_researchers_start_nothing(api, seeded, base):
    client = api(make_researcher(seeded.project))
    for address in ("runs/", "rounds/", "deployments/", f"runs/{seeded.ppo.pk}/cancel/"):
        answer = client.post(f"{base}{address}", {}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "role_missing"), address
