"""The addresses of orders."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.PlaceOrder.as_view(), name="orders"),
    path("<int:order_id>/", views.order_page, name="order"),
    path("<int:order_id>/approval/", views.Approve.as_view(), name="approve_order"),
]
