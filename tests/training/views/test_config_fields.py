"""Forms made from the config dataclasses."""

from __future__ import annotations

import dataclasses

import pytest
from django.utils import translation

from training.configs import CONFIGS, PpoConfig, RewardConfig
from training.forms.config_fields import config_form, default_values, field_notes


@pytest.mark.parametrize("recipe", sorted(CONFIGS))
def test_every_field_but_the_paths_gets_a_form_field(recipe):
    config_class = CONFIGS[recipe]
    names = [item.name for item in dataclasses.fields(config_class)]
    form = config_form(config_class, names, defaults=default_values(config_class, "small"))
    assert list(form.fields) == names


def test_the_note_of_a_field_is_the_sentence_under_it():
    with translation.override("en"):
        notes = field_notes(PpoConfig)
    assert notes["lora_rank"] == "0: full fine-tuning."
    assert notes["device"] == "auto, cpu, cuda or cuda:N."
    assert "clip" not in notes


def test_the_note_is_told_in_the_pages_language():
    with translation.override("zh-hans"):
        assert field_notes(PpoConfig)["lora_rank"] == "0：全量微调。"


def test_a_list_is_typed_with_commas():
    defaults = default_values(RewardConfig, "small")
    form = config_form(
        RewardConfig, ["probe_layers"], defaults=defaults, data={"probe_layers": "0.1, 0.5"}
    )
    assert form.is_valid()
    assert form.changes() == {"probe_layers": [0.1, 0.5]}


def test_saving_a_form_again_changes_nothing():
    changed = {"lora_top_share": 1 / 3, "learning_rate": 1.23456789e-5}
    defaults = {**default_values(PpoConfig, "small"), "lora_top_share": 0.5}
    shown = config_form(PpoConfig, list(changed), defaults=defaults, changed=changed)
    data = {name: shown[name].value() for name in changed}
    again = config_form(PpoConfig, list(changed), defaults=defaults, data=data)
    assert again.is_valid()
    assert again.changes() == changed


def test_an_empty_field_is_no_change_and_none_is_a_value():
    defaults = default_values(PpoConfig, "small")
    form = config_form(
        PpoConfig, ["episodes", "kl_target"], defaults=defaults, data={"kl_target": "none"}
    )
    assert form.is_valid()
    assert form.changes() == {"kl_target": None}


@pytest.mark.parametrize("value", ["nan", "inf", "1e999"])
def test_a_number_that_is_not_finite_is_refused(value):
    defaults = default_values(PpoConfig, "small")
    form = config_form(PpoConfig, ["clip"], defaults=defaults, data={"clip": value})
    assert not form.is_valid()
