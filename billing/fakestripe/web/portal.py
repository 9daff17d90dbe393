"""The billing portal's page: the plan, its end, the card, the invoices."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World
from billing.fakestripe.money import methods
from billing.fakestripe.money.cards import CARDS, read
from billing.fakestripe.nouns import changes, subscriptions
from billing.fakestripe.web.checkout import CardTrouble, card_fields
from billing.fakestripe.web.look import Look, leave


class PortalPage:
    """Lets a customer end or keep a subscription, change the card, and read the invoices."""

    def __init__(self, world: World, look: Look) -> None:
        self.world = world
        self.look = look

    def answer(self, request: Request, form: dict[str, str]) -> Response:
        """Show the page, or do what its form asks."""
        session = self.world.get("billing_portal.session", request.path_params["key"])
        if session["created"] < self.world.now - 3600:
            return self.look.gone("This visit to the portal is over. Open it again from the shop.", 410)
        wrong: dict[str, str] = {}
        if request.method == "POST":
            try:
                self._act(session, form)
                return leave(f"/p/session/{session['id']}")
            except CardTrouble as trouble:
                wrong = {trouble.field: str(trouble)}
            except StripeError as refusal:
                wrong = {"number": str(refusal)}
        return self._show(session, form, wrong)

    def _act(self, session: Obj, form: dict[str, str]) -> None:
        act = form.get("act")
        features = self.world.get("billing_portal.configuration", session["configuration"])["features"]
        if act == "card" and features["payment_method_update"]["enabled"]:
            self._card(session, form)
            return
        subscription = self.world.get("subscription", form.get("subscription", ""))
        if subscription["customer"] != session["customer"]:
            raise StripeError("This subscription is somebody else's.", status=403)
        if act == "end" and features["subscription_cancel"]["enabled"]:
            if features["subscription_cancel"]["mode"] == "immediately":
                subscriptions.end_now(self.world, subscription)
                return
            changes.plan_end(subscription, True, now=self.world.now)
        elif act == "keep":
            changes.plan_end(subscription, False, now=self.world.now)
        elif act == "change" and features["subscription_update"]["enabled"]:
            self._change(subscription, form, features["subscription_update"]["proration_behavior"])
        else:
            raise StripeError("The portal does not offer this.", status=403)
        subscriptions.plan(self.world, subscription)
        self.world.save(subscription, "customer.subscription.updated")

    def _change(self, subscription: Obj, form: dict[str, str], prorations: str) -> None:
        price = self.world.get("price", form.get("price", ""), param="price")
        item = subscription["items"]["data"][0]
        change = changes.Change(item["id"], price, item["quantity"])
        changes.change_items(self.world, subscription, [change], prorations=prorations, payment="allow_incomplete")

    def _card(self, session: Obj, form: dict[str, str]) -> None:
        number, month, year = card_fields(form, self.world.now)
        card = read(number)
        if card.code and not card.attaches:
            raise StripeError("Your card was declined.", status=402, type="card_error", code=card.code)
        customer = self.world.get("customer", session["customer"])
        method = methods.new(self.world, card, exp=(month, year), name=form.get("name") or None)
        # The holder is present, so the bank may be taken to have asked.
        methods.attach(self.world, method, customer["id"], set_up=True)
        customer["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": method["id"]}
        self.world.save(customer, "customer.updated")
        for subscription in self.world.store.where("subscription", "customer", customer["id"]):
            if subscription["status"] in subscriptions.RUNNING and subscription["default_payment_method"]:
                subscription["default_payment_method"] = method["id"]
                self.world.save(subscription, "customer.subscription.updated")

    def _show(self, session: Obj, form: dict[str, str], wrong: dict[str, str]) -> Response:
        customer = self.world.get("customer", session["customer"])
        running = [
            self._plan(subscription)
            for subscription in reversed(self.world.store.where("subscription", "customer", customer["id"]))
            if subscription["status"] not in ("canceled", "incomplete_expired", "incomplete")
        ]
        features = self.world.get("billing_portal.configuration", session["configuration"])["features"]
        values = {name: form.get(name, "") for name in ("name", "number", "expiry")} | {"cvc": ""}
        invoices = [
            invoice
            for invoice in reversed(self.world.store.where("invoice", "customer", customer["id"]))
            if invoice["status"] != "draft"
        ]
        return self.look.page(
            "portal.html",
            session=session,
            customer=customer,
            running=running,
            features=features,
            values=values,
            wrong=wrong,
            invoices=invoices[:24],
            cards=CARDS,
            leads_to=session["return_url"],
            status=402 if wrong else 200,
        )

    def _plan(self, subscription: Obj) -> dict[str, Any]:
        item = subscription["items"]["data"][0]
        product = self.world.store.get(item["price"]["product"]) or {}
        card = methods.default_for(self.world, subscription["customer"], subscription)
        others = [
            price
            for price in self.world.store.all("price")
            if price["active"]
            and price["recurring"]
            and price["id"] != item["price"]["id"]
            and price["currency"] == subscription["currency"]
        ]
        return {
            "subscription": subscription,
            "item": item,
            "name": product.get("name", "Subscription"),
            "until": item["current_period_end"],
            "card": card["card"] if card else None,
            "others": [(price, (self.world.store.get(price["product"]) or {}).get("name", "")) for price in others],
        }
