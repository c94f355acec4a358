"""How a value of the environment is read, and what is said of a wrong one.

Wrong values are collected and told all at once, each with its name and what would be right.
Knows no setting by name: those stand in settings.py, once.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values
from environs import Env, EnvValidationError, ValidationError

PREFIX = "RANKLOOP_"
ENV_FILE = "RANKLOOP_ENV_FILE"
"""Another file than .env; the one name that is read before all others."""
FOR_TESTS = "RANKLOOP_TEST_"

BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "memory")
HOST = re.compile(r"\*|\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
MODEL = re.compile(r"[\w.-]+(/[\w.-]+)?")

Check = Callable[[str], None]


class WrongSettings(ImproperlyConfigured):
    """Some values of the environment are wrong; the message has one line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("wrong settings:\n" + "\n".join(f"  {line}" for line in self.problems))


def env_file(folder: Path) -> Path:
    """The file with settings: `folder`/.env, or the one that the environment names."""
    named = os.environ.get(ENV_FILE)
    path = folder / (named or ".env")
    if named and (path.is_dir() or not path.exists()):
        raise WrongSettings([f"{ENV_FILE} is {named!r}: there is no such file"])
    return path


def open_environment(file: Path) -> Env:
    """The process's environment, and below it the lines of the file, where there is one."""
    env = Env(eager=False)
    env.read_env(str(file), recurse=False)
    return env


def given(file: Path) -> dict[str, str]:
    """What both say, as it stands: to name a wrong value, and names that nobody knows."""
    lines = dotenv_values(file) if file.exists() else {}
    return {name: value or "" for name, value in lines.items()} | os.environ


