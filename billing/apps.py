from django.apps import AppConfig


class BillingConfig(AppConfig):
    """The ledger: who has how many credits, from where, until when, and what they were spent on."""

    name = "billing"
