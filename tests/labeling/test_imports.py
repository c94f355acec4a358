"""Files come in whole or not at all, and a broken line is named."""

from __future__ import annotations

import io
import json
import tracemalloc
from datetime import timedelta

import pytest
from django.utils import timezone

from labeling import imports
from labeling.imports import FileRefused, ImportRunning, format_of, import_file
from labeling.models import Demonstration, Import, Project, Prompt
from tests.factories import make_project

pytestmark = pytest.mark.django_db


def take(project: Project, content: str | bytes, form: str = "jsonl", kind: str = "prompts"):
    data = content if isinstance(content, bytes) else content.encode()
    return import_file(project=project, kind=kind, format=form, file=io.BytesIO(data))


def problems(row: Import) -> list[tuple[int, str]]:
    return [(problem.line, problem.field) for problem in row.problems.all()]


def message(row: Import) -> str:
    return row.problems.get().message


def jsonl(rows: int, *, start: int = 0) -> bytes:
    return b"".join(
        json.dumps({"prompt": f"Question {number}?"}).encode() + b"\n"
        for number in range(start, start + rows)
    )


class Stream(io.RawIOBase):
    """A big file that exists only while it is read, so that memory can be measured."""

    ROW = {
        "jsonl": b'{"prompt": "Question %d: %s?"}\n',
        "csv": b'"Question %d: %s?",3\n',
        "text": b"Question %d: %s?\n",
    }
    BROKEN = {"jsonl": b'{"prompt": broken}\n', "csv": b"what,soon\n", "text": b"\xff\xfe\n"}

    def __init__(self, lines: int, broken: int | None = None, form: str = "jsonl") -> None:
        self.lines, self.broken, self.form = lines, broken, form
        self.position = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = self.lines if whence == 2 else offset
        return self.position

    def readline(self, size: int = -1) -> bytes:
        if self.position >= self.lines:
            return b""
        self.position += 1
        if self.position == 1 and self.form == "csv":
            return b"prompt,priority\n"
        if self.position == self.broken:
            return self.BROKEN[self.form]
        return self.ROW[self.form] % (self.position, b"why " * 50)


def test_prompts_are_stored_once_and_duplicates_counted():
    project = make_project()
    row = take(project, '{"prompt": "One?"}\n{"prompt": "Two?"}\n\n{"prompt": "One?"}\n')
    assert (row.state, row.rows, row.duplicates) == ("committed", 2, 1)
    again = take(project, '{"prompt": "Two?"}\n{"prompt": "Three?", "priority": 3}')
    assert (again.rows, again.duplicates) == (1, 1)
    assert {p.text for p in Prompt.objects.live()} == {"One?", "Two?", "Three?"}


def test_conversations_categories_and_groups_are_kept():
    project = make_project()
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Who are you?"},
    ]
    row = {"messages": messages, "category": "chat", "group": "greetings"}
    take(project, json.dumps(row))
    prompt = Prompt.objects.get()
    assert prompt.messages == messages
    assert (prompt.category, prompt.group, prompt.text) == ("chat", "greetings", "Who are you?")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_kind_and_language_are_kept(form):
    lines = {
        "jsonl": '{"prompt": "Eins?", "kind": "plain", "language": "de"}',
        "csv": "prompt,kind,language\nEins?,plain,de",
    }
    take(make_project(), lines[form], form)
    prompt = Prompt.objects.get()
    assert (prompt.kind, prompt.language) == ("plain", "de")


def test_a_byte_order_mark_and_windows_line_ends_are_fine():
    row = take(make_project(), b'\xef\xbb\xbf{"prompt": "One?"}\r\n{"prompt": "Two?"}\r\n')
    assert row.rows == 2


def test_line_7311_is_named_and_nothing_is_imported():
    project = make_project()
    content = jsonl(7310) + b'{"prompt": "no end}\n' + jsonl(2000, start=8000)
    row = take(project, content)
    assert row.state == "refused"
    assert problems(row) == [(7311, "")]
    assert "JSON" in message(row)
    assert not Prompt.objects.exists()


