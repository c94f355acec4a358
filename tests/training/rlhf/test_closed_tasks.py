"""Data sets of closed tasks: what is read, and what each wrong line is told."""

import json

import pytest

from training.configs import CLOSED_TASKS, ClosedConfig, ConfigError
from training.rlhf.closed.scores import words
from training.rlhf.closed.tasks import SETS, read_task, read_task_file
from training.rlhf.durable import RunError
from training.rlhf.rundir import RunDirectory

CHOICE = {"rule": "choice", "prompt": "Is it warm?", "choices": ["yes", "no"], "answer": "no"}
EXACT = {"rule": "exact", "prompt": "Who?", "answers": ["Ada"]}


@pytest.fixture
def read(tmp_path):
    """read(*lines) → the task; a line is a row, or raw bytes."""

    def run(*lines, most=None):
        path = tmp_path / "mine.jsonl"
        raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        path.write_bytes(b"\n".join(raw))
        return read_task_file(path, "mine", "data/mine.jsonl", most)

    return run


def test_a_choice_knows_the_right_one(read):
    task = read({"id": "1", **CHOICE})
    assert (task.rule, task.classes) == ("choice", ("yes", "no"))
    assert task.items[0].right == 1
    assert task.items[0].prompt == [{"role": "user", "content": "Is it warm?"}]


def test_choices_that_differ_from_item_to_item_are_no_classes(read):
    other = {**CHOICE, "id": "2", "choices": ["no", "maybe"]}
    assert read({"id": "1", **CHOICE}, other).classes == ()


def test_a_prompt_may_be_a_conversation(read):
    talk = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Who are you?"},
    ]
    assert read({"id": "1", **EXACT, "prompt": talk}).items[0].prompt == talk


def test_only_the_first_items_are_taken_but_all_lines_are_looked_at(read):
    rows = [{"id": str(number), **EXACT} for number in range(5)]
    assert [item.id for item in read(*rows, most=2).items] == ["0", "1"]
    with pytest.raises(RunError):
        read(*rows, {"id": "6"}, most=2)


@pytest.mark.parametrize(
    ("line", "words_of_problem"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"id": ' + b"9" * 5000 + b"}", "a number is too long"),
        ({"id": "2"}, "rule: must be one of choice, exact, rouge, text"),
        ({"id": "2", **CHOICE, "rule": ["choice"]}, "rule: must be one of"),
        ({"id": "2", "rule": "text", "text": "One day."}, "a file has one rule"),
        ({**CHOICE}, "id: must be a text"),
        ({"id": 2, **CHOICE}, "id: must be a text"),
        ({"id": "1", **CHOICE}, "id: line 1 has the same one"),
        ({"id": "2", **CHOICE, "answers": ["no"]}, "answers: a line of rule choice has no such"),
        ({"id": "2", **CHOICE, "prompt": "  "}, "prompt: must be a text, or messages"),
        ({"id": "2", **CHOICE, "prompt": "\ud800"}, "prompt: must be a text, or messages"),
        ({"id": "2", **CHOICE, "prompt": []}, "prompt: must be a text, or messages"),
        (
            {"id": "2", **CHOICE, "prompt": [{"role": "root", "content": "x"}]},
            "prompt: must be a text, or messages",
        ),
        (
            {"id": "2", **CHOICE, "prompt": [{"role": "assistant", "content": "x"}]},
            "end with the user's",
        ),
        ({"id": "2", **CHOICE, "choices": ["no"]}, "choices: must be a list of at least two"),
        ({"id": "2", **CHOICE, "choices": "yes no"}, "choices: must be a list"),
        ({"id": "2", **CHOICE, "choices": ["no", 1]}, "choices: must be a list"),
        ({"id": "2", **CHOICE, "choices": ["no", "No!"]}, "choices: must differ in their words"),
        ({"id": "2", **CHOICE, "choices": ["no", "?"]}, "choices: must differ in their words"),
        ({"id": "2", **CHOICE, "answer": "No"}, "answer: must be one of the choices"),
        ({"id": "2", **CHOICE, "answer": ["no"]}, "answer: must be one of the choices"),
    ],
)
def test_a_wrong_line_is_named_with_what_would_be_right(read, line, words_of_problem):
    with pytest.raises(RunError) as refused:
        read({"id": "1", **CHOICE}, line)
    assert refused.value.code == "data_invalid"
    assert refused.value.values["file"] == "data/mine.jsonl"
    assert refused.value.values["line"] == 2
    assert words_of_problem in str(refused.value.values["problem"])


