"""The Checkout page, and the page on which the bank asks whether it is really you."""

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World
from billing.fakestripe.money import charges, intents
from billing.fakestripe.money.cards import CARDS
from billing.fakestripe.nouns import completion, sessions
from billing.fakestripe.nouns.collection import after_authentication
from billing.fakestripe.web.look import Look, leave

FIELDS = ("email", "name", "number", "expiry", "cvc", "promotion_code")


class CardTrouble(Exception):
    """A field that cannot be right, with the sentence that is shown below it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def expiry(text: str, now: int) -> tuple[int, int]:
    """Month and year of `12 / 34`."""
    month, _, year = text.replace(" ", "").replace("-", "/").partition("/")
    if not (month.isdigit() and year.isdigit()) or not 1 <= int(month) <= 12 or len(year) not in (2, 4):
        raise CardTrouble("expiry", "Write the date as month / year, like 12 / 34.")
    full = int(year) + 2000 if len(year) == 2 else int(year)
    today = datetime.fromtimestamp(now, UTC)
    if (full, int(month)) < (today.year, today.month):
        raise CardTrouble("expiry", "This card's date lies in the past.")
    return int(month), full


def card_fields(form: dict[str, str], now: int) -> tuple[str, int, int]:
    """Number, month and year as typed, checked."""
    month, year = expiry(form.get("expiry", ""), now)
    cvc = form.get("cvc", "").strip()
    if not cvc.isdigit() or len(cvc) not in (3, 4):
        raise CardTrouble("cvc", "The security code has three digits, four on American Express.")
    return form.get("number", ""), month, year


class CheckoutPage:
    """Shows a session and takes the card for it."""

    def __init__(self, world: World, look: Look) -> None:
        self.world = world
        self.look = look

    def answer(self, request: Request, form: dict[str, str]) -> Response:
        """Show the page, or do what its form asks."""
        session = self.world.get("checkout.session", request.path_params["key"])
        if session["status"] != "open":
            return self.look.page("over.html", session=session, status=200 if session["status"] == "complete" else 410)
        if request.method == "GET":
            return self._show(session, {})
        if form.get("act") == "code":
            try:
                sessions.use_code(self.world, session, form.get("promotion_code", ""))
                self.world.save(session)
            except StripeError as refusal:
                return self._show(session, form, {"promotion_code": str(refusal)})
            return self._show(session, form)
        return self._pay(session, form)

    def _pay(self, session: Obj, form: dict[str, str]) -> Response:
        number, month, year = "", 12, 2034
        try:
            if form.get("promotion_code", "").strip() and not session["discounts"]:
                sessions.use_code(self.world, session, form["promotion_code"])
            if "@" not in form.get("email", "") and not session["customer"]:
                raise CardTrouble("email", "Write an e-mail address, so that the receipt finds you.")
            if completion.needs_card(session):
                number, month, year = card_fields(form, self.world.now)
        except CardTrouble as wrong:
            return self._show(session, form, {wrong.field: str(wrong)})
        except StripeError as refusal:
            return self._show(session, form, {"promotion_code": str(refusal)})
        typed = completion.Typed(form.get("email", "").strip(), form.get("name", "").strip(), number, month, year)
        success = session["success_url"]
        try:
            onward = completion.pay(self.world, session, typed)
        except StripeError as refusal:
            return self._show(session, form, {str(refusal.fields.get("param", "number")): str(refusal)})
        return leave(onward or success.replace("{CHECKOUT_SESSION_ID}", session["id"]))

    def _show(self, session: Obj, form: dict[str, str], wrong: dict[str, str] | None = None) -> Response:
        rows: list[dict[str, Any]] = []
        for (price, quantity), cost in zip(
            sessions.lines(self.world, session), sessions.costs(self.world, session), strict=True
        ):
            product = self.world.store.get(price["product"]) or {}
            rows.append({"price": price, "quantity": quantity, "cost": cost, "product": product})
        customer = self.world.find("customer", session["customer"])
        values = {name: form.get(name, "") for name in FIELDS}
        values["email"] = values["email"] or (customer or {}).get("email") or session["customer_email"] or ""
        # The code is never shown again: whoever looks over a shoulder shall not read it from the page.
        values["cvc"] = ""
        applied = None
        for row in session["discounts"] or []:
            promotion = self.world.store.get(row["promotion_code"]) if row["promotion_code"] else None
            applied = promotion["code"] if promotion else "Discount"
        trial = session["_subscription_data"].get("trial_period_days")
        page: dict[str, Any] = {
            "session": session,
            "rows": rows,
            "values": values,
            "wrong": wrong or {},
            "applied": applied,
            "trial": trial,
            "recurring": next((row for row in rows if row["price"]["recurring"]), None),
            "needs_card": completion.needs_card(session),
            "cards": CARDS,
        }
        return self.look.page("checkout.html", leads_to=session["success_url"], status=402 if wrong else 200, **page)

    def bank(self, request: Request, form: dict[str, str]) -> Response:
        """The 3-D Secure page of a session or of an invoice's payment."""
        key = request.path_params["key"]
        session, intent = self._awaited(key)
        invoice = None
        if intent is not None and session is None:
            for payment in self.world.store.where("invoice_payment", "_payment", intent["id"]):
                invoice = self.world.find("invoice", payment["invoice"])
        waits = (intent is not None and intent["status"] == "requires_action") or bool(
            session is not None and session.get("_awaits")
        )
        if not waits:
            return self.look.gone("Nothing waits for this confirmation any more.", 410)
        if request.method == "GET":
            amount = intent["amount"] if intent else 0
            currency = (intent or session or {})["currency"]
            onward = session["success_url"] if session else None
            return self.look.page("bank.html", leads_to=onward, amount=amount, currency=currency)
        passed = form.get("answer") == "complete"
        if session is not None:
            success = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
            try:
                completion.authenticated(self.world, session, passed=passed)
            except StripeError as refusal:
                values = {"email": session["_typed"]["email"], "name": session["_typed"]["name"]}
                return self._show(session, values, {"number": str(refusal)})
            return leave(success)
        assert intent is not None
        intents.authenticate(self.world, intent, passed=passed, late=True)
        if invoice is not None:
            after_authentication(self.world, invoice, intent)
            return leave(f"/i/{invoice['_token']}")
        if intent["status"] == "succeeded":
            from_charge = self.world.get("charge", intent["latest_charge"])
            charges.settle(self.world, from_charge)
        return leave(f"/receipt/{intent['id']}")

    def _awaited(self, key: str) -> tuple[Obj | None, Obj | None]:
        session = self.world.find("checkout.session", key)
        if session is not None:
            return session, None
        intent = self.world.get("payment_intent", key)
        return self.world.find("checkout.session", intent.get("_session")), intent
