"""An OpenAPI document of the example shop's endpoints, made of what its forms say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Schema = dict[str, Any]

# What the shop's own endpoints take, as their Django forms declare it.
TEXT = {"type": "string"}
SHOP: dict[str, Mapping[str, Schema]] = {
    "/orders/": {"customer": TEXT, "product": {"type": "integer"}, "quantity": {"type": "integer"}, "card": TEXT},
    "/payments/": {"reference": TEXT, "amount": {"type": "number"}, "card": TEXT},
    "/shipments/": {"reference": TEXT, "recipient": TEXT},
    "/reminders/": {"email": TEXT, "item": TEXT},
    "/appointments/": {"customer": TEXT, "email": TEXT, "days": {"type": "integer"}},
    "/registrations/": {"name": TEXT, "email": TEXT},
    "/orders/{id}/approval/": {"approved": {"type": "boolean"}, "reason": TEXT},
    "/desk/{id}/mail/confirm/": {},
}
# Not health, which says 503 while there is no worker.
READ = (
    "/statezero/runs/{id}/",
    "/statezero/runs/{id}/form/",
    "/runs/{id}/",
    "/desk/{id}/",
    "/ops/metrics/",
)

_LIMITS = {"max_length": "maxLength", "min_length": "minLength", "max_value": "maximum", "min_value": "minimum"}


def document(forms: Iterable[Mapping[str, Any]], run_ids: list[int]) -> Schema:
    """Return the document.

    Args:
        forms: descriptions of forms, as ``actions/<name>/`` answers them.
        run_ids: runs that wait for one of the forms, so that some posts get beyond the question for the run.
    """
    number = {"anyOf": [{"enum": run_ids}, {"type": "integer"}]}
    paths: dict[str, Schema] = {}
    for form in forms:
        fields = {name: _field(field) for name, field in form["fields"].items()}
        required = ["workflow_run_id", *(name for name, field in form["fields"].items() if field["required"])]
        path = f"/statezero/actions/{form['action_name']}/"
        paths[path] = {"get": _read([]), "post": _post({"workflow_run_id": number, **fields}, required, path)}
    for path in READ:
        paths[path] = {"get": _read(_parameters(path, number))}
    for path, shop_fields in SHOP.items():
        paths.setdefault(path, {})["post"] = _post(dict(shop_fields), list(shop_fields), path, number)
    return {"openapi": "3.1.0", "info": {"title": "The shop", "version": "1"}, "paths": paths}


def _field(field: Mapping[str, Any]) -> Schema:
    described: Schema = {"type": [field["type"], "null"] if field["nullable"] else field["type"]}
    if field["choices"] and field["type"] != "array":
        return {"enum": [choice["value"] for choice in field["choices"]]}
    if field["format"] in ("email", "uri", "uuid", "date", "time", "date-time"):
        described["format"] = field["format"]
    return described | {said: field[known] for known, said in _LIMITS.items() if field.get(known) is not None}


def _read(parameters: list[Schema]) -> Schema:
    return {"parameters": parameters, "responses": {"200": {"description": "What there is."}}}


def _post(fields: Mapping[str, Schema], required: list[str], path: str, number: Schema | None = None) -> Schema:
    body = {"type": "object", "properties": dict(fields), "required": required}
    kinds = ["application/json"]
    if path.startswith("/statezero/"):
        kinds += ["application/x-www-form-urlencoded", "multipart/form-data"]
    return {
        **_read(_parameters(path, number or {})),
        "requestBody": {"required": True, "content": {kind: {"schema": body} for kind in kinds}},
    }


def _parameters(path: str, number: Schema) -> list[Schema]:
    return [{"name": "id", "in": "path", "required": True, "schema": number}] if "{id}" in path else []
