"""The addresses of registrations."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.Register.as_view(), name="registrations"),
    path("verify/<str:token>/", views.verify_page, name="verify_email"),
    path("verify/<str:token>/click/", views.Verify.as_view(), name="click_link"),
]
