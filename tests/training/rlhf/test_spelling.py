"""Words and letters counted from token ids, against Python's own counting in the text."""

from itertools import pairwise

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from training.rlhf.features import LENGTHS, length_curve
from training.rlhf.models import decode, encode_text
from training.rlhf.probe import fit_probe
from training.rlhf.rankings import Rankings
from training.rlhf.spelling import spelling_of

TEXTS = [
    "Two words",
    " a leading space, and  two inside\n\nand lines\tand tabs ",
    "",
    "   \n ",
    "one",
    "<b>no tags</b> 'quoted' #hash-tag don't",
    "control\x1fcharacters \x7f",
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
@example("\0")
@example("one \0 two")
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


def test_a_token_without_a_text_is_passed_over(tiny):
    special = tiny.tokenizer.convert_tokens_to_ids("<|im_start|>")
    one, two = encode_text(tiny, "ab "), encode_text(tiny, "cd")
    for ids in ([special, *one, special, *two], [*one, special, special, *two, special]):
        row = torch.tensor([ids])
        assert float(tiny.spelling.words(row, row >= 0)[0, -1]) == 2


def test_rows_of_a_model_that_no_token_names_have_no_text(tiny):
    more = spelling_of(tiny.tokenizer, len(tiny.tokenizer) + 5)
    row = torch.tensor([[*encode_text(tiny, "ab"), len(tiny.tokenizer) + 4]])
    assert float(more.words(row, row >= 0)[0, -1]) == 1
    assert float(more.letters_so_far(row, row >= 0)[0, -1]) == 2


def test_spaces_that_a_tokenizer_keeps_as_a_sign_count_as_spaces():
    alphabet = sorted({"\u2581", *"abcdefgh", "\u2581ab", "<unk>"})
    tokens = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.Metaspace()
    tokens.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, unk_token="<unk>")
    spelling = spelling_of(tokenizer, len(alphabet))
    row = torch.tensor([tokenizer.convert_tokens_to_ids(["\u2581ab", "c", "\u2581", "d", "e"])])
    assert spelling.words(row, row >= 0)[0].tolist() == [1, 1, 1, 2, 2]
    assert float(spelling.letters_so_far(row, row >= 0)[0, -1]) == 5


def test_a_curve_is_a_line_from_knot_to_knot():
    gone = length_curve(torch.tensor([0.0, 4.0, 16.5, 9_000.0]))
    assert gone.shape == (4, len(LENGTHS) - 1)
    widths = torch.tensor([float(high - low) for low, high in pairwise(LENGTHS)])
    assert torch.allclose(gone @ widths, torch.tensor([0.0, 4.0, 16.5, 500.0]))


def test_a_length_that_nobody_ranked_scores_as_the_nearest_that_somebody_did():
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(14, 37, (200, 4), generator=generator).float()
    rankings = Rankings(
        rows=[list(range(4 * i, 4 * i + 4)) for i in range(200)],
        ranks=[[1 + sum(b > a for b in row) for a in row] for row in words.tolist()],
        prompts=[str(i) for i in range(200)],
        weights=[1.0] * 200,
    )
    curve = length_curve(words.flatten())
    probe = fit_probe(curve, rankings, {"all": range(curve.shape[1])}, folds=5, seed=0)
    tried = torch.tensor([0.0, 13.0, 14.0, 20.0, 30.0, 36.0, 45.0, 68.0, 500.0])
    scores = (length_curve(tried).double() @ probe.weight).tolist()
    assert scores[0] == scores[1] <= scores[2] < scores[3] < scores[4] < scores[5] <= scores[6]
    assert scores[6] == scores[7] == scores[8]
