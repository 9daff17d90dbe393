"""One picture, in all eight ways, looked up among 1,000 to 1,000,000 hashes. Target: at most five times the first."""

import os

from benchmarks.world import line, select_one, times, world

SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 60


def fill(number: int) -> None:
    """So many hashes of no picture in the list. An import writes their words by a trigger; here they come in one go."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE moderation_blockedpicture DISABLE TRIGGER USER")
        cursor.execute("SELECT coalesce(max(id), 0) FROM moderation_blockedpicture")
        (last,) = cursor.fetchone()
        cursor.execute(
            """
            INSERT INTO moderation_blockedpicture (digits, source, reference, policy_code, added_with_id, added_at,
                                                   retired_by, retired_reason)
            SELECT encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'hex'), 'bench', '', 'weapon',
                   (SELECT min(id) FROM moderation_listchange), now(), '', ''
              FROM generate_series(1, %s)
            """,
            [number - _number()],
        )
        cursor.execute("ALTER TABLE moderation_blockedpicture ENABLE TRIGGER USER")
        cursor.execute("ALTER TABLE moderation_blockedword DROP CONSTRAINT moderation_blockedword_pkey")
        cursor.execute(
            """
            INSERT INTO moderation_blockedword
            SELECT half.word, half.other, picture.id
              FROM moderation_blockedpicture picture, moderation_halves(picture.digits) half WHERE picture.id > %s
            """,
            [last],
        )
        cursor.execute("ALTER TABLE moderation_blockedword ADD PRIMARY KEY (word, other, picture_id)")
        # As autovacuum does after an import: an index is read alone only where rows are known to be seen by all.
        cursor.execute("VACUUM ANALYZE moderation_blockedword")
        cursor.execute("VACUUM ANALYZE moderation_blockedpicture")


def _number() -> int:
    from moderation.models import BlockedPicture

    return BlockedPicture.objects.count()


def asked() -> list[str]:
    """Eight hashes that nothing is near to."""
    return [os.urandom(32).hex() for _ in range(8)]


def main() -> None:
    with world(durable=False):
        from django.db import connections

        from moderation.known import near
        from moderation.models import ListChange

        ListChange.objects.create(act="import", source="bench", hashes=0, digest="", by="bench")
        least = times(select_one, 300)
        line("SELECT 1", least, least)
        first: list[float] = []
        for number in SIZES:
            taken = times(lambda number=number: fill(number), 1)  # type: ignore[misc]
            print(f"{number:,} hashes are there; the last of them took {taken[0]:.1f} s", flush=True)
            times(lambda: near(asked()), 5)
            found = times(lambda: near(asked()), ROUNDS)
            first = first or found
            line(f"a picture among {number:,}", found, first, target="target x5")
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "SELECT pg_total_relation_size('moderation_blockedword') + "
                "pg_total_relation_size('moderation_blockedpicture')"
            )
            print(f"{cursor.fetchone()[0] / SIZES[-1]:,.0f} bytes for each hash, indexes and all")


if __name__ == "__main__":
    main()
