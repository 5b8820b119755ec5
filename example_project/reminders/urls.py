"""The addresses of carts."""

from django.urls import path

from . import views

urlpatterns = [path("", views.LeaveCart.as_view(), name="reminders")]
