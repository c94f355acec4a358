"""The run page in a real browser: it follows the run, the curves share one cursor."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from tests.training.seeds import Seeded, seed_loop
from training.models import Run, RunMetric

pytestmark = pytest.mark.browser


@pytest.fixture
def seeded(transactional_db, tmp_path, settings) -> Seeded:
    settings.DATA_DIR = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "artifacts": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "artifacts"},
        },
    }
    return seed_loop(rounds=1, rankings=4, steps=8)


def address(seeded: Seeded) -> str:
    return reverse("run", args=[seeded.project.slug, seeded.ppo.pk])


def test_it_follows_a_live_run_and_stops_asking_when_it_is_over(seeded, new_page):
    page = new_page(seeded.manager)
    page.goto(address(seeded))
    expect(page.locator("#run-live")).to_contain_text("step 3 of 8")
    kl = page.locator("figure.curve", has_text="KL to the base").locator(".curve-now")
    expect(kl).not_to_have_text("7.77")
    page.get_by_role("button", name="Cancel").focus()

    RunMetric.objects.create(run=seeded.ppo, name="kl", step=4, value=7.77)
    Run.objects.filter(pk=seeded.ppo.pk).update(step=4, log_tail="batch 4: done")
    expect(page.locator("#run-live")).to_contain_text("step 4 of 8")
    expect(page.locator("#run-texts")).to_contain_text("batch 4: done")
    expect(kl).to_have_text("7.77")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()

    Run.objects.filter(pk=seeded.ppo.pk).update(
        state=Run.State.SUCCEEDED, finished_at=timezone.now()
    )
    expect(page.locator("#run-live")).to_contain_text("Succeeded")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []


def test_a_new_metric_brings_its_own_picture(seeded, new_page):
    page = new_page(seeded.manager)
    page.goto(address(seeded))
    before = page.locator("#curves figure.curve").count()
    RunMetric.objects.create(run=seeded.ppo, name="value_loss", step=4, value=0.5)
    expect(page.locator("#curves figure.curve")).to_have_count(before + 1)


def test_the_curves_share_one_cursor(seeded, new_page):
    page = new_page(seeded.manager)
    page.goto(address(seeded))
    first = page.locator("#curves figure.curve .u-over").first
    box = first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    steps = page.locator("#curves .curve-now").evaluate_all(
        "all => all.map(one => one.dataset.step).filter(step => step)"
    )
    assert len(steps) >= 8
    assert steps[0] == "step 1"


def test_a_run_without_numbers_gets_them_as_they_come(seeded, new_page):
    RunMetric.objects.filter(run=seeded.ppo).delete()
    page = new_page(seeded.manager)
    page.goto(address(seeded))
    expect(page.get_by_text("The first numbers come with the first step.")).to_be_visible()
    RunMetric.objects.create(run=seeded.ppo, name="kl", step=1, value=0.25)
    expect(page.locator("#curves figure.curve")).to_have_count(1)
    expect(page.get_by_text("The first numbers come with the first step.")).to_be_hidden()


def test_it_can_be_cancelled_without_scripts(seeded, new_page):
    page = new_page(seeded.manager, javascript=False)
    page.goto(address(seeded))
    expect(page.get_by_text("The curves are drawn by a script")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#run-live")).to_contain_text("Asked to stop")
    seeded.ppo.refresh_from_db()
    assert seeded.ppo.cancel_requested_at is not None


def test_a_page_that_cannot_ask_again_says_how_old_it_is(seeded, new_page):
    page = new_page(seeded.manager, allow=("ERR_FAILED", "Failed to fetch"))
    page.goto(address(seeded))
    page.route("**/live/", lambda route: route.abort())
    problem = page.locator("#request-problem")
    expect(problem).to_contain_text("This page shows how things were at")
    page.unroute("**/live/")
    expect(problem).to_be_hidden()


def test_the_queue_follows_its_runs(seeded, new_page):
    page = new_page(seeded.manager)
    page.goto(reverse("run-list", args=[seeded.project.slug]))
    expect(page.locator("#queue-live")).to_contain_text("38 %")
    Run.objects.filter(pk=seeded.ppo.pk).update(step=6)
    expect(page.locator("#queue-live")).to_contain_text("75 %")
    Run.objects.filter(pk=seeded.ppo.pk).update(state="succeeded", finished_at=timezone.now())
    expect(page.locator("#queue-live")).to_be_hidden()


def test_a_round_is_cancelled_only_after_a_question(seeded, new_page):
    page = new_page(seeded.manager)
    page.goto(reverse("round", args=[seeded.project.slug, seeded.rounds[-1].number]))
    page.get_by_role("button", name="Cancel the round").click()
    question = page.get_by_role("dialog", name="Cancel the round")
    page.wait_for_timeout(5_000)  # the page asks again meanwhile, and the question stays
    expect(question).to_contain_text("can't be resumed")
    question.get_by_role("button", name="Cancel the round").click()
    expect(page.get_by_text("The round is cancelled.")).to_be_visible()


@pytest.mark.parametrize("name", ["overview", "run", "round", "evaluation", "plan", "run-list"])
def test_a_phone_never_scrolls_sideways(name, seeded, new_page):
    page = new_page(seeded.manager, width=390)
    numbers = {
        "run": [seeded.ppo.pk],
        "round": [seeded.rounds[-1].number],
        "evaluation": [seeded.evaluation.pk],
    }
    page.goto(reverse(name, args=[seeded.project.slug, *numbers.get(name, [])]))
    wide, seen = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= seen
