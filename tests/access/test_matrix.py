"""Every address with an object in it, asked by everybody. A route that is not listed here fails."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts import keys
from accounts.models import User
from billing.models import Act, Checkout, Finding, Payment, Price, Transfer
from generation.addresses import signed_path
from generation.models import Job, Medium
from moderation.actions import claim, claim_next, inquiries
from moderation.actions.uploads import take
from moderation.models import Case, Freeze, Sample
from tests import path
from tests.moderation.registered import protect
from tests.people import cast
from tests.uploads.files import drawing, saved


class Route(NamedTuple):
    name: str
    arguments: tuple[str, ...]


def routes(resolver: URLResolver | None = None, namespace: str = "") -> Iterator[Route]:
    """Every route of the URLconf, by name, with the objects in it."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            inner = ":".join(filter(None, (namespace, pattern.namespace or "")))
            yield from routes(pattern, inner)
        elif isinstance(pattern, URLPattern):
            name = ":".join(filter(None, (namespace, pattern.name or repr(pattern.callback))))
            yield Route(name, tuple(pattern.pattern.regex.groupindex))


class Rule(NamedTuple):
    """Who may do it: their answers are in `fine`; whoever else asks is told `told`."""

    method: str
    may: tuple[str, ...]
    fine: tuple[int, ...] = (200,)
    by_key: bool = False


ALICE, CAROL, BOB, SOFIA, BRUNO, OLGA, NOBODY = "alice", "carol", "bob", "sofia", "bruno", "olga", "nobody"
EVERYBODY = (ALICE, CAROL, BOB, SOFIA, BRUNO, OLGA, NOBODY)
# Not there, not allowed, or sign in first: never the thing itself.
NOTHING = {302, 401, 403, 404}
DESK = (BOB, SOFIA)
KEEPERS = (SOFIA,)
CONSOLE = (BRUNO,)

# Addresses without an object that are not everybody's either.
CLOSED = {"desk_registry": KEEPERS, "desk_registry_new": KEEPERS}

RULES: dict[str, tuple[Rule, ...]] = {
    "studio_job": (Rule("GET", (ALICE,)),),
    "job": (Rule("GET", (ALICE,)),),
    "job_cancellation": (Rule("POST", (ALICE,), (200, 204, 302, 303)),),
    "statement": (Rule("GET", (ALICE,)),),
    "gallery_medium": (Rule("GET", (ALICE,)),),
    "medium": (Rule("GET", (ALICE,)),),
    "poster": (Rule("GET", (ALICE,)),),
    "upload": (Rule("GET", (ALICE,)),),
    "api:upload": (Rule("GET", (ALICE,), by_key=True), Rule("GET", (ALICE,))),
    "api:erase_upload": (Rule("DELETE", (ALICE,), by_key=True),),
    # Whoever knows the address of an answer may read it, for a day.
    "verify_answer": (Rule("GET", EVERYBODY),),
    "api:verification": (Rule("GET", (ALICE,), by_key=True),),
    # Whoever holds a signed address may look, for five minutes.
    "signed_medium": (Rule("GET", EVERYBODY),),
    "checkout": (Rule("GET", (ALICE,)),),
    "api_key_revocation": (Rule("POST", (ALICE,), (302, 303)),),
    "api:retrieve": (Rule("GET", (ALICE,), by_key=True), Rule("GET", (ALICE,))),
    "api:cancel": (Rule("DELETE", (ALICE,), by_key=True),),
    "api:events": (Rule("GET", (ALICE,), by_key=True), Rule("GET", (ALICE,))),
    "api:film": (Rule("GET", (ALICE,), by_key=True), Rule("GET", (ALICE,))),
    "api:film_content": (Rule("GET", (ALICE,), by_key=True),),
    # She finds her film, and then that her account is on hold.
    "api:remix_film": (Rule("POST", (ALICE,), (403,), by_key=True),),
    "api:give_up_film": (Rule("DELETE", (ALICE,), (422,), by_key=True),),
    "api:model": (Rule("GET", (ALICE, CAROL, BOB, SOFIA, BRUNO, OLGA), by_key=True),),
    "desk_case": (Rule("GET", DESK),),
    "desk_original": (Rule("GET", DESK, (200, 403, 404, 409)),),
    "desk_claim": (Rule("POST", DESK, (302, 303, 409)),),
    "desk_decision": (Rule("POST", DESK, (302, 303, 400, 409, 422, 200)),),
    "desk_skip": (Rule("POST", DESK, (302, 303, 409)),),
    "desk_sample": (Rule("GET", DESK), Rule("POST", DESK, (422,))),
    "desk_sample_file": (Rule("GET", DESK),),
    "desk_registry_entry": (Rule("GET", KEEPERS),),
    "desk_registry_ending": (Rule("POST", KEEPERS, (422,)),),
    "desk_registry_pictures": (Rule("POST", KEEPERS, (422,)),),
    "desk_lift": (Rule("POST", DESK, (302, 303, 400, 403, 404, 409, 422, 200)),),
    "console_person": (Rule("GET", CONSOLE),),
    "console_lines": (Rule("GET", CONSOLE),),
    "console_payments": (Rule("GET", CONSOLE),),
    "console_transfer": (Rule("GET", CONSOLE),),
    "console_job": (Rule("GET", CONSOLE),),
    "console_payment": (Rule("GET", CONSOLE),),
    "console_decision": (Rule("POST", CONSOLE, (302, 422)),),
    "console_mending": (Rule("POST", CONSOLE, (302,)),),
}

