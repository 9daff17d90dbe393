"""Sums of whole days, so that the console reads hundreds of rows and not millions."""

from typing import ClassVar

from django.db import models


class Tally(models.Model):
    """One sum of one day (UTC). Today's and yesterday's are counted again and again, older ones stay."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    # "spent", "granted", "revenue", "liability", ... as billing/console/tallies.py names them.
    name = models.CharField(max_length=32)
    # What it is split by: a source, a model, a currency; empty where it is not.
    label = models.CharField(max_length=64, blank=True, default="")
    value = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name", "day", "label"], name="tally_once")]
