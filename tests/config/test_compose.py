"""The production form can't be started here; its files are checked against what they speak of."""

from __future__ import annotations

import importlib.util
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pytest_django import Settings

from config import worker
from training import devices

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE)
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    vendored = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(vendored.read_text("utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    problems = [f"{list(e.absolute_path)}: {e.message}" for e in kind(schema).iter_errors(compose)]
    assert problems == []


def test_the_schema_would_find_a_slip(compose: dict[str, Any]) -> None:
    vendored = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(vendored.read_text("utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    wrong = compose | {"services": {"web": {"image": "x", "portz": ["80:80"]}}}
    assert list(kind(schema).iter_errors(wrong))


def test_all_parts_are_there(services: dict[str, Any]) -> None:
    assert set(services) == {
        *("postgres", "redis", "prepare", "web", "worker-default", "beat"),
        *("sampler-cpu", "sampler-gpu", "trainer-cpu", "trainer-gpu"),
    }


def test_every_service_that_stays_has_a_health_check_or_says_that_it_has_none(
    services: dict[str, Any],
) -> None:
    for name, service in services.items():
        check = service.get("healthcheck", {})
        assert "test" in check or check.get("disable") is True, name


def test_who_is_waited_for_exists_and_can_be_waited_for(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[name]["healthcheck"]
            else:
                assert how["condition"] == "service_completed_successfully"
                assert services[name]["restart"] == "no"


def test_data_is_kept_in_volumes_that_are_declared(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    used = {mount.split(":")[0] for s in services.values() for mount in s.get("volumes", [])}
    assert used == set(compose["volumes"])
    ours = [s for s in services.values() if s["image"].startswith("rankloop-")]
    assert len(ours) == 8
    assert all(service["volumes"] == ["data:/data"] for service in ours)


def in_profile(services: dict[str, Any], profile: str) -> dict[str, Any]:
    """What this profile starts besides what always starts, with its environment."""
    chosen = {n: s for n, s in services.items() if profile in s.get("profiles", [])}
    return {name: service["environment"] for name, service in chosen.items()}


def test_each_profile_has_one_sampler_at_most_one_trainer_and_none_starts_without(
    services: dict[str, Any],
) -> None:
    assert set(in_profile(services, "cpu")) == {"sampler-cpu", "trainer-cpu"}
    assert set(in_profile(services, "gpu")) == {"sampler-gpu", "trainer-gpu"}
    assert set(in_profile(services, "rank")) == {"sampler-cpu"}
    always = {name for name, service in services.items() if "profiles" not in service}
    assert not always & {"sampler-cpu", "sampler-gpu", "trainer-cpu", "trainer-gpu"}


def test_what_samples_and_trains_on_a_machine_names_it_alike(services: dict[str, Any]) -> None:
    with_torch = [s["environment"] for s in services.values() if s["image"] == "rankloop-trainer"]
    names = {environment["RANKLOOP_MACHINE"] for environment in with_torch}
    assert names == {"${RANKLOOP_MACHINE:-docker}"}, "a container's own name is never the default"


@pytest.mark.parametrize(
    ("profile", "in_order"), [("cpu", ("here:cpu",)), ("gpu", ("here:cuda:0", "here:cpu"))]
)
def test_sampling_and_training_share_the_device_of_their_profile(
    services: dict[str, Any],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    profile: str,
    in_order: tuple[str, ...],
) -> None:
    settings.MACHINE = "here"
    monkeypatch.setattr(devices, "count_gpus", lambda: 1)
    environments = in_profile(services, profile)
    settings.DEVICE = environments[f"trainer-{profile}"]["RANKLOOP_DEVICE"]
    assert devices.for_training() == in_order[:1]
    settings.DEVICE = environments[f"sampler-{profile}"]["RANKLOOP_DEVICE"]
    assert devices.for_sampling() == in_order


def test_both_see_the_same_gpu_and_nothing_else_asks_for_one(services: dict[str, Any]) -> None:
    asked = {name: s["deploy"]["resources"] for name, s in services.items() if "deploy" in s}
    assert set(asked) == {"sampler-gpu", "trainer-gpu"}
    assert asked["sampler-gpu"] == asked["trainer-gpu"]
    (gpu,) = asked["trainer-gpu"]["reservations"]["devices"]
    assert (gpu["count"], gpu["capabilities"]) == (1, ["gpu"])


def test_every_setting_is_passed_on_or_said_to_be_decided_here(services: dict[str, Any]) -> None:
    above, _heading, below = EXAMPLE.partition("# --- docker compose ---")
    known = set(re.findall(r"^(RANKLOOP_\w+)=", above, re.MULTILINE))
    decided = set(re.findall(r"RANKLOOP_\w+", below))
    assert decided <= known
    for name, service in services.items():
        if not service["image"].startswith("rankloop-"):
            continue
        environment = service["environment"]
        passed_on = {n for n, value in environment.items() if value.startswith(f"${{{n}:")}
        assert passed_on == known - decided, name
        assert set(environment) <= known, name
        assert "RANKLOOP_DEBUG" not in environment, name
    for_compose = set(re.findall(r"^(\w+)=", below, re.MULTILINE))
    assert set(re.findall(r"\$\{(\w+)", COMPOSE)) == for_compose | (known - decided)
    assert set(re.findall(r"(RANKLOOP_\w+)=", DOCKERFILE)) <= known


def test_defaults_are_those_of_the_example() -> None:
    example = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE))
    assert len(defaults) > 10
    for name, default in defaults.items():
        if example[name]:  # an empty one leaves it to whoever reads it
            assert default == example[name], name


def test_no_secret_stands_in_the_file(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if "SECRET" in name or "PASSWORD" in name:
                assert value.startswith("${"), name
                assert ":?" in value, name


def test_commands_are_ones_that_there_are(services: dict[str, Any]) -> None:
    ours = {n: s for n, s in services.items() if s["image"].startswith("rankloop-")}
    queues = []
    for name, service in ours.items():
        command = service["command"]
        if command[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(command[2]) is not None, name
        else:
            assert command[:4] == ["celery", "--quiet", "-A", "config"], name
        if command[2:3] == ["config.worker"]:
            queues.append(command[3])
            assert service["healthcheck"]["test"] == ["CMD", *command, "--ping"]
    assert set(queues) == set(worker.QUEUES)


def test_images_with_torch_are_only_where_it_is_needed(services: dict[str, Any]) -> None:
    with_torch = {n for n, s in services.items() if s["image"] == "rankloop-trainer"}
    assert with_torch == {"sampler-cpu", "sampler-gpu", "trainer-cpu", "trainer-gpu"}


def test_the_images_take_files_that_exist_and_stages_that_are_named() -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert stages == ["base", "web", "trainer"]
    for sources in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    for target in re.findall(r"target: (\w+)", COMPOSE):
        assert target in stages
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ".env" in ignored
    assert "data" in ignored
