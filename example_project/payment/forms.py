"""A payment that belongs to no order."""

from django import forms

from .gateway import CARDS


class PaymentForm(forms.Form):
    reference = forms.CharField(max_length=100)
    amount = forms.DecimalField(max_digits=10, decimal_places=2, min_value=0)
    card = forms.ChoiceField(choices=CARDS)
