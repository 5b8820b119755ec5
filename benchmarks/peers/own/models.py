"""The rows that each step of the workload "orm" writes, as a step of a user's project does."""

from __future__ import annotations

from django.db import models
from django.db.models import F


class Account(models.Model):
    """One row for each run, which each of its steps updates."""

    key = models.CharField(max_length=40, unique=True)
    total = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.key}: {self.total}"


class Entry(models.Model):
    """One row for each step."""

    account_key = models.CharField(max_length=40)
    amount = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.account_key}: {self.amount}"


def open_account(key: str) -> None:
    """Insert the row that the steps of this run update."""
    Account.objects.create(key=key)


def book(key: str, amount: int) -> None:
    """Insert one row and update one: the work of one step."""
    Entry.objects.create(account_key=key, amount=amount)
    Account.objects.filter(key=key).update(total=F("total") + amount)
