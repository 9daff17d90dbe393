"""Errors in the shape that OpenAI's clients read."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import JsonResponse
from django.http.response import HttpResponseBase

from billing.ledger import NotEnoughCredits, OnBillingHold, SpendingLimitReached
from generation.actions.jobs import AccountOnHold, BeyondPlan, IntakeClosed, PromptRefused, TooManyJobs, TooManyRefusals
from generation.offer import BadOrder
from journal.idempotency import KeyReused
from moderation.actions.uploads import TooManyUploads


class ApiError(Exception):
    """An answer that is an error. `code` is what programs match on; the message is for people.

    Everything but 503, 504 and 429 tells the client not to try the same again by itself.
    """

    RETRIED = frozenset({429, 503, 504})

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
        vaglio: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.kind = kind
        self.headers = dict(headers or {})
        self.vaglio = dict(vaglio or {})

    def response(self) -> JsonResponse:
        body: dict[str, Any] = {
            "error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        }
        if self.vaglio:
            body["error"]["vaglio"] = self.vaglio
        answer = JsonResponse(body, status=self.status)
        if self.status not in self.RETRIED:
            answer["x-should-retry"] = "false"
        for name, value in self.headers.items():
            answer[name] = value
        return answer


OURS = "Something went wrong on our side. It was noted; try again in a moment."


def too_large() -> ApiError:
    """A body that is longer than we read."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // (1024 * 1024)
    return ApiError(413, "request_too_large", f"The body is longer than {most} MB. Send less.")


def in_shape(answer: HttpResponseBase) -> HttpResponseBase:
    """What Django answers by itself below /v1, in the shape of the API: no such address, or not by that method."""
    if answer.status_code < 400 or answer.get("Content-Type", "").startswith("application/json"):
        return answer
    if answer.status_code >= 500:
        return ApiError(answer.status_code, "server_error", OURS, kind="server_error").response()
    code, sentence = {
        404: ("not_found", "There is nothing at this address. The addresses are listed in /v1/openapi.json."),
        405: ("method_not_allowed", f"This address takes {answer.get('Allow', 'another method')}."),
    }.get(answer.status_code, ("bad_request", "The request cannot be read."))
    headers = {"Allow": answer["Allow"]} if answer.has_header("Allow") else {}
    return ApiError(answer.status_code, code, sentence, headers=headers).response()


def as_api_error(error: Exception) -> ApiError | None:
    """The answer for an error of ours; None when it is not one that a caller can cause."""
    match error:
        case ApiError():
            return error
        case BadOrder():
            return ApiError(400, "invalid_value", str(error), param=error.field)
        case PromptRefused():
            return ApiError(
                400,
                "moderation_blocked",
                str(error),
                param=error.field,
                kind="image_generation_user_error",
                vaglio={
                    "field": error.field,
                    "policy": error.policy_code,
                    "words": list(error.words),
                    **({"acknowledge": error.acknowledge} if error.acknowledge else {}),
                    **({"instead": list(error.instead)} if error.instead else {}),
                },
            )
        case NotEnoughCredits():
            return ApiError(402, "insufficient_credits", str(error), kind="insufficient_quota")
        case OnBillingHold():
            return ApiError(402, "billing_hold", str(error), kind="insufficient_quota")
        case SpendingLimitReached():
            return ApiError(402, "spending_limit_reached", str(error), kind="insufficient_quota")
        case BeyondPlan():
            return ApiError(403, "beyond_plan", str(error), param=error.field, vaglio={"plan": error.plan})
        case KeyReused():
            return ApiError(409, "idempotency_key_reused", str(error), param="Idempotency-Key")
        case IntakeClosed():
            return ApiError(
                503,
                "intake_closed",
                str(error),
                kind="server_error",
                headers={"Retry-After": str(error.retry_after)},
            )
        case AccountOnHold():
            return ApiError(403, "account_on_hold", str(error), kind="permission_error")
        case TooManyJobs():
            return ApiError(429, "too_many_jobs", str(error), kind="rate_limit_error", headers={"Retry-After": "10"})
        case TooManyUploads():
            answer = {"Retry-After": "3600", "x-should-retry": "false"}
            return ApiError(429, "too_many_uploads", str(error), kind="rate_limit_error", headers=answer)
        case TooManyRefusals():
            # Without help from the client: an hour is longer than it waits.
            answer = {"Retry-After": "3600", "x-should-retry": "false"}
            return ApiError(429, "too_many_refusals", str(error), kind="rate_limit_error", headers=answer)
    return None


ERRORS = (
    ApiError,
    BadOrder,
    PromptRefused,
    NotEnoughCredits,
    OnBillingHold,
    SpendingLimitReached,
    BeyondPlan,
    KeyReused,
    IntakeClosed,
    AccountOnHold,
    TooManyJobs,
    TooManyRefusals,
    TooManyUploads,
)
