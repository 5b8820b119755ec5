"""The addresses of shipments."""

from django.urls import path

from . import views

urlpatterns = [path("", views.Ship.as_view(), name="shipments")]
