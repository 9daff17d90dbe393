"""What the fake answers when it refuses: Stripe's error envelope."""

from typing import Any


class StripeError(Exception):
    """A refusal in Stripe's shape. `type` and `code` are what callers match on; the sentence is for people."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.fields: dict[str, Any] = {"type": type, "message": message}
        if code is not None:
            self.fields["code"] = code
        if param is not None:
            self.fields["param"] = param
        self.fields.update({name: value for name, value in more.items() if value is not None})

    @property
    def code(self) -> str | None:
        """The machine's word for it, or None where Stripe has none."""
        found = self.fields.get("code")
        return found if isinstance(found, str) else None

    def body(self) -> dict[str, Any]:
        """The JSON that goes out."""
        return {"error": self.fields}


def missing(noun: str, key: str, *, param: str = "id", status: int = 404) -> StripeError:
    """Say that there is no such object. In the address it is a 404, in a parameter a 400."""
    return StripeError(f"No such {noun}: '{key}'", status=status, code="resource_missing", param=param)
