"""The manners of the API: keys, idempotency, lists, expansion, refusals, faults."""

import threading
from typing import Any

import httpx
import pytest
import stripe

from billing.fakestripe import FakeStripe
from tests.fakestripe.spec import Checked, check
from tests.fakestripe.till import Till, client_for


def test_the_same_key_answers_the_same_and_makes_one(till: Till) -> None:
    params, options = {"email": f"{till.mark}@example.com"}, {"idempotency_key": f"key-{till.mark}"}
    first = till.v1.customers.create(params=params, options=options)
    second = till.v1.customers.create(params=params, options=options)
    assert first.id == second.id
    assert second.last_response.headers["idempotent-replayed"] == "true"
    assert len(till.v1.customers.list(params={"email": params["email"]}).data) == 1
    with pytest.raises(stripe.IdempotencyError):
        till.v1.customers.create(params={"email": "other@example.com"}, options=options)


def test_a_key_is_forgotten_after_a_day(till: Till) -> None:
    params, options = {"email": f"{till.mark}@example.com"}, {"idempotency_key": f"key-{till.mark}"}
    first = till.v1.customers.create(params=params, options=options)
    till.driver.advance(hours=25)
    assert till.v1.customers.create(params=params, options=options).id != first.id


def test_a_refusal_before_the_work_is_not_recorded_but_a_refusal_in_it_is(till: Till) -> None:
    options = {"idempotency_key": f"a-{till.mark}"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        till.v1.refunds.create(params={"amount": 5}, options=options)
    assert refused.value.code == "parameter_missing"
    intent = till.bought(till.top_up()).payment_intent
    till.v1.refunds.create(params={"payment_intent": intent.id, "amount": 100}, options=options)
    again = {"idempotency_key": f"b-{till.mark}"}
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            till.v1.refunds.create(params={"payment_intent": intent.id, "amount": 401}, options=again)
    assert refused.value.headers["idempotent-replayed"] == "true"


def test_an_answer_lost_after_the_work_is_found_again_by_its_key(till: Till) -> None:
    fake = till.driver.offline("a lost answer")
    intent = till.bought(till.top_up(1000)).payment_intent
    fake.faults(kind="timeout_after_commit", match="POST /v1/refunds")
    params, options = {"payment_intent": intent.id, "amount": 300}, {"idempotency_key": "refund:1"}
    with pytest.raises(stripe.APIConnectionError):
        till.v1.refunds.create(params=params, options=options)
    refund = till.v1.refunds.create(params=params, options=options)
    assert refund.amount == 300
    assert len(till.v1.refunds.list(params={"payment_intent": intent.id}).data) == 1


def test_a_500_after_the_work_is_what_the_key_remembers(till: Till) -> None:
    fake = till.driver.offline("a 500 after the work")
    intent = till.bought(till.top_up(1000)).payment_intent
    fake.faults(kind="500_after_commit", match="POST /v1/refunds")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as broken:
            till.v1.refunds.create(
                params={"payment_intent": intent.id, "metadata": {"ours": "7"}}, options={"idempotency_key": "refund:2"}
            )
        assert broken.value.http_status == 500
    assert [one.metadata["ours"] for one in till.v1.refunds.list(params={"payment_intent": intent.id}).data] == ["7"]


def test_the_other_faults_do_nothing_and_pass(till: Till) -> None:
    fake = till.driver.offline("faults")
    params = {"email": f"{till.mark}@example.com"}
    for kind, wrong in (
        ("timeout_before", stripe.APIConnectionError),
        ("429", stripe.RateLimitError),
        ("500", stripe.APIError),
    ):
        fake.faults(kind=kind, match="POST /v1/cust*")
        with pytest.raises(wrong):
            till.v1.customers.create(params=params)
    fake.faults(kind="down")
    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError):
            till.v1.customers.list()
    fake.faults(clear=True)
    assert till.v1.customers.list(params=params).data == []


def test_two_calls_with_one_key_at_once_conflict(till: Till) -> None:
    fake = till.driver.offline("a slow answer")
    fake.faults(kind="slow", match="POST /v1/customers", seconds=0.4)
    options: Any = {"idempotency_key": "one"}
    outcome: list[Any] = []
    first = threading.Thread(
        target=lambda: outcome.append(till.v1.customers.create(params={"name": "A"}, options=options))
    )
    first.start()
    while "one" not in fake.running.api.in_flight:
        assert first.is_alive()
    checked = Checked()
    # The library has no class of its own for 409; it tries again by itself if it may.
    with pytest.raises(stripe.APIError) as refused:
        client_for(fake.url, fake.key, checked).v1.customers.create(params={"name": "A"}, options=options)
    first.join()
    checked.close()
    assert refused.value.http_status == 409
    assert outcome[0].name == "A"


