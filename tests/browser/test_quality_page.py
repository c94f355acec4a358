"""Quality, weights and disputes in a real browser: with scripts and without, by keyboard alone."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from labeling.decisions import decided, decision_of
from labeling.models import LabelerWeight, QualityReport
from labeling.quality.report import work_out
from labeling.quality_reports import ask_for_report
from labeling.weights import set_weight
from tests.browser.conftest import NewPage
from tests.browser.test_accessibility import LOOKS, complaints
from tests.factories import make_labeler, make_manager, make_ranking, make_slate
from tests.labeling.teams import simulate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def team(transactional_db):
    """Twelve people and a report of theirs."""
    made = simulate(slates=120, overlap=3, name="Rain")
    work_out(ask_for_report(made.project))
    return made


def test_the_pages_are_labelled_and_fit(new_page: NewPage, team):
    boss = make_manager(team.project)
    who = team.labelers[8]
    set_weight(project=team.project, labeler=who, weight=0, by=boss, reason="ranks at random")
    page = new_page(boss)
    slug = team.project.slug
    dispute = QualityReport.objects.get().disputes.first().slate_id
    addresses = {
        "quality": reverse("quality", args=[slug]),
        "position": reverse("quality", args=[slug]) + "?measure=first-position&sort=-value",
        "seconds": reverse("quality", args=[slug]) + "?measure=seconds-p50",
        "weights": reverse("weight-list", args=[slug]),
        "disputes": reverse("dispute-list", args=[slug]),
        "dispute": reverse("dispute", args=[slug, dispute]),
    }
    wrong = {}
    for name, address in addresses.items():
        page.goto(address)
        for width, scheme in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of LOOKS
            if found := complaints(page):
                wrong[f"{name} {width} {scheme}"] = found
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong[f"{name} {width}"] = ["wider than the window"]
    assert wrong == {}


@pytest.mark.parametrize("javascript", [True, False])
def test_a_manager_takes_somebody_out_of_training_and_back(
    new_page: NewPage, project, labeler, javascript
):
    make_ranking(project, labeler)
    page = new_page(make_manager(project), javascript=javascript, allow=("Failed to load",))
    page.goto(reverse("weight-list", args=[project.slug]))
    page.get_by_label("Weight of lin", exact=True).fill("0")
    page.get_by_role("button", name="Set lin").click()
    expect(page.get_by_text("Say why")).to_be_visible()
    page.get_by_label("Reason for the weight of lin").fill("ranks at random")
    page.get_by_role("button", name="Set lin").click()
    expect(page.get_by_text("not trained on")).to_be_visible()
    page.get_by_label("Weight of lin", exact=True).fill("1")
    page.get_by_role("button", name="Set lin").click()
    expect(page.get_by_text("not trained on")).to_be_hidden()
    weights = LabelerWeight.objects.order_by("pk").values_list("weight", flat=True)
    assert list(weights) == [0, 1]


def test_what_is_typed_for_one_labeler_outlives_the_weight_of_another(
    new_page: NewPage, project, labeler
):
    make_ranking(project, labeler)
    make_ranking(project, make_labeler(project, "mo"))
    page = new_page(make_manager(project))
    page.goto(reverse("weight-list", args=[project.slug]))
    page.get_by_label("Reason for the weight of mo").fill("too fast")
    page.get_by_label("Weight of lin", exact=True).fill("0.5")
    page.get_by_label("Reason for the weight of lin").fill("new here")
    page.get_by_role("button", name="Set lin").press("Enter")
    expect(page.locator("#messages")).to_contain_text("The next dataset")
    expect(page.locator("#changes")).to_contain_text("new here")
    expect(page.get_by_role("button", name="Set lin")).to_be_focused()
    assert page.get_by_label("Reason for the weight of lin").input_value() == ""
    assert page.get_by_label("Reason for the weight of mo").input_value() == "too fast"


def test_a_new_report_shows_itself_when_it_is_done(new_page: NewPage, project, labeler):
    make_ranking(project, labeler)
    page = new_page(make_manager(project))
    page.goto(reverse("quality", args=[project.slug]))
    page.get_by_role("button", name="Compute now").press("Enter")
    expect(page.get_by_text("being computed")).to_be_visible()
    work_out(QualityReport.objects.get())
    page.get_by_text("from 1 ranking").wait_for()
    expect(page.get_by_text("being computed")).to_be_hidden()


def test_a_dispute_is_decided_by_keyboard(new_page: NewPage, project, labeler):
    project.overlap = 2
    project.save()
    slate = make_slate(project, ["One.", "Two."])
    make_ranking(project, labeler, [1, 2])
    make_ranking(project, make_labeler(project), [2, 1])
    work_out(ask_for_report(project))
    page = new_page(make_manager(project))
    page.goto(reverse("dispute-list", args=[project.slug]))
    page.locator("table a").first.press("Enter")
    page.get_by_label("Rank of A").press("2")
    page.get_by_label("Rank of B").press("1")
    page.get_by_label("Why").press_sequentially("Two is right.")
    page.get_by_role("button", name="Decide").press("Enter")
    page.get_by_text("Nothing is in dispute").wait_for()
    decision = decision_of(slate)
    assert list(decided(decision).values()) == [1, 2]
    assert decision.explanation == "Two is right."