# allauth's own routes carry signed keys of its own making; what they open is tested there.
OF_ALLAUTH = {"account_confirm_email", "account_reset_password_from_key"}


CHANGING = [name for name, rules in RULES.items() if any(rule.method != "GET" for rule in rules)]


class World(NamedTuple):
    people: dict[str, User]
    secrets: dict[str, str]
    objects: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def made(furnished: Callable[[Callable[[], World]], tuple[str, World]]) -> tuple[str, World]:
    return furnished(make_world)


@pytest.fixture
def database_template(made: tuple[str, World]) -> str:
    return made[0]


@pytest.fixture
def world(made: tuple[str, World], fresh_database: str) -> World:
    """A copy of it for each test."""
    return made[1]


def make_world() -> World:
    """Alice has a released picture, a refused one, one held for a person, a severe block, and an API key."""
    people = cast()
    released = path.submit(people.alice, "a red apple on blue")
    refused = path.submit(people.alice, "verdict:block a forbidden apple")
    held = path.submit(people.alice, "verdict:review a doubtful apple")
    filmed = path.submit(people.alice, "a boat", mode="text_to_film")
    upload = take(people.alice, ContentFile(saved(drawing(), "PNG")), "picture")
    path.work()
    severe = path.submit(people.alice, "verdict:severe the worst")
    path.work()
    medium = Medium.objects.shown().select_related("case").get(job=released)
    of_refused = Case.objects.get(medium__job=refused)
    of_held = Case.objects.get(medium__job=held)
    assert (of_refused.state, of_held.state) == ("refused", "in_review")
    freeze = Freeze.objects.get(case__medium__job=severe)
    key, _ = keys.create(people.alice, "hers")
    price = Price.objects.create(
        offer="pack-500", interval="once", amount=900, currency="usd", credits=500, stripe_price="p", stripe_product="p"
    )
    payment = Payment.objects.create(
        person=people.alice, key="checkout:cs", price=price, amount=900, currency="usd", paid_at=timezone.now()
    )
    act = Act.objects.create(
        kind="correction", person=people.alice, reason="odd", asked_by=people.olga, needs_second=True, key="matrix"
    )
    finding = Finding.objects.create(kind="odd", about="x", what="x", remedy="x", is_mendable=True)
    of_alice = {"person_id": people.alice.pk}
    checkout = Checkout.objects.create(person=people.alice, price=price, key="matrix", state="expired")
    asked = {"inquiry_id": inquiries.ask(ContentFile(b"x"), person=people.alice, address="").pk}
    everybody = people._asdict()
    job, film = {"job_id": released.pk}, {"video_id": filmed.pk}
    of_medium = {"medium_id": medium.pk}
    of_upload = {"upload_id": upload.pk}
    of_case = {"case_id": of_held.pk}
    protected = {"entry_id": protect(people.sofia).pk}
    of_sample = {"sample_id": Sample.objects.create(case=medium.case, stratum="far", probability=1).pk}
    return World(
        people=everybody,
        secrets={name: keys.create(person, "matrix")[1] for name, person in everybody.items()},
        objects={
            **dict.fromkeys(["studio_job", "job", "job_cancellation"], job),
            **dict.fromkeys(["api:retrieve", "api:cancel", "api:events"], job),
            **dict.fromkeys(["api:film", "api:film_content", "api:remix_film", "api:give_up_film"], film),
            **dict.fromkeys(["gallery_medium", "medium"], of_medium),
            **dict.fromkeys(["verify_answer", "api:verification"], asked),
            **dict.fromkeys(["desk_case", "desk_original", "desk_claim", "desk_decision", "desk_skip"], of_case),
            "poster": {"medium_id": Medium.objects.shown().get(job=filmed).pk},
            **dict.fromkeys(["upload", "api:upload", "api:erase_upload"], of_upload),
            "statement": {"case_id": of_refused.pk},
            **dict.fromkeys(["desk_sample", "desk_sample_file"], of_sample),
            **dict.fromkeys(["desk_registry_entry", "desk_registry_ending", "desk_registry_pictures"], protected),
            "desk_lift": {"freeze_id": freeze.pk},
            **dict.fromkeys(["console_person", "console_lines", "console_payments"], of_alice),
            "console_transfer": {"transfer_id": Transfer.objects.filter(wallet__person=people.alice)[0].pk},
            "console_job": job,
            "console_payment": {"payment_id": payment.pk},
            "console_decision": {"act_id": act.pk},
            "console_mending": {"finding_id": finding.pk},
            "checkout": {"checkout_id": checkout.pk},
            "api_key_revocation": {"key_id": key.pk},
            "api:model": {"name": "fake"},
            "signed_medium": {"token": signed_path(medium).strip("/").rpartition("/")[2]},
        },
    )


