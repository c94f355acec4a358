"""What the environment may say, and what is said of a wrong value."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import json
from config import settings
values = {name: str(value) for name, value in settings.env.dump().items()}
others = {name: str(getattr(settings, name)) for name in (
    "DATA_DIR", "STATIC_ROOT", "CELERY_BROKER_URL", "SECRET_KEY", "DATABASES",
    "HOSTS", "ORIGINS", "MACHINE")}
print(json.dumps({"values": values, "others": others}))
"""


def start(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process of its own, with these values and no others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RANKLOOP_")}
    given = {"RANKLOOP_DATA": str(folder), "RANKLOOP_ENV_FILE": os.devnull} | settings
    return subprocess.run(
        [sys.executable, "-c", SHOW],
        env=clean | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def read(folder: Path, **settings: str) -> dict[str, dict[str, str]]:
    done = start(folder, **settings)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def complaints(folder: Path, **settings: str) -> str:
    done = start(folder, **settings)
    assert done.returncode != 0
    return done.stderr.rpartition("WrongSettings: ")[2]


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("RANKLOOP_PORT", "eighty", "must be a whole number from 1 to 65535"),
        ("RANKLOOP_PORT", "70000", "must be a whole number from 1 to 65535"),
        ("RANKLOOP_PORT", "", "must be a whole number from 1 to 65535"),
        ("RANKLOOP_WEB_WORKERS", "0", "must be a whole number from 1 to 64"),
        ("RANKLOOP_DEBUG", "perhaps", "must be true or false"),
        ("RANKLOOP_HTTPS", "", "must be true or false"),
        ("RANKLOOP_HOSTS", "https://example.org", "must be a host name without scheme and port"),
        ("RANKLOOP_HOSTS", "example.org:8000", "must be a host name without scheme and port"),
        ("RANKLOOP_ORIGINS", "example.org", "must be a scheme and a host"),
        ("RANKLOOP_BIND", "not an address", "must be an address of this machine"),
        ("RANKLOOP_DATABASE", "mysql://a/b", "postgres://USER:PASSWORD@HOST:PORT/NAME"),
        ("RANKLOOP_DATABASE", "postgres://host", "postgres://USER:PASSWORD@HOST:PORT/NAME"),
        ("RANKLOOP_DATABASE", "postgres://h:port/b", "postgres://USER:PASSWORD@HOST:PORT/NAME"),
        ("RANKLOOP_BROKER", "amqp://host", "redis://HOST:PORT/0"),
        ("RANKLOOP_BROKER", "localhost", "redis://HOST:PORT/0"),
        ("RANKLOOP_SECRET_KEY", "short", "at least 50 characters"),
        ("RANKLOOP_SECRET_KEY", "a" * 60, "at least 50 characters"),
        ("RANKLOOP_SAMPLING_URL", "localhost:8080", "such as http://localhost:8080"),
        ("RANKLOOP_SAMPLING_URL", "ftp://host", "such as http://localhost:8080"),
        ("RANKLOOP_SAMPLING_URL", "http://", "such as http://localhost:8080"),
        ("RANKLOOP_SAMPLING_URL", "http://host:port", "such as http://localhost:8080"),
        ("RANKLOOP_SAMPLING_URL", "http://host:80/v1/", "without its /v1"),
        ("RANKLOOP_SAMPLING_URL", "http://host/?a=1", "such as http://localhost:8080"),
        ("RANKLOOP_SAMPLING_URL", "http://a host", "such as http://localhost:8080"),
        ("RANKLOOP_SAMPLING_KEY", "two words", "without spaces"),
        ("RANKLOOP_MODEL", "./models/mine", "absolute path"),
        ("RANKLOOP_DEVICE", "gpu", "must be auto, cpu, cuda or cuda:NUMBER"),
        ("RANKLOOP_MACHINE", "gpu:1", "letters, digits, dots, hyphens and underscores"),
        ("RANKLOOP_LOG_LEVEL", "loud", "must be one of DEBUG, INFO, WARNING, ERROR"),
        ("RANKLOOP_LEASE_MINUTES", "-1", "must be a whole number from 1 to 1440"),
        ("RANKLOOP_RUN_LEASE_SECONDS", "1", "must be a whole number from 5 to 3600"),
        ("RANKLOOP_TICK_SECONDS", "0.5", "must be a whole number from 1 to 60"),
    ],
)
def test_a_wrong_value_stops_the_start_with_its_name(
    tmp_path: Path, name: str, value: str, right: str
) -> None:
    said = complaints(tmp_path, **{name: value})
    assert name in said
    assert right in said


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    said = complaints(
        tmp_path, RANKLOOP_PORT="x", RANKLOOP_DEVICE="tpu", RANKLOOP_DATABASE="oracle://"
    )
    assert [line.split()[0] for line in said.splitlines() if "RANKLOOP_" in line] == [
        "RANKLOOP_PORT",
        "RANKLOOP_DATABASE",
        "RANKLOOP_DEVICE",
    ]


def test_a_slip_in_a_name_is_not_passed_over(tmp_path: Path) -> None:
    said = complaints(tmp_path, RANKLOOP_PROT="9000")
    assert "RANKLOOP_PROT: there is no such setting; did you mean RANKLOOP_PORT?" in said


def test_a_slip_in_the_file_is_not_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("RANKLOOP_TICKSECONDS=5\nRANKLOOP_PORT=high\nPOSTGRES_PASSWORD=x\n")
    said = complaints(tmp_path, RANKLOOP_ENV_FILE=str(file))
    assert "did you mean RANKLOOP_TICK_SECONDS?" in said
    assert "RANKLOOP_PORT is 'high'" in said
    assert "POSTGRES" not in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = complaints(tmp_path, RANKLOOP_ENV_FILE=str(tmp_path / "none"))
    assert "RANKLOOP_ENV_FILE" in said
    assert "there is no such file" in said


