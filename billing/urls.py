from django.urls import path

from billing import views
from billing.sale import views as sale

urlpatterns = [
    path("", views.wallet, name="wallet"),
    path("limit/", views.limit, name="wallet_limit"),
    path("repayment/", views.repayment, name="wallet_repayment"),
    path("plans/", sale.plans, name="plans"),
    path("checkouts/", sale.checkouts, name="checkouts"),
    path("checkouts/<uuid:checkout_id>/", sale.checkout, name="checkout"),
    path("subscription/change/", sale.change, name="subscription_change"),
    *[
        path(f"subscription/{act}/", sale.subscription_act, {"act": act}, name=f"subscription_{act}")
        for act in sale.ACTS
    ],
    path("portal/", sale.portal, name="portal"),
]