def ask(world: World, name: str, rule: Rule, who: str) -> int:
    client = Client()
    headers = {}
    if who != NOBODY:
        if rule.by_key:
            headers["Authorization"] = f"Bearer {world.secrets[who]}"
        else:
            client.force_login(world.people[who])
    body = {"data": "{}", "content_type": "application/json"} if rule.by_key and rule.method == "POST" else {}
    answer = client.generic(rule.method, reverse(name, kwargs=world.objects[name]), headers=headers, **body)
    status: int = answer.status_code
    if status == 302 and rule.method == "GET":
        assert "login" in answer["Location"]
    return status


def test_every_route_with_an_object_is_listed() -> None:
    with_objects = {route.name for route in routes() if route.arguments}
    assert with_objects - set(RULES) - OF_ALLAUTH == set(), "who may see these? Add them to RULES"
    assert set(RULES) <= with_objects, "these are no routes any more"


def wrong(world: World, name: str) -> Iterator[str]:
    """What an address answers to whom that it should not."""
    for rule in RULES[name]:
        # Whoever may does so last, since it may change the object.
        for who in sorted(EVERYBODY, key=lambda who: who in rule.may):
            status = ask(world, name, rule, who)
            if who in rule.may:
                if status not in rule.fine:
                    yield f"{who} {rule.method} {name}: {status}"
            elif status == 302 and who != NOBODY:
                yield f"{who} {rule.method} {name} was sent on, as if it had worked"
            elif status not in NOTHING:
                yield f"{who} {rule.method} {name}: {status}"


def test_only_who_may_reads_it(world: World) -> None:
    """Reading changes nothing, so one world does for all."""
    assert [told for name in RULES if name not in CHANGING for told in wrong(world, name)] == []


@pytest.mark.parametrize("name", CHANGING)
def test_only_who_may_does_it(world: World, name: str) -> None:
    assert list(wrong(world, name)) == []


def test_a_closed_address_opens_to_whom_it_is_for(world: World) -> None:
    for name, may in CLOSED.items():
        for who in EVERYBODY:
            client = Client()
            if who != NOBODY:
                client.force_login(world.people[who])
            status = client.get(reverse(name)).status_code
            assert (status == 200) if who in may else (status in NOTHING), f"{who} GET {name}: {status}"
            assert client.post(reverse(name), {}).status_code in ({405, 422} if who in may else NOTHING | {405})


def test_a_stranger_changed_nothing(world: World) -> None:
    """The same requests by Carol, by the state that they leave behind."""
    for name, rules in RULES.items():
        for rule in rules:
            if rule.method != "GET" and CAROL not in rule.may:
                ask(world, name, rule, CAROL)
    assert Job.objects.get(**{"pk": world.objects["job"]["job_id"]}).state == "done"
    assert Case.objects.get(pk=world.objects["desk_case"]["case_id"]).state == "in_review"
    assert Freeze.objects.get(pk=world.objects["desk_lift"]["freeze_id"]).lifted_at is None
    assert keys.ApiKey.objects.get(pk=world.objects["api_key_revocation"]["key_id"]).revoked_at is None


def test_a_moderator_sees_the_original_only_while_they_hold_the_case(world: World) -> None:
    bob = world.people[BOB]
    rule = Rule("GET", DESK)
    before = ask(world, "desk_original", rule, BOB)
    assert before in NOTHING
    case = Case.objects.get(pk=world.objects["desk_case"]["case_id"])
    assert claim(case, bob)
    assert ask(world, "desk_original", rule, BOB) == 200
    assert case.looks.count() == 1


def test_nobody_reviews_their_own_work(world: World) -> None:
    from accounts import roles

    roles.give(world.people[ALICE], "senior_moderator")
    alice = User.objects.get(pk=world.people[ALICE].pk)
    assert claim_next(alice) is None
    assert ask(world, "desk_case", Rule("GET", DESK), ALICE) == 404


def test_no_page_without_an_object_fails(world: World) -> None:
    """Every plain address answers everybody with something other than a fault, and lets no cache keep it."""
    for who in EVERYBODY:
        client = Client()
        if who != NOBODY:
            client.force_login(world.people[who])
        for route in routes():
            if not route.arguments and route.name != "health_ready":
                answer = client.get(reverse(route.name))
                assert answer.status_code < 500, f"{who} GET {route.name}"
                assert route.name == "favicon" or "private" in answer["Cache-Control"], f"{who} GET {route.name}"
