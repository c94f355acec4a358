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

from config import worker

ROOT = Path(__file__).resolve().parents[2]
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
        *("postgres", "redis", "prepare", "web", "worker-default", "worker-sampling", "beat"),
        *("trainer-cpu", "trainer-gpu"),
    }
    assert services["trainer-gpu"]["profiles"] == ["gpu"]
    devices = services["trainer-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


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
    assert len(ours) == 7
    assert all(service["volumes"] == ["data:/data"] for service in ours)


def test_settings_are_ones_that_there_are(services: dict[str, Any]) -> None:
    example = set(
        re.findall(r"^(RANKLOOP_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    )
    given = {name for s in services.values() for name in s.get("environment", {})}
    assert {name for name in given if name.startswith("RANKLOOP_")} <= example
    interpolated = set(re.findall(r"\$\{(\w+)", COMPOSE)) - {"POSTGRES_PASSWORD", "PUBLISH"}
    assert interpolated <= example
    in_image = set(re.findall(r"(RANKLOOP_\w+)=", DOCKERFILE))
    assert in_image <= example


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
    assert with_torch == {"worker-sampling", "trainer-cpu", "trainer-gpu"}


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
