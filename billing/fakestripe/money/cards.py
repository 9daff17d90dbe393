"""The test cards that Stripe documents (docs.stripe.com/testing), and what each of them does."""

from dataclasses import dataclass

from billing.fakestripe.core.errors import StripeError


@dataclass(frozen=True)
class Card:
    """One test card. `says` is the line that the checkout page shows about it."""

    number: str
    says: str
    alias: str = ""
    brand: str = "visa"
    funding: str = "credit"
    # The error code and decline code of every charge.
    code: str | None = None
    decline_code: str | None = None
    # The card is accepted when it is saved and fails only when it is charged.
    attaches: bool = False
    # "always", or "unless_saved": no more question once the card was saved with its holder present.
    asks: str | None = None
    # "fraudulent", "product_not_received", "inquiry" or "warning".
    dispute: str | None = None
    # "pending": refunds succeed later. "fails": they seem to succeed and fail later.
    refund: str | None = None

    @property
    def last4(self) -> str:
        """What may be shown of the number."""
        return self.number[-4:]

    @property
    def spaced(self) -> str:
        """The number as it is printed."""
        return " ".join(self.number[at : at + 4] for at in range(0, len(self.number), 4))


def _declined(number: str, says: str, alias: str, decline_code: str, code: str = "card_declined") -> Card:
    return Card(number, says, alias, code=code, decline_code=decline_code)


CARDS = (
    Card("4242424242424242", "Pays.", "pm_card_visa"),
    Card("5555555555554444", "Pays, a Mastercard.", "pm_card_mastercard", brand="mastercard"),
    Card("4000056655665556", "Pays, a debit card.", "pm_card_visa_debit", funding="debit"),
    Card("378282246310005", "Pays, American Express.", "pm_card_amex", brand="amex"),
    _declined("4000000000000002", "Is declined.", "pm_card_visa_chargeDeclined", "generic_decline"),
    _declined(
        "4000000000009995",
        "Is declined: insufficient funds.",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "insufficient_funds",
    ),
    _declined("4000000000009987", "Is declined: lost card.", "pm_card_visa_chargeDeclinedLostCard", "lost_card"),
    _declined(
        "4000000000000069", "Is declined: expired.", "pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"
    ),
    _declined(
        "4000000000000127",
        "Is declined: wrong CVC.",
        "pm_card_chargeDeclinedIncorrectCvc",
        "incorrect_cvc",
        "incorrect_cvc",
    ),
    _declined(
        "4000000000000119",
        "Is declined: an error at the bank.",
        "pm_card_chargeDeclinedProcessingError",
        "processing_error",
        "processing_error",
    ),
    Card(
        "4000000000000341",
        "Can be saved, but every later charge is declined.",
        "pm_card_chargeCustomerFail",
        code="card_declined",
        decline_code="generic_decline",
        attaches=True,
    ),
    Card(
        "4000002500003155",
        "Asks for 3-D Secure the first time; renewals pass.",
        "pm_card_authenticationRequiredOnSetup",
        asks="unless_saved",
    ),
    Card("4000002760003184", "Asks for 3-D Secure every time.", "pm_card_authenticationRequired", asks="always"),
    Card("4000000000000259", "Pays, then is disputed as fraudulent.", "pm_card_createDispute", dispute="fraudulent"),
    Card(
        "4000000000002685",
        "Pays, then is disputed: not received.",
        "pm_card_createDisputeProductNotReceived",
        dispute="product_not_received",
    ),
    Card("4000000000001976", "Pays, then the bank inquires.", "pm_card_createDisputeInquiry", dispute="inquiry"),
    Card(
        "4000000000005423", "Pays, then an early fraud warning.", "pm_card_createIssuerFraudRecord", dispute="warning"
    ),
    Card("4000000000007726", "Pays; a refund succeeds only later.", "pm_card_pendingRefund", refund="pending"),
    Card("4000000000005126", "Pays; a refund fails later.", "pm_card_refundFail", refund="fails"),
)
BY_NUMBER = {card.number: card for card in CARDS}
BY_ALIAS = {card.alias: card for card in CARDS}

SENTENCES = {
    "card_declined": "Your card was declined.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "Your bank could not process the card. Try again in a moment.",
    "incorrect_number": "Your card number is not a card's number.",
    "authentication_required": "Your bank asks you to confirm this payment.",
    "payment_intent_authentication_failure": "Your bank could not confirm that it is you. Choose another card.",
}


def is_plausible(number: str) -> bool:
    """Whether the last digit fits the others, by Luhn's rule."""
    if not number.isdigit() or not 12 <= len(number) <= 19:
        return False
    total = 0
    for at, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + at % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def read(number: str) -> Card:
    """The test card with this number. A real card is refused, as Stripe refuses it in test mode."""
    digits = "".join(number.split()).replace("-", "")
    if not is_plausible(digits):
        raise StripeError(
            SENTENCES["incorrect_number"], status=402, type="card_error", code="incorrect_number", param="number"
        )
    card = BY_NUMBER.get(digits)
    if card is None:
        raise StripeError(
            "Only test cards are taken here. Do not type a real one.",
            status=402,
            type="card_error",
            code="card_declined",
            decline_code="test_mode_live_card",
            param="number",
        )
    return card


def sentence(code: str, decline_code: str | None) -> str:
    """What a person reads when a card fails."""
    if decline_code == "insufficient_funds":
        return "Your card has insufficient funds."
    return SENTENCES.get(code, "Your card was declined.")
