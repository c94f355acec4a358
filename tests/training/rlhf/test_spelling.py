"""Words and letters counted from token ids, against Python's own counting in the text."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from training.rlhf.features import LENGTHS, length_curve
from training.rlhf.models import decode, encode_text

TEXTS = [
    "Two words",
    " a leading space, and  two inside\n\nand lines\tand tabs ",
    "",
    "   \n ",
    "one",
    "<b>no tags</b> 'quoted' #hash-tag don't",
]


def counted(lm, text, *, finished):
    """Words and letters after the last token of a text."""
    ids = torch.tensor([encode_text(lm, text, finished=finished)], dtype=torch.int64)
    mask = torch.ones_like(ids, dtype=torch.bool)
    words = lm.spelling.words(ids, mask)[0]
    letters = lm.spelling.letters_so_far(ids, mask)[0]
    return (float(words[-1]), float(letters[-1])) if len(words) else (0.0, 0.0)


def test_they_are_what_python_counts(tiny):
    for text in TEXTS:
        expected = (len(text.split()), len("".join(text.split())))
        assert counted(tiny, text, finished=False) == expected, text
        assert counted(tiny, text, finished=True) == expected, text


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_so_they_are_for_any_plain_text(tiny, text):
    read = decode(tiny, encode_text(tiny, text))
    assert counted(tiny, text, finished=False)[0] == len(read.split())


def test_every_prefix_is_counted(tiny):
    ids = torch.tensor([encode_text(tiny, "ab cd")])
    words = tiny.spelling.words(ids, torch.ones_like(ids, dtype=torch.bool))[0].tolist()
    prefixes = [decode(tiny, ids[0, : end + 1].tolist()) for end in range(ids.shape[1])]
    assert words == [float(len(text.split())) for text in prefixes]


def test_padding_counts_nothing(tiny):
    ids = torch.tensor([encode_text(tiny, "ab cd ef")])
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, 2:] = False
    assert tiny.spelling.words(ids, mask)[0, 1:].unique().numel() == 1


def test_a_curve_is_a_line_from_knot_to_knot():
    found = length_curve(torch.tensor([0.0, 13.0, 16.5, 20.0, 9_000.0]))
    value = torch.tensor([float(knot) for knot in LENGTHS])
    assert torch.allclose(found.sum(1), torch.ones(5))
    assert torch.allclose(found @ value, torch.tensor([0.0, 13.0, 16.5, 20.0, 500.0]))
    assert int((found > 0).sum(1).max()) == 2
