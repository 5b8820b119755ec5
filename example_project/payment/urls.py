"""The addresses of payments."""

from django.urls import path

from . import views

urlpatterns = [path("", views.TakePayment.as_view(), name="payments")]
