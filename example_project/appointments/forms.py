"""An appointment that a customer books."""

from django import forms

from .models import Appointment


class AppointmentForm(forms.ModelForm):
    days = forms.IntegerField(min_value=1, max_value=60, initial=2, label="In how many days")

    class Meta:
        model = Appointment
        fields = ["customer", "email"]
