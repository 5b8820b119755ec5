"""What every endpoint of the shop is made of: a Django form, posted by a page or as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt, csrf_protect


@dataclass(frozen=True)
class Outcome:
    """What an endpoint did: data for a program, and the page where a person sees it."""

    page: str
    data: Mapping[str, Any] = field(default_factory=dict)
    status: int = 201


# A page of another site cannot post JSON, so only forms need the CSRF token.
@method_decorator(csrf_exempt, name="dispatch")
class FormEndpoint(View):
    """Validates what was posted with `form_class` and hands it to `act`."""

    form_class: type[forms.Form] | type[forms.ModelForm] = forms.Form
    http_method_names = ["post"]

    def act(self, form: Any, **kwargs: Any) -> Outcome:
        raise NotImplementedError

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        if request.content_type == "application/json":
            return self.post_json(request, **kwargs)
        return csrf_protect(self.post_page)(request, **kwargs)

    def post_json(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            data = json.loads(request.body or b"{}")
            json.dumps(data, ensure_ascii=False).encode()  # which half of a surrogate pair fails
        except (ValueError, RecursionError) as error:
            return JsonResponse({"errors": {"__all__": f"The body is not JSON: {error}"}}, status=400)
        form = self.form_class(data if isinstance(data, dict) else {})
        if not form.is_valid():
            return JsonResponse({"errors": form.errors.get_json_data()}, status=400)
        outcome = self.act(form, **kwargs)
        return JsonResponse({**outcome.data, "page": outcome.page}, status=outcome.status)

    def post_page(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = self.form_class(request.POST)
        if not form.is_valid():
            return render(request, "shop/invalid.html", {"form": form}, status=400)
        return redirect(self.act(form, **kwargs).page)
