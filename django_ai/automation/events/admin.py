"""Events in the admin: what is to come and when, what occurred, what failed and why."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..parameters import CheckedParameters
from . import by_hand, consequences
from .models import Event, EventQuerySet
from .registry import definitions_of, model_named, origins
from .statuses import EventStatus
from .subscriptions import subscriptions

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Event]
else:
    Base = admin.ModelAdmin


_WHAT = ("name", "entity_link", "correlation", "payload")
_WHEN = ("status", "at", "occurred_at", "next_due_at", "armed_at", "created_at")
_OUTCOME = ("led_to", "calls", "note")


class NameFilter(admin.SimpleListFilter):
    """The names that models declare or handlers know, without asking a million rows for theirs."""

    title = "event"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        declared = {item.name for model in origins().values() for item in definitions_of(model)}
        wanted = {item.event for item in subscriptions if item.event}
        return [(name, name) for name in sorted(declared | wanted)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(name=self.value()) if self.value() else queryset


class FailureFilter(admin.SimpleListFilter):
    """Events that need a person."""

    title = "failures"
    parameter_name = "failed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("any", "With failures"), ("handlers", "A handler failed"), ("declaration", "Could not be evaluated")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        match self.value():
            case "any":
                return queryset & Event.objects.failed()
            case "handlers":
                return queryset.filter(failures__gt=0)
            case "declaration":
                return queryset.filter(status=EventStatus.FAILED)
            case _:
                return queryset


@admin.register(Event)
class EventAdmin(CheckedParameters, Base):
    """Shows events; they are changed by their entities, and cancelled or repeated by a person."""

    list_display = ("name", "entity_link", "at", "status", "next_due_at", "occurred_at", "correlation", "failures")
    list_filter = ("status", FailureFilter, NameFilter, "at")
    lookups = ("status__exact", "at__gte", "at__lt", "at__isnull")
    search_fields = ("name", "=entity_id", "=correlation")
    ordering = ("-id",)
    show_full_result_count = False  # counting a million rows would take longer than showing a page
    actions = ("cancel", "retry")
    fieldsets = (
        (None, {"fields": _WHAT}),
        ("Time", {"fields": _WHEN}),
        ("What followed", {"fields": _OUTCOME}),
    )

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the parameters of the filters, with moments that every database and time zone has."""
        if lookup in ("at__gte", "at__lt") and not _is_moment(value):
            return False
        return super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Event | None:
        """Return the event of a page, which remembers for whom it is shown."""
        event: Any = super().get_object(request, object_id, from_field)
        if event is not None:
            event.shown_to = request
        return cast("Event | None", event)

    def get_readonly_fields(self, request: HttpRequest, obj: Event | None = None) -> tuple[str, ...]:
        return (*_WHAT, *_WHEN, *_OUTCOME)

    @admin.display(description="entity", ordering="entity_id")
    def entity_link(self, event: Event) -> str | SafeString | None:
        """The entity, with a link where the admin has a page for it."""
        if not event.entity_type:
            return None
        text = f"{event.entity_type} #{event.entity_id}"
        model = model_named(event.entity_type)
        if model is None:
            return text
        try:
            address = reverse(
                f"{self.admin_site.name}:{model._meta.app_label}_{model._meta.model_name}_change",
                args=[event.entity_id],
            )
        except NoReverseMatch:
            return text
        return format_html('<a href="{}">{}</a>', address, text)

    @admin.display(description="data")
    def payload(self, event: Event) -> str:
        """Return the event's data as JSON, with the secrets that apps know of masked."""
        return json.dumps(consequences.masked(event), ensure_ascii=False, cls=DjangoJSONEncoder)

    @admin.display(description="led to")
    def led_to(self, event: Event) -> str | SafeString | None:
        """What apps that react to events say of this one."""
        found = consequences.of(event, getattr(event, "shown_to", None))
        links = [(format_html('<a href="{}">{}</a>', address, text) if address else text,) for text, address in found]
        return format_html_join(", ", "{}", links) or None

    @admin.display(description="calls")
    def calls(self, event: Event) -> str | SafeString | None:
        """What became of each subscription."""
        clear = consequences.redactor_of(event)
        lines = [(key, item["state"], clear(item.get("error", ""))) for key, item in sorted(event.deliveries.items())]
        return format_html_join("", "<p><strong>{}</strong>: {} {}</p>", lines) or None

    @admin.action(description="Cancel what is still to come of selected events", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: EventQuerySet) -> None:
        count = by_hand.cancel(queryset, f"Cancelled by {request.user}.")
        self.message_user(request, f"{count} events cancelled.", messages.SUCCESS)

    @admin.action(description="Retry what failed of selected events", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: EventQuerySet) -> None:
        count = by_hand.retry(queryset)
        self.message_user(request, f"{count} events are repeated.", messages.SUCCESS)


def _is_moment(text: str) -> bool:
    try:
        moment = parse_datetime(text) or parse_date(text)
    except ValueError:
        return False
    return moment is not None and date.min.year < moment.year < date.max.year