def whole(env: Env, name: str, default: int, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""

    def checked(value: str) -> None:
        if not re.fullmatch(r"\s*\d{1,9}\s*", value) or not low <= int(value) <= high:
            raise ValidationError(f"must be a whole number from {low} to {high}")

    return int(_checked(env, name, str(default), checked))


def switch(env: Env, name: str, *, default: bool) -> bool:
    """True or false."""

    def checked(value: str) -> None:
        if value.strip().lower() not in {*TRUE, *FALSE}:
            raise ValidationError("must be true or false")

    return _checked(env, name, "true" if default else "false", checked).strip().lower() in TRUE


def text(env: Env, name: str, default: str, check: Check) -> str:
    """A string that `check` lets pass; spaces around it don't count."""

    def checked(value: str) -> None:
        if value.strip():
            check(value.strip())

    return _checked(env, name, default, checked).strip()


def choice(env: Env, name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of a few words."""

    def checked(value: str) -> None:
        if value.strip() not in allowed:
            raise ValidationError(f"must be one of {', '.join(allowed)}")

    return _checked(env, name, default, checked).strip()


def _checked(env: Env, name: str, default: str, check: Check) -> str:
    """The value, or the default where the value is wrong: `seal` stops the start then."""
    value: str | None = env.str(name, default, validate=check)
    return default if value is None else value


def words(env: Env, name: str, default: list[str], check: Check) -> list[str]:
    """Words between commas, each one let pass by `check`."""

    def checked(values: list[str]) -> None:
        for value in values:
            if value.strip():
                check(value.strip())

    values = cast("list[str] | None", env.list(name, default, validate=checked))
    return [value.strip() for value in values or [] if value.strip()]


def folder(env: Env, name: str, default: Path, base: Path) -> Path:
    """A folder, made when settings are read; a relative path counts from `base`."""
    value = env.str(name, str(default))
    path = base / Path(value or default).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WrongSettings([f"{name} is {value!r}: the folder can't be made ({reason})"]) from None
    return path.resolve()


def is_host(value: str) -> None:
    """A name that a browser may ask for."""
    if not HOST.fullmatch(value):
        raise ValidationError(
            f"{value!r} must be a host name without scheme and port, such as labels.example.org"
        )


def is_origin(value: str) -> None:
    """A scheme and a host."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path or parts.query:
        raise ValidationError(
            f"{value!r} must be a scheme and a host, such as https://labels.example.org"
        )


def is_bind_address(value: str) -> None:
    """An address of this machine."""
    if not HOST.fullmatch(value) and not re.fullmatch(r"[0-9A-Fa-f:.]+", value):
        raise ValidationError("must be an address of this machine, such as 127.0.0.1 or 0.0.0.0")


def is_database(value: str) -> None:
    """A PostgreSQL address."""
    parts = _split(value)
    if parts[0] not in {"postgres", "postgresql"} or not parts[1]:
        raise ValidationError(
            "must be empty (SQLite in the data folder) or postgres://USER:PASSWORD@HOST:PORT/NAME"
        )


def is_broker(value: str) -> None:
    """A Redis or Valkey address."""
    if _split(value)[0] not in BROKER_SCHEMES:
        raise ValidationError(
            "must be empty (a Valkey server of the product's own) or redis://HOST:PORT/0, "
            "rediss://… or redis+socket:///PATH"
        )


def _split(value: str) -> tuple[str, str]:
    """Scheme and path without its first slash; empty ones where the address makes no sense."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return "", ""
    return parts.scheme, parts.path.removeprefix("/")


def is_server(value: str) -> None:
    """The address of an OpenAI-compatible server, before its /v1."""
    scheme, path = _split(value)
    plain = re.fullmatch(r"https?://[\x21-\x7e]+", value) and not re.search(r"[@?#]", value)
    host = urlsplit(value).hostname if scheme else None
    if not plain or not host or path.rstrip("/").split("/")[-1] == "v1":
        raise ValidationError(
            "must be empty (a sampling process of the product's own) or the address of an "
            "OpenAI-compatible server without its /v1, such as http://localhost:8080; its key "
            "stands in RANKLOOP_SAMPLING_KEY"
        )


def is_key(value: str) -> None:
    """What can stand in an HTTP header after "Bearer"."""
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ValidationError("must be letters, digits and signs without spaces (or be empty)")


def is_model(value: str) -> None:
    """A folder or a hub name. Whether the folder holds a model, the trainer says."""
    if not Path(value).expanduser().is_absolute() and not MODEL.fullmatch(value):
        raise ValidationError(
            "must be empty (the model that comes with the product), the absolute path of a "
            "model's folder, or its name on the hub, such as Qwen/Qwen3-0.6B"
        )


def is_device(value: str) -> None:
    """What to compute on."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise ValidationError("must be auto, cpu, cuda or cuda:NUMBER")


def is_machine(value: str) -> None:
    """A name that can stand before a colon in a device's name, and in a file's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValidationError(
            "must be empty (the host's name) or letters, digits, dots, hyphens and underscores"
        )


def is_secret(value: str) -> None:
    """A signing key that can't be guessed."""
    if len(value) < 50 or len(set(value)) < 5:
        raise ValidationError("must have at least 50 characters, chosen at random (or be empty)")


def seal(env: Env, environ: Mapping[str, str]) -> None:
    """Raise WrongSettings with all that was wrong, names that nobody knows included."""
    known = set(env.dump())
    problems: list[str] = []
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast("Mapping[str, list[str]]", error.error_messages)
        known |= set(messages)
        for name, lines in messages.items():
            problems += [f"{_quoted(name, environ)}: {line}" for line in lines]
    problems += unknown_names(environ, known)
    if problems:
        raise WrongSettings(problems)


def _quoted(name: str, environ: Mapping[str, str]) -> str:
    if "SECRET" in name or "KEY" in name or "@" in environ.get(name, ""):
        return f"{name} is wrong"
    return f"{name} is {environ.get(name, '')!r}"


def unknown_names(environ: Mapping[str, str], known: set[str]) -> list[str]:
    """One line for each name that looks like a setting and isn't one: most often a slip."""
    problems = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name.startswith(FOR_TESTS):
            continue
        if name == ENV_FILE or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see .env.example for those there are"
        problems.append(f"{name}: there is no such setting; {hint}")
    return problems