@pytest.mark.parametrize(
    ("line", "field", "says"),
    [
        ('{"question": "?"}', "prompt", "is missing"),
        ('{"prompt": 7}', "prompt", "write a text, or a list"),
        ('{"prompt": "  "}', "prompt", "is empty"),
        ('{"prompt": "a\\u0000b"}', "prompt", "NUL"),
        ('{"prompt": "a\\ud800b"}', "prompt", "lone surrogate"),
        ('{"prompt": "?", "priority": "high"}', "priority", "whole number"),
        ('{"prompt": "?", "priority": true}', "priority", "whole number"),
        ('{"prompt": "?", "category": ["x"]}', "category", "text in quotes"),
        ('{"messages": [{"role": "robot", "content": "?"}]}', "role", "system, user or"),
        ('{"messages": [{"role": "user", "content": null}]}', "content", "text in quotes"),
        ('{"messages": [{"role": "assistant", "content": "!"}]}', "messages", "the user's"),
        ('["One?"]', "", "is a list"),
        ("5", "", "not an object"),
        ("[" * 100_000, "", "nested too deeply"),
        ('{"prompt": ' + "9" * 5000 + "}", "", "too long"),
    ],
)
def test_a_wrong_field_is_named_with_what_would_be_right(line, field, says):
    row = take(make_project(), '{"prompt": "Good."}\n' + line)
    assert problems(row) == [(2, field)]
    assert says in message(row)


def test_utf_16_is_refused_with_the_way_out():
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        row = take(make_project(), '{"prompt": "Grüße"}\n{"prompt": "x"}'.encode(encoding))
        assert problems(row) == [(1, "")]
        assert "UTF-16; save it as UTF-8" in message(row)


def test_latin_1_is_refused_with_the_line_and_the_byte():
    content = b'{"prompt": "One?"}\n' + '{"prompt": "Café?"}'.encode("latin-1")
    row = take(make_project(), content)
    assert problems(row) == [(2, "")]
    assert "byte 16 (0xE9)" in message(row)
    assert "Latin-1" in message(row)


def test_a_line_that_is_too_long_is_named_and_the_next_one_is_read():
    content = b'{"prompt": "' + b"x" * (3 * 2**20) + b'"}\n{"prompt": 1}\n'
    row = take(make_project(), content)
    assert problems(row) == [(1, ""), (2, "prompt")]


def test_an_empty_file_is_refused():
    row = take(make_project(), "\n\n")
    assert row.state == "refused"
    assert "no rows" in message(row)


def test_the_first_hundred_problems_are_kept():
    row = take(make_project(), "{}\n" * 250)
    assert [problem.line for problem in row.problems.all()] == list(range(1, 101))


def test_csv_with_semicolons_quotes_and_line_breaks():
    content = 'Prompt;category\n"Say ""hi"";\nplease";chat\n\nTwo?;\n'
    row = take(make_project(), content, "csv")
    assert row.rows == 2
    assert Prompt.objects.order_by("pk")[0].text == 'Say "hi";\nplease'
    assert Prompt.objects.order_by("pk")[0].category == "chat"


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("question\nOne?\n", 1, "name the columns"),
        ("prompt,category\nOne?,a\nTwo?,b,c\n", 3, "3 fields and the header 2"),
        ('prompt\nOne?\n"Two\nThree\n', 3, "never closes"),
        ('prompt\nOne?\n"Two" three\nFour?\n', 3, 'inside a quoted field as ""'),
        ('prompt,category\n"a\nb",x\n"",y\n', 4, "is empty"),
    ],
)
def test_csv_problems_are_named_by_line(content, line, says):
    row = take(make_project(), content, "csv")
    assert [problem.line for problem in row.problems.all()] == [line]
    assert says in message(row)


def test_csv_in_latin_1_is_refused_with_the_line():
    row = take(make_project(), "prompt\nOne?\nCafé?\n".encode("latin-1"), "csv")
    assert problems(row) == [(3, "")]


