"""The forms of what a person does to a run: a reason, a signal's fields, a context's fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from django import forms
from django.core.exceptions import ValidationError
from pydantic import BaseModel
from pydantic import ValidationError as Misfit
from pydantic.fields import FieldInfo

from ..exceptions import ContextInvalid
from ..machine import context as contexts
from ..machine.commands import WaitKind
from ..masking import context_class_of, sensitive_fields
from ..models import WorkflowRun

PREFIX = "context_"

# A text longer than this has several lines to be edited in.
LONG_TEXT = 80


class ConfirmForm(forms.Form):
    """Asks nothing but whether."""

    def __init__(self, *args: Any, run: WorkflowRun, **kwargs: Any) -> None:
        self.run = run
        super().__init__(*args, **kwargs)


class ReasonForm(ConfirmForm):
    """Asks why; the reason is kept with the run."""

    reason = forms.CharField(max_length=500, required=False, help_text="Kept with the run, for those who ask later.")


class RestartForm(ConfirmForm):
    """Says from where."""

    sequence = forms.IntegerField(min_value=0, widget=forms.HiddenInput)


class ContextForm(ConfirmForm):
    """A field for each field of the run's Context; what is no text is written as JSON."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context_class = context_class_of(self.run.name, self.run.version)
        secret = sensitive_fields(self.context_class) if self.context_class else set()
        for key, field in self._declared():
            self.fields[PREFIX + key] = _form_field(key, field, self.initial_of(key), is_secret=key in secret)

    def initial_of(self, key: str) -> Any:
        """Return what a field shows at first; None shows nothing."""
        return None

    def _declared(self) -> Iterator[tuple[str, FieldInfo]]:
        if self.context_class is not None:
            for name, field in self.context_class.model_fields.items():
                yield field.alias or name, field

    def context_fields(self) -> dict[str, Any]:
        """Return the fields of the context that were filled in anew, as the engine takes them."""
        return {name.removeprefix(PREFIX): self.cleaned_data[name] for name in self._given()}

    def _given(self) -> list[str]:
        return [name for name in self.changed_data if name.startswith(PREFIX) and name in self.cleaned_data]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.context_class is not None and not self.errors:
            self._check(self.context_class, self.context_fields())
        return cleaned

    def _check(self, context_class: type[BaseModel], fields: Mapping[str, Any]) -> None:
        try:
            contexts.load(context_class, {**self.run.data, **fields})
        except ContextInvalid as error:
            faults = error.__cause__.errors() if isinstance(error.__cause__, Misfit) else []
            for fault in faults:
                name = PREFIX + str(fault["loc"][0]) if fault["loc"] else None
                self.add_error(name if name in self.fields else None, fault["msg"])


class EditForm(ContextForm):
    """The context as it is, to be mended."""

    def initial_of(self, key: str) -> Any:
        return self.run.data.get(key)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors and not self.context_fields():
            raise ValidationError("Nothing was changed.")
        return cleaned


class SignalForm(ContextForm):
    """A signal's name, and the fields that it brings; those left empty are not sent."""

    name = forms.CharField(max_length=200, help_text="What the run waits for, or will wait for.")
    field_order = ("name",)

    def __init__(self, *args: Any, run: WorkflowRun, **kwargs: Any) -> None:
        wait = run.waits_for
        if wait is not None and wait.kind == WaitKind.SIGNAL:
            kwargs["initial"] = {"name": wait.name, **(kwargs.get("initial") or {})}
        super().__init__(*args, run=run, **kwargs)


class JsonInput(forms.CharField):
    """A value written as JSON; what is none is taken as a text, such as a date."""

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            return json.loads(text) if text else None
        except ValueError:
            return text

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data) and self.to_python(data) != initial


def _form_field(key: str, field: FieldInfo, initial: Any, *, is_secret: bool) -> forms.Field:
    about: dict[str, Any] = {"label": key.replace("_", " "), "required": False, "help_text": field.description or ""}
    if is_secret:
        secret = forms.PasswordInput(attrs={"autocomplete": "off"})
        about["help_text"] = "Kept secret. Leave it empty to keep it as it is."
        return forms.CharField(widget=secret, **about)
    if field.annotation is bool and initial is not None:
        return forms.TypedChoiceField(
            choices=[("true", "Yes"), ("false", "No")],
            coerce=lambda text: text == "true",
            initial=json.dumps(initial),
            **about,
        )
    if field.annotation is str:
        return forms.CharField(strip=False, initial=initial, widget=_widget(initial), **about)
    hint = f"{_type_name(field.annotation)} as JSON" if _is_compound(initial, field) else _type_name(field.annotation)
    return JsonInput(initial=initial, widget=_widget(initial), **{**about, "help_text": about["help_text"] or hint})


def _widget(initial: Any) -> forms.Widget:
    text = initial if isinstance(initial, str) else json.dumps(initial, ensure_ascii=False)
    if len(text) > LONG_TEXT or "\n" in text:
        return forms.Textarea(attrs={"rows": min(12, 2 + len(text) // LONG_TEXT), "class": "vLargeTextField"})
    return forms.TextInput(attrs={"class": "vTextField"})


def _is_compound(initial: Any, field: FieldInfo) -> bool:
    return isinstance(initial, dict | list) or bool(get_args(field.annotation))


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