def test_secrets_are_not_repeated(tmp_path: Path) -> None:
    said = complaints(
        tmp_path,
        RANKLOOP_SECRET_KEY="hunter2",
        RANKLOOP_DATABASE="mysql://me:hunter3@host/db",
        RANKLOOP_SAMPLING_URL="http://me:hunter4@host",
        RANKLOOP_SAMPLING_KEY="hunter 5",
    )
    assert "RANKLOOP_SAMPLING_URL is wrong" in said
    assert "RANKLOOP_SAMPLING_KEY is wrong" in said
    assert "RANKLOOP_SECRET_KEY" in said
    assert "RANKLOOP_DATABASE" in said
    assert "hunter" not in said


@pytest.mark.parametrize(
    "url", ["http://vllm:8000", "https://llm.example.org/rank/", "http://[::1]:80"]
)
def test_a_sampling_server_may_stand_anywhere(tmp_path: Path, url: str) -> None:
    values = read(tmp_path, RANKLOOP_SAMPLING_URL=url, RANKLOOP_SAMPLING_KEY="sk-1_a/=")["values"]
    assert values["RANKLOOP_SAMPLING_URL"] == url
    assert values["RANKLOOP_SAMPLING_KEY"] == "sk-1_a/="


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = complaints(tmp_path / "file" / "below")
    assert "RANKLOOP_DATA is" in said
    assert "the folder can't be made (Not a directory)" in said


def test_the_example_lists_every_setting_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text()
    example = dict(re.findall(r"^(RANKLOOP_\w+)=(.*)$", text, re.MULTILINE))
    plain = read(tmp_path)
    assert sorted(example) == sorted(plain["values"])
    by_example = tmp_path / "env"
    kept = [line for line in text.splitlines() if not line.startswith("RANKLOOP_DATA=")]
    by_example.write_text("\n".join(kept))
    same = read(tmp_path, RANKLOOP_ENV_FILE=str(by_example))
    assert same["others"] == plain["others"]
    folders = {"RANKLOOP_DATA", "RANKLOOP_STATIC", "RANKLOOP_HOSTS", "RANKLOOP_ORIGINS"}
    for name in set(example) - folders:
        assert same["values"][name] == plain["values"][name], name


def test_a_relative_data_folder_counts_from_the_product() -> None:
    folder = ROOT / "build" / "data-of-a-test"
    try:
        others = read(ROOT, RANKLOOP_DATA="build/data-of-a-test")["others"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert others["DATA_DIR"] == str(folder)


def test_a_machine_has_its_hosts_name_unless_it_is_given_one(tmp_path: Path) -> None:
    assert read(tmp_path)["others"]["MACHINE"] == socket.gethostname()
    assert read(tmp_path, RANKLOOP_MACHINE=" box-1 ")["others"]["MACHINE"] == "box-1"


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("RANKLOOP_PORT=9001\nRANKLOOP_LEASE_MINUTES=7\n")
    values = read(tmp_path, RANKLOOP_ENV_FILE=str(file), RANKLOOP_PORT="9002")["values"]
    assert values["RANKLOOP_PORT"] == "9002"
    assert values["RANKLOOP_LEASE_MINUTES"] == "7"


def test_the_secret_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = read(tmp_path)["others"]["SECRET_KEY"]
    assert len(first) >= 50
    assert read(tmp_path)["others"]["SECRET_KEY"] == first
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert read(tmp_path / "other")["others"]["SECRET_KEY"] != first


def test_options_in_the_database_address_stay(tmp_path: Path) -> None:
    url = "postgres://me:secret@db.example.org:5433/rank?sslmode=require"
    databases = read(tmp_path, RANKLOOP_DATABASE=url)["others"]["DATABASES"]
    assert "'sslmode': 'require'" in databases
    assert "'pool':" in databases
    assert "5433" in databases


def test_a_deep_data_folder_gets_a_short_socket(tmp_path: Path) -> None:
    near = read(tmp_path)["others"]["CELERY_BROKER_URL"]
    assert str(tmp_path / "run" / "valkey.sock") in near
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    url = read(deep)["others"]["CELERY_BROKER_URL"]
    path = url.removeprefix("redis+socket://").partition("?")[0]
    assert len(path.encode()) <= 103
    assert url == read(deep, TMPDIR=str(tmp_path))["others"]["CELERY_BROKER_URL"]


PRODUCTION = {
    "RANKLOOP_HTTPS": "true",
    "RANKLOOP_HOSTS": "labels.example.org",
    "RANKLOOP_ORIGINS": "https://labels.example.org",
    "RANKLOOP_DATABASE": "postgres://rankloop:secret@127.0.0.1:5432/rankloop",
    "RANKLOOP_BROKER": "redis://127.0.0.1:6379/0",
}


@pytest.mark.parametrize("settings", [PRODUCTION, {"RANKLOOP_HTTPS": "true"}])
def test_the_deployment_check_is_silent(tmp_path: Path, settings: dict[str, str]) -> None:
    ours = ("RANKLOOP_", "DJANGO_")  # the browser's fixture allows Django in its event loop
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    clean["DJANGO_SETTINGS_MODULE"] = "config.settings"
    given = {"RANKLOOP_DATA": str(tmp_path), "RANKLOOP_ENV_FILE": os.devnull} | settings
    done = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "check", "--deploy", "--fail-level", "DEBUG"],
        env=clean | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == "System check identified no issues (0 silenced).\n"