def test_a_quote_that_swallows_the_file_ends_the_reading():
    content = b'prompt\n"open\n' + b"line\n" * 500_000
    tracemalloc.start()
    row = take(make_project(), content, "csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problems(row) == [(2, "")]
    assert peak < 12 * 2**20


def test_plain_text_is_a_prompt_a_line():
    row = take(make_project(), "One?\n\n  Two?  \n", "text")
    assert row.rows == 2
    assert {p.text for p in Prompt.objects.all()} == {"One?", "Two?"}


def test_demonstrations_bring_their_prompts():
    project = make_project()
    take(project, '{"prompt": "One?"}')
    lines = [
        {"prompt": "One?", "completion": "1"},
        {"prompt": "One?", "completion": "1"},
        {"prompt": "Two?", "completion": [{"role": "assistant", "content": "2"}]},
        {
            "messages": [
                {"role": "user", "content": "Three?"},
                {"role": "assistant", "content": "3"},
            ]
        },
    ]
    row = take(project, "\n".join(map(json.dumps, lines)), kind="demonstrations")
    assert (row.rows, row.duplicates) == (3, 1)
    assert set(Demonstration.objects.live().values_list("text", flat=True)) == {"1", "2", "3"}
    assert Prompt.objects.live().count() == 3


@pytest.mark.parametrize(
    "line",
    ['{"prompt": "?"}', '{"messages": [{"role": "user", "content": "?"}]}'],
)
def test_a_demonstration_without_its_answer_is_refused(line):
    row = take(make_project(), line, kind="demonstrations")
    assert problems(row) == [(1, "completion")]


def test_plain_text_has_no_place_for_answers():
    with pytest.raises(FileRefused):
        take(make_project(), "One?", "text", "demonstrations")


def test_rows_are_invisible_until_all_are_there(monkeypatch):
    project = make_project()
    seen = []
    store = imports.store_batch

    def watched(**arguments):
        fresh = store(**arguments)
        seen.append((Prompt.objects.count(), Prompt.objects.live().count()))
        return fresh

    monkeypatch.setattr(imports, "store_batch", watched)
    take(project, jsonl(1200))
    assert seen == [(500, 0), (1000, 0), (1200, 0)]
    assert Prompt.objects.live().count() == 1200


def test_an_error_in_the_middle_leaves_nothing(monkeypatch):
    project = make_project()
    store = imports.store_batch

    def failing(**arguments):
        if Prompt.objects.exists():
            raise OSError("the disk is gone")
        return store(**arguments)

    monkeypatch.setattr(imports, "store_batch", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        take(project, jsonl(1200))
    monkeypatch.undo()
    assert not Prompt.objects.exists()
    assert Import.objects.get().state == "refused"
    assert take(project, jsonl(1200)).rows == 1200


def test_an_interrupted_import_is_undone_by_the_next(monkeypatch):
    project = make_project()
    monkeypatch.setattr(imports, "undo_import", lambda *, imported: None)  # as kill -9 would

    def killed(**_arguments):
        raise KeyboardInterrupt

    store = imports.store_batch
    monkeypatch.setattr(
        imports, "store_batch", lambda **a: store(**a) if not Prompt.objects.exists() else killed()
    )
    with pytest.raises(KeyboardInterrupt):
        take(project, jsonl(700))
    monkeypatch.undo()
    assert (Prompt.objects.count(), Prompt.objects.live().count()) == (500, 0)
    with pytest.raises(ImportRunning):
        take(project, jsonl(700))
    Import.objects.update(renewed_at=timezone.now() - timedelta(minutes=6))
    row = take(project, jsonl(700))
    assert (row.rows, row.duplicates) == (700, 0)
    assert Prompt.objects.live().count() == 700


def test_an_import_given_up_meanwhile_writes_no_more(monkeypatch):
    project = make_project()
    store = imports.store_batch

    def slow(**arguments):
        fresh = store(**arguments)
        imports.undo_import(imported=arguments["imported"])
        return fresh

    monkeypatch.setattr(imports, "store_batch", slow)
    with pytest.raises(FileRefused):
        take(project, jsonl(700))
    assert not Prompt.objects.exists()


@pytest.mark.parametrize(("form", "many"), [("jsonl", 20_000), ("csv", 8_000), ("text", 8_000)])
def test_memory_stays_constant(form, many):
    project = make_project()
    peaks = []
    for lines in (2_000, many):
        tracemalloc.start()
        stream = Stream(lines, broken=lines, form=form)
        row = import_file(project=project, kind="prompts", format=form, file=stream)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert [line for line, _ in problems(row)] == [lines]
    tracemalloc.start()
    stream = Stream(5_000, form=form)
    row = import_file(project=project, kind="prompts", format=form, file=stream)
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert row.rows == 5_000 - (form == "csv")
    assert peaks[1] < peaks[0] + 2**18
    assert peaks[2] < 16 * 2**20


def test_a_stream_that_cannot_seek_is_taken_too():
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_position) -> int:
            raise io.UnsupportedOperation

    row = import_file(project=make_project(), kind="prompts", format="jsonl", file=Pipe(jsonl(3)))
    assert row.rows == 3


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(imports, "MAX_BYTES", 10)
    with pytest.raises(FileRefused):
        take(make_project(), jsonl(3))


def test_the_format_is_read_off_the_name():
    assert [format_of(name) for name in ("a.JSONL", "b.csv", "c.tsv", "d.txt")] == [
        "jsonl",
        "csv",
        "csv",
        "text",
    ]
    with pytest.raises(FileRefused):
        format_of("prompts.xlsx")


def test_an_unknown_format_is_refused():
    with pytest.raises(FileRefused):
        take(make_project(), "x", "parquet")


def test_fields_that_are_not_used_are_named_where_they_were_met_first():
    lines = [
        {"prompt": "One?"},
        {"prompt": "Two?", "catgory": "chat", "messages": [], "group": "numbers"},
        {"prompt": "Three?", "a\x00\ud800b": 1, "catgory": "chat", "priority": 1},
    ]
    row = take(make_project(), "\n".join(map(json.dumps, lines)))
    assert (row.state, row.rows) == ("committed", 3)
    assert problems(row) == [(2, "catgory"), (2, "messages"), (3, "a��b")]
    assert row.unused_fields == ["catgory", "messages", "a��b"]


def test_columns_that_are_not_used_are_named_and_those_without_a_name_are_not():
    row = take(make_project(), "id;prompt;completion;\n1;One?;1;\n2;Two?;2;\n", "csv")
    assert row.unused_fields == ["id", "completion"]


@pytest.mark.parametrize(
    ("line", "unused"),
    [
        ({"prompt": "?", "completion": "!", "category": "a", "source": "b"}, ["source"]),
        ({"prompt": "?", "completion": "!", "messages": []}, ["messages"]),
        (
            {
                "messages": [
                    {"role": "user", "content": "?"},
                    {"role": "assistant", "content": "!"},
                ],
                "group": "a",
            },
            [],
        ),
    ],
)
def test_a_demonstrations_answer_counts_as_used(line, unused):
    row = take(make_project(), json.dumps(line), kind="demonstrations")
    assert row.unused_fields == unused


def test_a_refused_file_has_problems_and_no_unused_fields():
    row = take(make_project(), '{"prompt": "One?", "colour": "red"}\n{"prompt": 7}\n')
    assert problems(row) == [(2, "prompt")]
    assert row.unused_fields == []


def test_of_very_many_unused_fields_the_first_are_named():
    line = {"prompt": "One?"} | {f"field-{number}-{'x' * 80}": 1 for number in range(100)}
    row = take(make_project(), json.dumps(line))
    assert len(row.unused_fields) == imports.MAX_UNUSED
    assert {len(name) for name in row.unused_fields} == {imports.FIELD_LENGTH}
