"""`--serve`: a real process that answers JSON lines until its stdin ends."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from training.configs import SampleConfig
from training.rlhf import sample as recipe
from training.rlhf.models import add_lora, save_adapter, save_model
from training.rlhf.process import run_in
from training.rlhf.randomness import generator

pytestmark = pytest.mark.model


class Client:
    """Talks to one server process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "training.rlhf.sample", "--serve", "--precision", "float32"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
        )

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, **request):
        self.send(json.dumps(request))
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        return self.process.wait(20)


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    client = Client()
    yield client
    assert client.end() == 0


@pytest.fixture
def client(shared, tiny_folder):
    """A server with the tiny base loaded."""
    answer = shared.ask(id="load", op="load", base=str(tiny_folder), adapter=None)
    assert answer == {
        "id": "load",
        "base": str(tiny_folder),
        "precision": "float32",
        "device": "cpu",
    }
    return shared


def prompts(count, text="prompt"):
    return [
        {"id": f"p{n}", "messages": [{"role": "user", "content": f"{text} {n}"}]}
        for n in range(count)
    ]


def sampling(**values):
    base = {"id": 1, "op": "sample", "adapter": None, "prompts": prompts(2), "samples": 3}
    return {**base, "max_new_tokens": 12, "temperature": 1.0, "seed": 5, **values}


@pytest.fixture
def adapter(tiny, tmp_path):
    """An adapter's folder."""
    lm = add_lora(tiny, 2, 2.0, 1.0, generator(0))
    for name, parameter in lm.adapter.named_parameters():
        parameter.data.normal_(0, 0.2, generator=generator(1, name))
    save_adapter(lm, tmp_path / "adapter")
    save_model(lm, tmp_path / "whole")
    return tmp_path / "adapter"


def test_it_samples_for_each_prompt_in_order(client):
    answer = client.ask(**sampling())
    assert answer["id"] == 1
    assert [(row["prompt"], row["sample"]) for row in answer["completions"]] == [
        ("p0", 0),
        ("p0", 1),
        ("p0", 2),
        ("p1", 0),
        ("p1", 1),
        ("p1", 2),
    ]
    assert client.ask(**sampling())["completions"] == answer["completions"]
    assert client.ask(**sampling(seed=6))["completions"] != answer["completions"]


def test_it_gives_what_the_recipe_gives(client, tiny_folder, make_run):
    config = SampleConfig(
        base=str(tiny_folder),
        samples_per_prompt=3,
        max_new_tokens=12,
        seed=5,
        precision="float32",
        threads=1,
    )
    rows = [{"id": item["id"], "split": "train", "prompt": item["messages"]} for item in prompts(2)]
    folder = make_run(config, prompts=rows)
    assert run_in(folder, recipe.main, "sample") == 0
    lines = (folder / "completions.jsonl").read_text().splitlines()
    answer = client.ask(**sampling())
    assert sorted(answer["completions"], key=lambda row: row["id"]) == sorted(
        (json.loads(line) for line in lines), key=lambda row: row["id"]
    )


def test_more_than_a_batch_is_answered_whole(client):
    answer = client.ask(**sampling(prompts=prompts(50), max_new_tokens=2))
    assert len(answer["completions"]) == 150


def test_policies_are_swapped_on_demand_and_the_base_comes_back(client, adapter):
    base = client.ask(**sampling())["completions"]
    tuned = client.ask(**sampling(adapter=str(adapter)))["completions"]
    whole = client.ask(**sampling(adapter=str(adapter.parent / "whole")))["completions"]
    assert [row["text"] for row in tuned] != [row["text"] for row in base]
    assert [row["text"] for row in whole] == [row["text"] for row in tuned]
    assert len({rows[0]["id"] for rows in (base, tuned, whole)}) == 3
    assert client.ask(**sampling())["completions"] == base


@pytest.mark.parametrize(
    ("request_", "code", "word"),
    [
        ({"op": "dance"}, "config_invalid", "op"),
        (sampling(samples=0), "config_invalid", "samples"),
        (sampling(temperature="hot"), "config_invalid", "temperature"),
        ({"id": 1, "op": "sample", "samples": 1}, "config_invalid", "is missing"),
        (sampling(prompts=[{"id": 1, "messages": []}]), "config_invalid", "messages"),
        (sampling(adapter="/nowhere"), "model_not_found", "/nowhere"),
        (sampling(max_new_tokens=5000), "config_invalid", "positions"),
    ],
)
def test_a_bad_request_is_answered_and_the_next_one_works(client, request_, code, word):
    answer = client.ask(**request_)
    assert answer["error"]["code"] == code
    assert word in json.dumps(answer["error"]["values"])
    assert len(client.ask(**sampling())["completions"]) == 6


@pytest.mark.parametrize("line", ["{broken", "[1]", '"text"'])
def test_a_line_that_is_no_request_is_answered(client, line):
    client.send(line)
    answer = json.loads(client.process.stdout.readline())
    assert (answer["id"], answer["error"]["code"]) == (None, "config_invalid")


def test_empty_lines_are_passed_over(client):
    client.send("")
    assert client.ask(id=9, op="ping")["id"] == 9


def test_it_can_be_unloaded(client):
    assert client.ask(id=2, op="unload")["base"] is None
    assert client.ask(**sampling())["error"]["code"] == "model_not_found"


@pytest.mark.kill
def test_the_end_of_its_stdin_ends_it_in_the_middle_of_a_request(tiny_folder):
    client = Client()
    client.ask(id=1, op="load", base=str(tiny_folder))
    client.send(json.dumps(sampling(prompts=prompts(2000), max_new_tokens=900)))
    time.sleep(0.5)
    assert client.end() == 0
    assert client.process.stdout.read() == ""
