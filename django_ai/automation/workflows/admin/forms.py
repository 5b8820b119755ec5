"""The forms of what a person does to a run: a reason, a signal's fields, a context's fields."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ...parameters import is_storable
from ..exceptions import ContextInvalid, SignalRejected
from ..machine import context as contexts
from ..machine.commands import WaitKind
from ..machine.keys import all_keys, key_of, stored, stored_fields
from ..machine.payloads import fields_of
from ..machine.secret_places import Place, masked, places_of
from ..machine.storing import store
from ..masking import context_class_of, unmasked
from ..models import WorkflowRun
from ..runtime import by_hand, signalling

PREFIX = "context_"

UNSTORABLE = (
    "No database can keep this value: it is nested too deeply, or has NUL, half of a surrogate pair, NaN or infinity"
    " in it."
)

# The largest number of a run's move.
LARGEST_SEQUENCE = 2**31 - 1

# A text longer than this has several lines to be edited in.
LONG_TEXT = 80


class ConfirmForm(forms.Form):
    """Asks nothing but whether."""

    # The fields that a link may fill in. None shows a value of the run: a link must not reveal one.
    linked: tuple[str, ...] = ()

    def __init__(self, *args: Any, run: WorkflowRun, **kwargs: Any) -> None:
        self.run = run
        super().__init__(*args, **kwargs)

    @classmethod
    def from_link(cls, parameters: QueryDict) -> dict[str, Any]:
        """Return the initial values that a link gives."""
        return {name: parameters[name] for name in cls.linked if name in parameters}


class ReasonForm(ConfirmForm):
    """Asks why; the reason is kept with the run."""

    reason = forms.CharField(max_length=500, required=False, help_text="Kept with the run, for those who ask later.")


class ForceForm(ConfirmForm):
    """Says why the run is not retried without force, and asks for a second confirmation."""

    repeat = forms.BooleanField(label="Repeat it nevertheless")

    def __init__(self, *args: Any, run: WorkflowRun, **kwargs: Any) -> None:
        super().__init__(*args, run=run, **kwargs)
        self.fields["repeat"].help_text = by_hand.against_retry(run)


class RestartForm(ConfirmForm):
    """Says from where."""

    linked = ("sequence",)
    sequence = forms.IntegerField(min_value=0, max_value=LARGEST_SEQUENCE, widget=forms.HiddenInput)


class ContextForm(ConfirmForm):
    """A field for each field of the run's Context; what is no text is written as JSON."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context_class = context_class_of(self.run.name, self.run.version)
        self.place = places_of(self.context_class)
        for key, field in self._declared():
            self.fields[PREFIX + key] = self.field_of(key, field)

    def field_of(self, key: str, field: FieldInfo) -> forms.Field:
        """Return the form's field for a field of the Context."""
        return _form_field(key, field, self.initial_of(key), self.place.key(key))

    def initial_of(self, key: str) -> Any:
        """Return what a field shows at first; None shows nothing."""
        return None

    def stored(self, key: str) -> Any:
        """Return the stored value of which a field shows the initial, masked one."""
        return None

    def _declared(self) -> Iterator[tuple[str, FieldInfo]]:
        if self.context_class is not None:
            for name, field in self.context_class.model_fields.items():
                yield key_of(self.context_class, name), field

    def context_fields(self) -> dict[str, Any]:
        """Return the fields of the context that were filled in anew, as the engine takes them."""
        return {name.removeprefix(PREFIX): self.cleaned_data[name] for name in self._given()}

    def _given(self) -> list[str]:
        return [name for name in self.changed_data if name.startswith(PREFIX) and name in self.cleaned_data]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self._unmask()
        if self.context_class is not None and not self.errors:
            self._check(self.context_class, self.context_fields())
        return cleaned

    def _unmask(self) -> None:
        """Put the secrets back that were left masked."""
        for name in self._given():
            key = name.removeprefix(PREFIX)
            try:
                self.cleaned_data[name] = unmasked(self.cleaned_data[name], self.initial_of(key), self.stored(key))
            except ValueError as error:
                self.add_error(name, str(error))

    def _check(self, context_class: type[BaseModel], fields: Mapping[str, Any]) -> None:
        try:
            store(contexts.edited(context_class, self.run.data, fields))
        except ContextInvalid as error:
            self._tell(error)

    def _tell(self, error: ContextInvalid | SignalRejected) -> None:
        keys = dict(_keys(self.context_class)) if self.context_class else {}
        for field, reason in error.faults or [("", str(error))]:
            name = field.partition(".")[0]
            shown = next((key for key in (PREFIX + keys.get(name, ""), PREFIX + name) if key in self.fields), None)
            self.add_error(shown, reason)


