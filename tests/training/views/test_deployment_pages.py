"""Deploy, roll back, history, and a version's lineage."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from training.deployments import current
from training.models import Checkpoint, Deployment


def at(name, seeded, *numbers):
    return reverse(name, args=[seeded.project.slug, *numbers])


def policy(seeded, version):
    return Checkpoint.objects.get(project=seeded.project, kind="policy", version=version)


def test_a_click_deploys_and_says_on_the_strength_of_what(seeded, manager):
    manager.post(at("roll-back", seeded))
    url = at("deploy", seeded, seeded.evaluation.candidate_id)
    page = manager.post(url, {"evaluation": seeded.evaluation.pk}, follow=True).content.decode()
    now = current(seeded.project)
    assert now is not None
    assert now.checkpoint == policy(seeded, 2)
    assert (now.evaluation, now.deployed_by) == (seeded.evaluation, seeded.manager)
    assert "Policy 2 answers from now on." in page


def test_an_evaluation_of_another_policy_is_no_reason(seeded, manager):
    url = at("deploy", seeded, policy(seeded, 1).pk)
    assert manager.post(url, {"evaluation": seeded.evaluation.pk}).status_code == 404
    assert Deployment.objects.current().get().checkpoint == policy(seeded, 2)


def test_a_roll_back_is_one_click(seeded, manager):
    page = manager.get(at("deployment-list", seeded)).content.decode()
    assert "Roll back to Policy 1" in page
    manager.post(at("roll-back", seeded))
    assert Deployment.objects.current().get().checkpoint == policy(seeded, 1)
    assert Deployment.objects.filter(project=seeded.project).count() == 4


def test_a_second_click_on_roll_back_is_refused_with_a_sentence(seeded, manager):
    page = manager.get(at("deployment-list", seeded)).content.decode()
    undone = Deployment.objects.current().get().pk
    assert f'name="undone" value="{undone}"' in page
    manager.post(at("roll-back", seeded), {"undone": undone})
    page = manager.post(at("roll-back", seeded), {"undone": undone}, follow=True).content.decode()
    assert "Something else was deployed meanwhile" in page
    assert Deployment.objects.current().get().checkpoint == policy(seeded, 1)


def test_a_number_that_no_column_holds_breaks_nothing(seeded, manager):
    url = at("deploy", seeded, policy(seeded, 1).pk)
    assert manager.post(url, {"evaluation": "9" * 5000}).status_code == 302
    assert manager.post(url, {"evaluation": "9" * 18}).status_code == 404


def test_what_is_deployed_already_is_refused_with_a_sentence(seeded, manager):
    url = at("deploy", seeded, policy(seeded, 2).pk)
    page = manager.post(url, follow=True).content.decode()
    assert "Policy 2 is deployed already." in page


def test_a_policy_without_files_has_no_button(seeded, manager):
    one = policy(seeded, 1)
    Checkpoint.objects.filter(pk=one.pk).update(files_removed_at=timezone.now())
    assert not manager.get(at("checkpoint", seeded, one.pk)).context["deployable"]
    assert (
        at("deploy", seeded, one.pk)
        not in manager.get(at("deployment-list", seeded)).content.decode()
    )


def test_a_reward_model_cannot_be_deployed(seeded, manager):
    reward = Checkpoint.objects.filter(project=seeded.project, kind="reward").earliest("pk")
    assert not manager.get(at("checkpoint", seeded, reward.pk)).context["deployable"]


def test_a_policy_leads_back_to_its_rankings_and_forward_to_its_deployment(seeded, manager):
    lineage = manager.get(at("checkpoint", seeded, policy(seeded, 2).pk)).context["lineage"]
    assert lineage.rankings == 9  # 6 slates, 3 of them by two labelers
    assert {str(one) for one in lineage.parents} == {
        "Base 1",
        "Policy 1",
        "Reward model 2",
        "Judge 2",
    }
    assert [one.checkpoint for one in lineage.deployments] == [policy(seeded, 2)]
    assert lineage.evaluations == [seeded.evaluation]