def test_only_a_test_key_is_let_in(till: Till, fake: FakeStripe) -> None:
    for key in ("sk_live_x", "sk_test_other"):
        checked = Checked()
        with pytest.raises(stripe.AuthenticationError):
            client_for(fake.url, key, checked).v1.customers.list()
        checked.close()
    assert httpx.get(f"{fake.url}/v1/customers").status_code == 401
    assert httpx.get(f"{fake.url}/v1/customers", auth=(fake.key, "")).status_code == 200
    assert httpx.get(f"{fake.url}/v1/customers", headers={"Host": "evil.example"}).status_code == 421


def test_lists_are_paged_both_ways_and_filtered_by_time(till: Till) -> None:
    fake = till.driver.offline("many customers at chosen times")
    made = []
    for name in "abcde":
        made.append(till.v1.customers.create(params={"name": name}).id)
        fake.advance(minutes=1)
    page = till.v1.customers.list(params={"limit": 2})
    assert ([one.name for one in page.data], page.has_more) == (["e", "d"], True)
    assert [one.name for one in page.auto_paging_iter()] == ["e", "d", "c", "b", "a"]
    back = till.v1.customers.list(params={"limit": 2, "ending_before": made[0]})
    assert ([one.name for one in back.data], back.has_more) == (["c", "b"], True)
    third = till.v1.customers.retrieve(made[2]).created
    late = till.v1.customers.list(params={"created": {"gt": third}})
    assert [one.name for one in late.data] == ["e", "d"]
    with pytest.raises(stripe.InvalidRequestError):
        till.v1.customers.list(params={"limit": 101})


def test_what_is_unknown_is_refused_by_name(till: Till) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        till.v1.customers.create(params={"emial": "a@example.com"})
    assert (refused.value.code, refused.value.param) == ("parameter_unknown", "emial")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        till.v1.customers.retrieve("cus_nobody")
    assert (refused.value.code, refused.value.http_status) == ("resource_missing", 404)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        till.session(till.top_up(), customer="cus_nobody")
    assert (refused.value.param, refused.value.http_status) == ("customer", 400)
    till.customer()
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        till.v1.customers.list(params={"expand": ["data.nothing"]})
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        till.v1.payouts.list()


def test_metadata_is_merged_and_emptied(till: Till) -> None:
    customer = till.customer(metadata={"a": "1", "b": "2"})
    changed = till.v1.customers.update(customer.id, params={"metadata": {"b": "", "c": "3"}})
    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}
    assert till.v1.customers.update(customer.id, params={"metadata": ""}).metadata.to_dict() == {}


def test_the_document_rejects_a_field_that_nobody_knows(till: Till) -> None:
    customer = {**till.customer().to_dict()}
    check("GET", "/v1/customers/cus_1", 200, customer)
    with pytest.raises(AssertionError, match="does not fit"):
        check("GET", "/v1/customers/cus_1", 200, {**customer, "emial": "x"})
    with pytest.raises(AssertionError, match="does not fit"):
        check("GET", "/v1/customers/cus_1", 200, {**customer, "created": "today"})
    with pytest.raises(AssertionError, match="knows no"):
        check("GET", "/v1/nothing", 200, {})


def test_the_clock_and_the_state_are_reached_over_http(fake: FakeStripe) -> None:
    before = httpx.get(f"{fake.url}/_fake/clock").json()["now"]
    assert httpx.post(f"{fake.url}/_fake/clock", json={"advance": 60}).json()["now"] == before + 60
    assert httpx.post(f"{fake.url}/_fake/clock", json={"now": before}).status_code == 400
    assert httpx.post(f"{fake.url}/_fake/faults", json={"kind": "sulk"}).status_code == 400
    assert httpx.get(f"{fake.url}/_fake/state").json()["now"] == before + 60
    assert httpx.post(f"{fake.url}/_fake/settle", json={}).json() == {"settled": True}
    assert httpx.post(f"{fake.url}/_fake/reset").json() == {"reset": True}
