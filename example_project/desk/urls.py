"""The addresses of the desk."""

from django.urls import path

from . import views

urlpatterns = [
    path("onboardings/", views.StartOnboarding.as_view(), name="onboardings"),
    path("expenses/", views.StartExpense.as_view(), name="expenses"),
    path("<int:run_id>/", views.run_page, name="desk"),
    path("<int:run_id>/mail/", views.mail_page, name="ownership_mail"),
    path("<int:run_id>/mail/confirm/", views.ConfirmOwnership.as_view(), name="confirm_ownership"),
]
