"""Booking. It starts no workflow: the saved row does."""

from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from django_ai.automation.events.models import Event
from shop.endpoints import FormEndpoint, Outcome

from .forms import AppointmentForm


class BookAppointment(FormEndpoint):
    form_class = AppointmentForm

    def act(self, form: AppointmentForm, **kwargs: Any) -> Outcome:
        form.instance.at = timezone.now() + form.cleaned_data["days"] * settings.SHOP_DAY
        appointment = form.save()
        events = Event.objects.of_entity(appointment).values_list("name", "pk")
        return Outcome(page=reverse("home"), data={"appointment": appointment.pk, "events": dict(events)})
