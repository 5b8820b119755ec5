"""The addresses of the shop; each POST takes JSON or an HTML form."""

from django.contrib import admin
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("runs/", views.run_list, name="runs"),
    path("runs/<int:run_id>/", views.run_detail, name="run"),
    path("orders/", include("orders.urls")),
    path("payments/", include("payment.urls")),
    path("shipments/", include("shipment.urls")),
    path("reminders/", include("reminders.urls")),
    path("appointments/", include("appointments.urls")),
    path("registrations/", include("registration.urls")),
    path("desk/", include("desk.urls")),
    path("statezero/", include("django_ai.automation.workflows.urls")),
    path("ops/", include("django_ai.automation.workflows.monitoring.urls")),
    path("admin/", admin.site.urls),
]
