"""A serializer made of the type hints of a step's function."""

from __future__ import annotations

import datetime as dt
import inspect
import types
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pydantic
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Model
from rest_framework import serializers

from ..authoring.actions import OFFERED
from ..exceptions import DeclarationError

Field = serializers.Field[Any, Any, Any, Any]

_PLAIN: dict[Any, Callable[..., Field]] = {
    str: serializers.CharField,
    int: serializers.IntegerField,
    float: serializers.FloatField,
    bool: serializers.BooleanField,
    Decimal: lambda **options: serializers.DecimalField(max_digits=None, decimal_places=None, **options),
    dt.date: serializers.DateField,
    dt.datetime: serializers.DateTimeField,
    dt.time: serializers.TimeField,
    dt.timedelta: serializers.DurationField,
    uuid.UUID: serializers.UUIDField,
    UploadedFile: serializers.FileField,
    pydantic.EmailStr: serializers.EmailField,
    pydantic.HttpUrl: serializers.URLField,
    Any: serializers.JSONField,
    dict: serializers.DictField,
    list: serializers.ListField,
}


class EnumField(serializers.ChoiceField):
    """A choice that the step receives as a member of its Enum."""

    def __init__(self, enum: type[Enum], **options: Any) -> None:
        self.enum = enum
        super().__init__(choices=[(member.value, _label(member)) for member in enum], **options)

    def to_internal_value(self, data: Any) -> Any:
        return self.enum(super().to_internal_value(data))

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(value.value if isinstance(value, Enum) else value)


def _label(member: Enum) -> str:
    return str(getattr(member, "label", member.name.replace("_", " ").capitalize()))


class PydanticField(serializers.JSONField):
    """An object that the step receives as a pydantic model."""

    def __init__(self, model: type[pydantic.BaseModel], **options: Any) -> None:
        self.model = model
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return self.model.model_validate(super().to_internal_value(data))
        except pydantic.ValidationError as error:
            reasons = {".".join(map(str, item["loc"])) or "detail": [item["msg"]] for item in error.errors()}
            raise serializers.ValidationError(reasons) from error

    def to_representation(self, value: Any) -> Any:
        return value.model_dump(mode="json") if isinstance(value, pydantic.BaseModel) else value


def serializer_of(function: Callable[..., Any]) -> type[serializers.Serializer[Any]]:
    """Return a serializer class with a field for each parameter of a step's function.

    Raises:
        DeclarationError: a parameter has no type hint, or one that no field is known for.
    """
    parameters = list(inspect.signature(function).parameters.values())[1:]
    hints = _hints(function)
    fields = {
        parameter.name: _of_parameter(function, parameter, hints)
        for parameter in parameters
        if parameter.name not in OFFERED and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    name = "".join(part.capitalize() for part in function.__name__.split("_")) + "Serializer"
    return type(name, (serializers.Serializer,), {**fields, "__module__": function.__module__})


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DeclarationError(
            f"{function.__qualname__}: a type hint cannot be resolved ({error}). Import its type at the top"
            " of the module, or give @statezero_action a serializer."
        ) from error


def _of_parameter(function: Callable[..., Any], parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Field:
    options: dict[str, Any] = {}
    if parameter.default is not parameter.empty:
        options = {"required": False, "default": parameter.default}
        if parameter.default is None:
            options["allow_null"] = True
    try:
        return _field(hints[parameter.name], **options)
    except KeyError:
        raise DeclarationError(
            f"{function.__qualname__}: no form field is known for the parameter {parameter.name!r}"
            f" ({hints.get(parameter.name, 'no type hint')}). Give @statezero_action a serializer."
        ) from None


def _field(hint: Any, **options: Any) -> Field:
    if hint in _PLAIN:
        return _PLAIN[hint](**_lenient(hint, options))
    compound = _COMPOUND.get(get_origin(hint))
    return compound(get_args(hint), options) if compound else _of_class(hint, options)


def _lenient(hint: Any, options: dict[str, Any]) -> dict[str, Any]:
    # A text that may be left out may be left empty.
    return {**options, "allow_blank": True} if hint is str and "required" in options else options


def _annotated(arguments: Sequence[Any], options: dict[str, Any]) -> Field:
    return _field(arguments[0], **options)


def _literal(arguments: Sequence[Any], options: dict[str, Any]) -> Field:
    if None in arguments:
        options = {"required": False, "default": None, **options, "allow_null": True}
    return serializers.ChoiceField(choices=[value for value in arguments if value is not None], **options)


def _optional(arguments: Sequence[Any], options: dict[str, Any]) -> Field:
    others = [argument for argument in arguments if argument is not types.NoneType]
    if len(others) != 1 or len(others) == len(arguments):
        raise KeyError(arguments)
    return _field(others[0], **{"required": False, "default": None, **options, "allow_null": True})


def _many(arguments: Sequence[Any], options: dict[str, Any]) -> Field:
    item = arguments[0]
    if isinstance(item, type) and issubclass(item, Model):
        child: Any = _related(item, {})
        return serializers.ManyRelatedField(child_relation=child, **options)
    return serializers.ListField(child=_field(item), **options)


def _mapping(arguments: Sequence[Any], options: dict[str, Any]) -> Field:
    return serializers.DictField(child=_field(arguments[1]), **options)


def _related(model: type[Model], options: dict[str, Any]) -> Field:
    return serializers.PrimaryKeyRelatedField(queryset=model._default_manager.all(), **options)  # noqa: SLF001


def _of_class(hint: Any, options: dict[str, Any]) -> Field:
    if not isinstance(hint, type):
        raise KeyError(hint)
    if issubclass(hint, Enum):
        return EnumField(hint, **options)
    if issubclass(hint, Model):
        return _related(hint, options)
    if issubclass(hint, pydantic.BaseModel):
        return PydanticField(hint, **options)
    raise KeyError(hint)


# What a hint of this origin becomes, of its arguments and the field's options.
_COMPOUND: dict[Any, Callable[[Sequence[Any], dict[str, Any]], Field]] = {
    Annotated: _annotated,
    Literal: _literal,
    Union: _optional,
    types.UnionType: _optional,
    list: _many,
    Sequence: _many,
    dict: _mapping,
    Mapping: _mapping,
}