def _keys(context_class: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield every key that a field may have in data or in an error, with the key under which it is stored."""
    for name, field in context_class.model_fields.items():
        yield from ((key, key_of(context_class, name)) for key in all_keys(name, field))


class EditForm(ContextForm):
    """The context as it is, to be mended."""

    def initial_of(self, key: str) -> Any:
        return masked(self.place.key(key), self.stored(key))

    def stored(self, key: str) -> Any:
        if self.context_class is None:
            return None
        return stored(self.context_class, stored_fields(self.context_class, self.run.data)).get(key)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors and not self.context_fields():
            raise ValidationError("Nothing was changed.")
        return cleaned


class SignalForm(ContextForm):
    """A signal's name, and the fields that it brings; those left empty are not sent."""

    name = forms.CharField(max_length=200, help_text="What the run waits for, or will wait for.")
    key = forms.CharField(
        max_length=200,
        required=False,
        label="idempotency key",
        help_text="Of all signals with the same key the run gets one, however often it is sent.",
    )
    only_if_waiting = forms.BooleanField(
        required=False,
        label="only if it waits now",
        help_text="Otherwise the signal is kept until the run waits for it.",
    )

    def __init__(self, data: Any = None, *args: Any, run: WorkflowRun, **kwargs: Any) -> None:
        wait = run.waits_for
        waited = wait.name if wait is not None and wait.kind == WaitKind.SIGNAL else ""
        self.signal = data.get("name", "") if data is not None else waited
        self.accepts = signalling.accepts_of(run, self.signal)
        self.names: dict[str, str] = {}
        kwargs["initial"] = {"name": waited}
        super().__init__(data, *args, run=run, **kwargs)
        known = signalling.names_of(run)
        if known is not None:
            names = [(name, name) for name in sorted(known)]
            self.fields["name"] = forms.ChoiceField(choices=names, help_text=self.fields["name"].help_text)
        fields = [name for name in self.fields if name.startswith(PREFIX)]
        self.order_fields(["name", *fields, "key", "only_if_waiting"])

    def _declared(self) -> Iterator[tuple[str, FieldInfo]]:
        if self.accepts is None or self.accepts.keys is None:
            yield from super()._declared()
        elif self.context_class is not None:
            accepted = fields_of(self.accepts, self.context_class)
            self.names = {key: name for key, (name, _) in accepted.items()}
            yield from ((key, field) for key, (_, field) in accepted.items())

    def field_of(self, key: str, field: FieldInfo) -> forms.Field:
        name = self.names.get(key)
        if self.accepts is None or name is None:
            return super().field_of(key, field)
        of_context = self.place.key(name)
        of_model = places_of(self.accepts.model).key(key) if self.accepts.model else of_context
        made = _form_field(key, field, None, of_model if of_model.is_secret else of_context)
        made.required = name in self.accepts.required
        return made

    def _check(self, context_class: type[BaseModel], fields: Mapping[str, Any]) -> None:
        try:
            signalling.check_payload(self.run, self.signal, fields)
        except (ContextInvalid, SignalRejected) as error:
            self._tell(error)


class JsonInput(forms.CharField):
    """A value written as JSON; what is none is taken as a text, such as a date."""

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            read = json.loads(text) if text else None
        except RecursionError:
            read = math.nan
        except ValueError:
            return text
        if not is_storable(read):
            raise ValidationError(UNSTORABLE)
        return read

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(data) and self.to_python(data) != initial
        except ValidationError:
            return True


def _form_field(key: str, field: FieldInfo, initial: Any, place: Place) -> forms.Field:
    about: dict[str, Any] = {"label": key.replace("_", " "), "required": False, "help_text": field.description or ""}
    if place.is_secret:
        secret = forms.PasswordInput(attrs={"autocomplete": "off"})
        about["help_text"] = "Kept secret. Leave it empty to keep it as it is."
        kind = forms.CharField if place.takes_text else JsonInput
        return kind(widget=secret, **about)
    if field.annotation is bool:
        unknown = [("", "---------")] if initial is None else []
        return forms.TypedChoiceField(
            choices=[*unknown, ("true", "Yes"), ("false", "No")],
            coerce=lambda text: text == "true",
            empty_value=None,
            initial=None if initial is None else json.dumps(initial),
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
