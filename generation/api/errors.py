"""Errors in the shape that OpenAI's clients read."""

from collections.abc import Mapping
from typing import Any

from django.http import JsonResponse

from billing.ledger import NotEnoughCredits
from generation.actions.jobs import AccountOnHold, IntakeClosed, PromptRefused, TooManyJobs
from generation.offer import BadOrder
from journal.idempotency import KeyReused


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
                vaglio={"field": error.field, "policy": error.policy_code, "words": list(error.words)},
            )
        case NotEnoughCredits():
            return ApiError(402, "insufficient_credits", str(error), kind="insufficient_quota")
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
    return None


ERRORS = (ApiError, BadOrder, PromptRefused, NotEnoughCredits, KeyReused, IntakeClosed, AccountOnHold, TooManyJobs)
