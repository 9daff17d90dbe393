"""What must be true at every moment, whatever died. Asked past the code that is tested, where that is possible."""

from django.conf import settings
from django.db import connection

from billing.verify import differences
from generation.models import Job, Medium
from journal import files
from journal.seal import HeadFile, seal_new_lines, verify
from moderation.models import Case


def assert_nothing_lost() -> None:
    """Every job ended, no credit was lost or minted, nothing is shown that was not cleared."""
    open_jobs = list(Job.objects.open().values_list("state", "attempts"))
    assert open_jobs == [], f"jobs that did not end: {open_jobs}"
    assert_money_is_exact()
    assert_gate_is_shut()
    assert_audit_is_whole()


def assert_money_is_exact() -> None:
    """The ledger recomputes, and each hold ended the way its medium did."""
    assert list(differences()) == []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT medium.id, medium.state, "case".state, hold.state
              FROM generation_medium medium
              JOIN generation_job job ON job.id = medium.job_id
              LEFT JOIN moderation_case "case" ON "case".id = medium.case_id
              LEFT JOIN billing_hold hold ON hold.cause = 'medium:' || medium.id
             WHERE hold.state IS DISTINCT FROM CASE
                     WHEN medium.state = 'drawn' AND "case".state IN ('cleared', 'withdrawn') THEN 'captured'
                     WHEN medium.state IN ('failed', 'cancelled') THEN 'released'
                     WHEN "case".state = 'refused' THEN 'released'
                     ELSE 'open' END
            """
        )
        assert cursor.fetchall() == [], "holds that do not fit their media"


def assert_gate_is_shut() -> None:
    """What is shown has a clearing decision over the very bytes that lie in both stores."""
    for medium in Medium.objects.shown().select_related("case"):
        case = medium.case
        assert case is not None
        decision = case.decisions.order_by("-id").first()
        assert decision is not None
        assert decision.to_state == "cleared"
        assert decision.derivative_sha256 == files.digest(files.read(files.released(), case.derivative_key))
        assert decision.original_sha256 == files.digest(files.read(files.quarantine(), medium.original_key))
    dark = Medium.objects.exclude(case__state=Case.State.CLEARED)
    assert not [medium for medium in dark.select_related("case") if medium.is_shown]


def assert_audit_is_whole() -> None:
    """The chain verifies after sealing what is new."""
    head = HeadFile(settings.AUDIT_HEAD_FILE)
    seal_new_lines(head)
    assert [f"{finding.place} {finding.what}" for finding in verify(head)] == []