@pytest.mark.parametrize("answers", [None, [], "Ada", [""], [3], ["\udfff"], ["?!"]])
def test_answers_are_texts_with_something_to_compare(read, answers):
    with pytest.raises(RunError, match="answers: "):
        read({"id": "1", **EXACT, "answers": answers})


def test_empty_lines_count_as_lines(read):
    with pytest.raises(RunError) as refused:
        read(b"", {"id": "1", **EXACT}, b"  ", {"id": "2"})
    assert refused.value.values["line"] == 4


def test_a_file_without_a_line_is_missing_data(read):
    with pytest.raises(RunError) as refused:
        read(b"", b"")
    assert refused.value.code == "data_missing"


@pytest.fixture
def directory(tmp_path):
    folder = tmp_path / "run"
    (folder / "data").mkdir(parents=True)
    (folder / "config.json").write_text(ClosedConfig(base="b").to_json())
    opened = RunDirectory.open(folder)
    yield opened
    opened.close()


def test_a_file_of_the_run_comes_before_the_shipped_one(directory):
    path = directory.path / "data" / "sentiment.jsonl"
    path.write_text(json.dumps({"id": "own", **CHOICE}))
    assert [item.id for item in read_task(directory, "sentiment", 9).items] == ["own"]
    assert len(read_task(directory, "topics", 9).items) == 9


def test_a_task_that_is_nowhere_is_named(directory):
    with pytest.raises(RunError) as refused:
        read_task(directory, "nowhere", 9)
    assert refused.value.values == {"file": "data/nowhere.jsonl"}


def test_every_shipped_set_has_fifty_items_or_more_and_is_listed():
    assert {path.stem for path in SETS.glob("*.jsonl")} == set(CLOSED_TASKS)
    for name in CLOSED_TASKS:
        task = read_task_file(SETS / f"{name}.jsonl", name, name)
        asked = [item.text or item.prompt[-1]["content"] for item in task.items]
        assert 50 <= len(set(asked)) == len(task.items) <= 100


@pytest.mark.parametrize("name", ["sentiment", "topics", "entailment"])
def test_each_class_of_a_shipped_set_is_right_equally_often(name):
    task = read_task_file(SETS / f"{name}.jsonl", name, name)
    counts = dict.fromkeys(range(len(task.classes)), 0)
    for item in task.items:
        counts[item.right] += 1
    assert len(set(counts.values())) == 1


@pytest.mark.parametrize("name", ["extraction", "questions"])
def test_one_answer_of_each_shipped_question_stands_in_its_text(name):
    for item in read_task_file(SETS / f"{name}.jsonl", name, name).items:
        text = " ".join(words(item.prompt[-1]["content"]))
        assert any(" ".join(words(answer)) in text for answer in item.answers), item


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"policies": ["sft"]}, "policies: must be name=folder"),
        ({"policies": ["=folder"]}, "policies: must be name=folder"),
        ({"policies": ["a b=folder"]}, "policies: must be name=folder"),
        ({"policies": ["base=folder"]}, "other than base"),
        ({"policies": ["a=x", "a=y"]}, "a name of its own"),
        ({"tasks": []}, "tasks: must be different names"),
        ({"tasks": ["../secrets"]}, "tasks: must be different names"),
        ({"tasks": ["texts", "texts"]}, "tasks: must be different names"),
        ({"items": 0}, "items: must be 1 to 1,000,000"),
        ({"alpha": 0.9}, "alpha: must be"),
    ],
)
def test_a_config_that_cannot_be_run_says_why(values, problem):
    with pytest.raises(ConfigError, match=problem):
        ClosedConfig(base="b", **values)
