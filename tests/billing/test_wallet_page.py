"""The wallet page tells what moved, to its owner alone."""

from collections.abc import Sequence

import pytest
from django.test import Client
from django.urls import reverse

from billing import causes, ledger
from billing.views import PER_PAGE
from tests.billing.test_ledger import TOMORROW, wallet_with


class Told:
    """An explainer that knows one released picture."""

    def explain(self, asked: Sequence[str]) -> dict[str, causes.Explanation]:
        known = {"medium:a": causes.Explanation("A picture was released: “a red apple”", "/studio/a/", "/media/a/")}
        return {cause: known[cause] for cause in asked if cause in known}


@pytest.fixture(autouse=True)
def told(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "_registered", [Told()])


def page(client: Client, query: str = "") -> str:
    answer = client.get(reverse("wallet") + query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_stranger_is_asked_to_sign_in(client: Client) -> None:
    answer = client.get(reverse("wallet"))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))


def test_each_movement_reads_as_a_sentence(client: Client) -> None:
    wallet = wallet_with((10, TOMORROW), (1000, None))
    ledger.hold(wallet, {"medium:a": 4, "medium:b": 1, "medium:c": 2})
    ledger.capture("medium:a")
    ledger.release("medium:b", reason="refused: weapon")
    client.force_login(wallet.person)
    html = page(client)
    assert "<strong>1,004</strong> credits to spend" in html
    assert "2 more are set aside" in html
    assert '<strong>4 credits spent.</strong> <a href="/studio/a/">A picture was released: “a red apple”</a>' in html
    assert '<img src="/media/a/"' in html
    assert "<strong>1 credit given back.</strong> refused: weapon" in html
    assert "<strong>10 credits granted.</strong> for the tests" in html
    assert html.count("<rect") == 2
    assert " style=" not in html
    assert "<script>" not in html


def test_nobody_sees_the_wallet_of_another(client: Client) -> None:
    wallet_with((777, None))
    carol = wallet_with((5, None), email="carol@example.org")
    client.force_login(carol.person)
    html = page(client)
    assert "777" not in html
    assert "<strong>5</strong> credits to spend" in html


def test_older_lines_are_a_page_away_and_no_line_is_lost(client: Client) -> None:
    wallet = wallet_with((100, None))
    for number in range(PER_PAGE):
        ledger.hold(wallet, {f"medium:{number}": 1})
    client.force_login(wallet.person)
    first = page(client)
    assert first.count('<li class="wallet-line') == PER_PAGE
    older = first.split("?before=")[1].split('"')[0]
    second = page(client, f"?before={older}")
    assert second.count('<li class="wallet-line') == 1
    assert "100 credits granted" in second
    assert "?before=" not in second


@pytest.mark.parametrize("before", ["", "x", "-1", "9" * 40, "%00", "²"])
def test_a_page_that_does_not_exist_is_no_error(client: Client, before: str) -> None:
    client.force_login(wallet_with((10, None)).person)
    page(client, f"?before={before}")


def test_an_empty_wallet_says_so(client: Client) -> None:
    client.force_login(wallet_with().person)
    assert "Nothing has moved yet" in page(client)
