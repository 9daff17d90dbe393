"""The page of an invoice, where an open one is paid, and the same on paper."""

from starlette.requests import Request
from starlette.responses import Response

from billing.fakestripe.core.errors import StripeError, missing
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World
from billing.fakestripe.money import methods
from billing.fakestripe.money.cards import CARDS, read
from billing.fakestripe.nouns import collection
from billing.fakestripe.nouns.invoices import intent_of
from billing.fakestripe.web.checkout import CardTrouble, card_fields
from billing.fakestripe.web.look import Look, leave


class InvoicePage:
    """Shows an invoice to whoever has its address."""

    def __init__(self, world: World, look: Look) -> None:
        self.world = world
        self.look = look

    def _invoice(self, request: Request) -> Obj:
        token = request.path_params["token"]
        for invoice in self.world.store.newest_first("invoice"):
            if invoice["_token"] == token and invoice["status"] != "draft":
                return invoice
        raise missing("invoice", token)

    def answer(self, request: Request, form: dict[str, str]) -> Response:
        """Show it, or take a card for it."""
        invoice = self._invoice(request)
        if request.method == "GET" or invoice["status"] not in ("open", "uncollectible"):
            return self._show(invoice, {}, {})
        try:
            number, month, year = card_fields(form, self.world.now)
            card = read(number)
        except CardTrouble as wrong:
            return self._show(invoice, form, {wrong.field: str(wrong)})
        except StripeError as refusal:
            return self._show(invoice, form, {"number": str(refusal)})
        method = methods.new(self.world, card, exp=(month, year), name=form.get("name") or None)
        self.world.save(method)
        paid = collection.collect(
            self.world,
            invoice,
            method=method,
            off_session=False,
            retries=False,
            return_url=invoice["hosted_invoice_url"],
        )
        if paid:
            return leave(f"/i/{invoice['_token']}")
        intent = intent_of(self.world, invoice)
        if intent is not None and intent["status"] == "requires_action":
            return leave(f"/3ds/{intent['id']}")
        return self._show(invoice, form, {"number": str(collection.refusal(self.world, invoice))})

    def _show(self, invoice: Obj, form: dict[str, str], wrong: dict[str, str]) -> Response:
        values = {name: form.get(name, "") for name in ("name", "number", "expiry")}
        values["cvc"] = ""
        return self.look.page(
            "invoice.html",
            invoice=invoice,
            values=values,
            wrong=wrong,
            cards=CARDS,
            paper=False,
            status=402 if wrong else 200,
        )

    def printed(self, request: Request, form: dict[str, str]) -> Response:
        """The invoice on paper."""
        return self.look.page(
            "invoice.html", invoice=self._invoice(request), values={}, wrong={}, cards=CARDS, paper=True
        )
