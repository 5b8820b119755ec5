"""A shipment that belongs to no order."""

from django import forms


class ShipmentForm(forms.Form):
    reference = forms.CharField(max_length=100)
    recipient = forms.CharField(max_length=100)
