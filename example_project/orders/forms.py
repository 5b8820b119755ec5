"""Placing an order, and the manager's word on it."""

from django import forms

from .models import Order


class OrderForm(forms.ModelForm):
    class Meta:
        model = Order
        fields = ["customer", "product", "quantity", "card"]

    def clean_quantity(self) -> int:
        quantity: int = self.cleaned_data["quantity"]
        if not quantity:
            raise forms.ValidationError("Order at least one.")
        return quantity


class ApprovalForm(forms.Form):
    approved = forms.BooleanField(required=False)
    reason = forms.CharField(required=False, max_length=200)
