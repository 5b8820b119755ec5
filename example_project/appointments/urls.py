"""The addresses of appointments."""

from django.urls import path

from . import views

urlpatterns = [path("", views.BookAppointment.as_view(), name="appointments")]
