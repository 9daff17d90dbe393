from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from accounts.roles import write_roles
from journal.models import Line


class Command(BaseCommand):
    """Migrate as the owner and grant the application role what it needs. Safe to run again."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", database="owner", interactive=False, verbosity=options["verbosity"])
        call_command("createcachetable", database="owner", verbosity=0)
        role = connections["default"].settings_dict["USER"]
        owner = connections["owner"]
        name = owner.ops.quote_name(role)
        append_only = {
            model._meta.db_table
            for model in apps.get_models()
            if any(trigger.name == "no_update" for trigger in getattr(model._meta, "triggers", []))
        }
        with owner.cursor() as cursor:
            cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
            for (table,) in cursor.fetchall():
                quoted = owner.ops.quote_name(table)
                cursor.execute(f"REVOKE ALL ON {quoted} FROM {name}, PUBLIC")
                if table == "django_migrations":
                    granted = "SELECT"
                elif table in append_only or table == Line._meta.db_table:
                    granted = "SELECT, INSERT"
                else:
                    granted = "SELECT, INSERT, UPDATE, DELETE"
                cursor.execute(f"GRANT {granted} ON {quoted} TO {name}")
            # The sealer numbers the lines; a trigger lets it do so once, and touch nothing else.
            cursor.execute(f"GRANT UPDATE (seq) ON {Line._meta.db_table} TO {name}")
            cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}")
        write_roles()
        self.stdout.write(f"Database {owner.settings_dict['NAME']} is migrated; {role} may use it.")
