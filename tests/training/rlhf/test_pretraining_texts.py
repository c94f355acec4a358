"""Which texts PPO-ptx learns from."""

from training.configs import PpoConfig
from training.rlhf.models import encode_text
from training.rlhf.prompts import read_texts
from training.rlhf.rundir import RunDirectory


def test_texts_that_are_kept_back_are_not_learned_from(tiny, make_run):
    rows = [
        {"id": "1", "split": "train", "text": "one two three"},
        {"id": "2", "split": "evaluation", "text": "four five six"},
        {"id": "3", "text": "seven eight nine"},
    ]
    folder = make_run(PpoConfig(base="b", reward="r"), texts=rows)
    directory = RunDirectory.open(folder)
    found = read_texts(directory, tiny, 64)
    directory.close()
    assert found == [encode_text(tiny, text) for text in ("one two three", "seven eight nine")]
