"""Numbers in the place of ids: each stands for one, and tells nothing of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from labeling.hidden_numbers import Of, hidden, revealed


@pytest.mark.parametrize("pk", [0, 1, 2, 1_000_000, 2**24 - 1, 2**24, 2**48 - 1])
def test_it_is_revealed_again(pk: int) -> None:
    for of in Of:
        number = hidden(of, pk)
        assert 0 <= number < 2**48
        assert revealed(of, number) == pk


@pytest.mark.parametrize("number", [-1, 2**48, 10**30])
def test_what_can_be_none_stands_for_nothing(number: int) -> None:
    assert revealed(Of.SLATE, number) is None


def test_no_two_are_alike_and_kinds_differ() -> None:
    found = [hidden(of, pk) for of in (Of.SLATE, Of.COMPLETION) for pk in range(2_000)]
    assert len(set(found)) == 4_000


def test_the_order_of_ids_is_not_in_them() -> None:
    """Of two neighbours the later one has the higher number half the time: 1,000 ± 32 of 2,000."""
    found = [hidden(Of.ASSIGNMENT, pk) for pk in range(2_001)]
    rising = sum(one < other for one, other in pairwise(found))
    assert 850 < rising < 1_150


def test_an_address_holds_one_and_its_view_gets_the_id() -> None:
    address = reverse("submission", args=["rain", 7])
    assert address == f"/projects/rain/rank/{hidden(Of.ASSIGNMENT, 7)}/submission/"
    assert resolve(address).kwargs["pk"] == 7


@pytest.mark.parametrize("number", ["9" * 5000, str(2**48), "x", "-1"])
def test_an_address_with_none_is_no_address(number: str) -> None:
    with pytest.raises(Resolver404):
        resolve(f"/projects/rain/rank/{number}/submission/")
    with pytest.raises(NoReverseMatch):
        reverse("submission", args=["rain", "x"])
