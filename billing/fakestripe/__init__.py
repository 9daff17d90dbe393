"""An offline Stripe with a memory: the part of the API that a small shop uses, its pages, its webhooks, its clock.

It knows no Django and nothing of this project. See docs/fakestripe.md.
"""

from billing.fakestripe.handle import Declined, FakeStripe

__all__ = ["Declined", "FakeStripe"]
