"""`make run` on a fresh machine: the default model, the demo project, a person's first ranking."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.config.running import Product
from tests.end_to_end.people import Labeler, Manager, click_through
from tests.servers import free_port
from training.default_model import FOLDER

MODEL_SECONDS = 180.0
pytestmark = [
    pytest.mark.browser,
    pytest.mark.model,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("product"),  # one product at a time, and the default model made once
]


@pytest.fixture
def fresh(tmp_path: Path, product_python: Path) -> Iterator[Product]:
    """With no setting but its folder and its port."""
    product = Product(tmp_path / "data", free_port(), product_python, RANKLOOP_DEMO="true")
    try:
        yield product
    finally:
        assert product.end() == 0
        product.wait_until_gone()


def wait_for_the_default_model(product: Product) -> None:
    """Made beside the start of the web; a test does not wait while what failed is tried again."""
    deadline = time.monotonic() + MODEL_SECONDS
    while not (product.folder / "models" / FOLDER / "manifest.json").is_file():
        said = product.log.read_text()
        assert "Traceback" not in said, said
        assert time.monotonic() < deadline, said
        time.sleep(0.2)


def test_the_demo_is_there_to_be_ranked_with_the_packages_of_make_run_alone(
    fresh: Product, browser: Browser
) -> None:
    link = fresh.says(r"Sign in as the owner .*: (http://\S+)$")
    wait_for_the_default_model(fresh)
    page = browser.new_page()
    page.goto(link)
    owner = Manager(page, scripts=True)
    owner.press("Sign in")
    click_through(page, page.get_by_role("link", name="Demo", exact=True))
    assert "213 for evaluation" in owner.says()
    owner.tab("Rank")
    if (read := page.get_by_role("button", name="I have read them: to work")).is_visible():
        click_through(page, read)
    labeler = Labeler(page, scripts=True)
    labeler.wait_for_prompt()
    texts = labeler.reads().texts
    assert sorted(texts) == ["A", "B", "C", "D"]
    assert all(len(text.split()) > 2 for text in texts.values()), texts  # a real model's sentences
    labeler.ranks(lambda text: -len(text))
    expect(page.get_by_text("1 today")).to_be_visible(timeout=60_000)
    page.context.close()
