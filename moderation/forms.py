"""What a moderator fills in at the desk."""

from typing import Any

from django import forms

from moderation.rules import in_words, policies

NO_POLICY = "none"


def _of_policies() -> list[tuple[str, str]]:
    return [(policy.code, f"{in_words(policy.titles)} · {policy.code}") for policy in policies()]


class ReasonForm(forms.Form):
    """Why: no act at the desk goes without it."""

    reason = forms.CharField(
        label="Reason",
        min_length=3,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "What you saw, in a sentence"}),
        error_messages={"required": "Give a reason: it is kept, and the person may read it."},
    )


class SecondLookForm(forms.Form):
    """Whether what was released breaks a policy; if it does, which and why."""

    policy_code = forms.ChoiceField(label="Policy", required=False)
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "What you saw, in a sentence"}),
    )
    found = forms.ChoiceField(
        choices=[("right", "Rightly released"), ("missed", "Withdraw it")],
        error_messages={"required": "Say whether it was rightly released."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["policy_code"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "Which policy?"), *_of_policies()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("found") == "missed":
            if not cleaned.get("policy_code"):
                self.add_error("policy_code", "Name the policy that it breaks.")
            if len(cleaned.get("reason", "").strip()) < 3:
                self.add_error("reason", "Give a reason: it is kept, and the person may read it.")
        return cleaned

    @property
    def broken_policy(self) -> str:
        """The policy named; empty when it was rightly released."""
        return str(self.cleaned_data["policy_code"]) if self.cleaned_data["found"] == "missed" else ""


class DecisionForm(ReasonForm):
    """Release or refuse, under which policy, and why."""

    decision = forms.ChoiceField(
        choices=[("cleared", "Release"), ("refused", "Refuse")],
        error_messages={"required": "Choose release or refuse."},
    )
    policy_code = forms.ChoiceField(
        label="Policy",
        error_messages={"required": "Name the policy that it is about."},
    )

    field_order = ("policy_code", "reason", "decision")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["policy_code"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            ("", "Which policy?"),
            (NO_POLICY, "No policy is broken"),
            *_of_policies(),
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("decision") == "refused" and cleaned.get("policy_code") == NO_POLICY:
            self.add_error("policy_code", "A refusal names the policy that it rests on.")
        return cleaned

    @property
    def broken_policy(self) -> str:
        """The policy named; empty when none is broken."""
        code = self.cleaned_data["policy_code"]
        return "" if code == NO_POLICY else str(code)
