"""Round the loop in a browser: upload, rank, train, deploy, read the new policy, roll back.

The product is the real one, the model a tiny one that babbles letters. The labeler likes those of
the alphabet's first half: so few rankings teach it that, surely enough for the gates before PPO.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from labeling.models import Split
from labeling.prompts import split_for
from tests.config.running import Product
from tests.end_to_end.people import Labeler, Manager, see
from tests.tiny_runs import OVERRIDES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.model,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("product"),
]

PROMPTS = {Split.TRAIN: 22, Split.JUDGE: 11, Split.RM_TEST: 3, Split.EVALUATION: 100}
RANKED = sum(count for split, count in PROMPTS.items() if split != Split.EVALUATION)
K = 6
RULES = {
    "Train after this many new rankings": "",
    "Evaluation prompts": str(PROMPTS[Split.EVALUATION]),
    "Deploy by itself where the gate is met": False,
    "Length within this factor of the base's": "3",
    "Distinct-2 at least this share of the base's": "0.1",
}
STEPS = ("Reward model", "Judge", "Check of the reward model", "PPO", "Evaluation")


def early_letters(text: str) -> float:
    """The labeler's taste: the share of letters of the alphabet's first half."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < "n" for letter in letters) / max(1, len(letters))


def prompts() -> list[str]:
    """So many of each split, which their text alone decides."""
    left, chosen = dict(PROMPTS), []
    number = 0
    while any(left.values()):
        number += 1
        text = f"Say something about the number {number}."
        split = split_for(text)
        if left[split]:
            left[split] -= 1
            chosen.append(text)
    return chosen


def write_demonstrations(path: Path, texts: list[str]) -> int:
    """Answers to some of the prompts, in the labeler's taste; how many."""
    rows = [{"prompt": text, "completion": "a bee, a deed, a bead"} for text in texts[:12]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return len(rows)


@pytest.mark.parametrize(
    ("scripts", "servers", "demonstrations"),
    [
        pytest.param(True, False, True, id="scripts-sqlite-demonstrations"),
        pytest.param(False, False, False, id="no_scripts-sqlite"),
        pytest.param(True, True, False, id="scripts-postgresql-redis"),
    ],
)
@pytest.mark.usefixtures("servers")  # the product runs on them
def test_the_loop_goes_round(
    tmp_path: Path,
    product: Product,
    open_page: Callable[..., Page],
    scripts: bool,
    demonstrations: bool,
) -> None:
    manager, labeler = (
        person(open_page(scripts=scripts), scripts=scripts) for person in (Manager, Labeler)
    )

    # A project, its prompts, its labeler.
    manager.come_in(product.says(r"Sign in as the owner .*: (http://\S+)$"))
    manager.create_project(name="Rain", k=K, max_new_tokens=12)
    texts = prompts()
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(texts) + "\n")
    assert f"{len(texts)} rows imported." in manager.upload(file)
    if demonstrations:
        examples = tmp_path / "demonstrations.jsonl"
        count = write_demonstrations(examples, texts)
        assert f"{count} rows imported." in manager.upload(examples, demonstrations=True)
    labeler.join(manager.invite("Lin"), name="lin")
    manager.set_plan(RULES, OVERRIDES)

    # The base model's completions of every prompt, ranked.
    for _ in range(RANKED):
        labeler.wait_for_prompt()
        assert len(labeler.ranks(early_letters).texts) == K
    see(labeler.heading("Nothing to rank right now"))
    see(labeler.page.get_by_text(f"You have ranked {RANKED} prompts here."))
    labeler.tab("My rankings")  # a ranking page would go on taking what comes

    # A round, to its end: it waits for the manager.
    manager.start_round()
    steps = manager.watch_round()
    expected = dict.fromkeys(STEPS, "Succeeded")
    expected |= {"Datasets": "frozen", "Decision": "waits for a manager"}
    if demonstrations:
        expected["Supervised fine-tuning"] = "Succeeded"
    assert steps == expected, manager.says()

    # Deployed, it writes half of each of the next slates.
    assert manager.deploy() == "Policy 1"
    manager.wait_for_stock()
    labeler.tab("Rank")
    labeler.wait_for_prompt()
    slate = labeler.ranks(early_letters)
    sources = manager.sources_of(slate.prompt)
    written = [sources[text] for text in slate.texts.values()]
    assert sum("policy 1" in who for who in written) >= K // 2, written
    assert all(who & {"policy 1", "base 1", "base 2"} for who in written)

    # Rolled back, the base writes all of them again. The slate that the labeler holds stays.
    held = labeler.reads()
    assert manager.roll_back() == "Base 1"
    manager.wait_for_stock()
    assert labeler.ranks(early_letters) == held
    labeler.wait_for_prompt()
    if labeler.scripts:  # one more was fetched ahead with it
        labeler.ranks(early_letters)
        labeler.wait_for_prompt()
    slate = labeler.ranks(early_letters)
    sources = manager.sources_of(slate.prompt)
    written = [sources[text] for text in slate.texts.values()]
    assert all("base 1" in who for who in written), written
