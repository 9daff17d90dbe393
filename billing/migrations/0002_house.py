from django.db import migrations

# The ids of billing.models.House.
HOUSE = (-1, -2, -3)


def open_accounts(apps, schema_editor):
    """Open the house's accounts. Safe to run again."""
    account = apps.get_model("billing", "Account")
    account.objects.using(schema_editor.connection.alias).bulk_create(
        (account(id=pk, kind="house") for pk in HOUSE), ignore_conflicts=True
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_first")]

    operations = [migrations.RunPython(open_accounts, migrations.RunPython.noop)]
