import pytest

from labeling.models import *
from tests.browser.conftest import *
from tests.browser.test_accepting import keys_for
from tests.browser.test_ranking_page import address, press
from tests.factories import *

pytestmark = [pytest.mark.django_db(transaction=True)]


def snap(page, name):
    for w, sch in ((1400, "light"), (390, "dark")):
        page.set_viewport_size({"width": w, "height": 900})
        page.emulate_media(color_scheme=sch)
        page.wait_for_timeout(150)
        page.screenshot(path=f"/tmp/pics-accepting/{name}-{w}.png", full_page=True)


def test_pics(project, labeler, new_page):
    practice = make_item(
        project, "practice", explanation="**B** is true, and it is short.\n\n- no list\n- no fuss"
    )
    quiz = make_item(project, "quiz")
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    snap(page, "practice")
    press(page, keys_for(page, practice, wrong=True))
    page.get_by_role("link", name="Next").wait_for()
    snap(page, "explained")
    page.get_by_role("link", name="Next").click()
    page.get_by_text("Quiz 1 of 1").wait_for()
    press(page, keys_for(page, quiz, wrong=True))
    page.get_by_text("that was the quiz").wait_for()
    snap(page, "failed")
    for _ in range(2):
        l = make_labeler(project)
        make_answer(quiz, l, (4, 3, 2, 1))
    m = make_labeler(project, "mo")
    make_answer(practice, m)
    from labeling.pauses import pause

    p = make_labeler(project, "paused")
    pause(
        membership=Membership.objects.get(user=p),
        by=None,
        note="43 % right on the last 10 gold items; the line is 60 %.",
    )
    th = new_page(make_manager(project))
    th.goto(f"/projects/{project.slug}/people/")
    snap(th, "people")
    th.goto(f"/projects/{project.slug}/known-answers/")
    snap(th, "list")
    th.goto(f"/projects/{project.slug}/known-answers/{quiz.pk}/")
    snap(th, "item")
    th.goto(f"/projects/{project.slug}/prompts/{quiz.prompt_id}/known-answer/")
    snap(th, "create")
    th.goto(f"/projects/{project.slug}/known-answers/paste/")
    snap(th, "paste")
    th.goto(f"/projects/{project.slug}/people/{Membership.objects.get(user=labeler).pk}/answers/")
    snap(th, "answers")
