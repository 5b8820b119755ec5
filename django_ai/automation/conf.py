"""The settings of django_ai: one dict, `DJANGO_AI`, read live, with a default for every key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


class Setting(Generic[T]):
    """One key of `DJANGO_AI`: its default, its types, its smallest value and what it is for."""

    def __init__(self, default: T, *types: type, minimum: float | None = None, doc: str) -> None:
        self.default = default
        self.types = types
        self.minimum = minimum
        self.doc = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Setting[T] | T:
        if instance is None:
            return self
        value: T = _configured().get(self.name, self.default)
        return value

    def fault(self, value: object) -> str | None:
        """Say what is wrong with `value`, or None if it may be used."""
        # bool is an int to isinstance, never to a person who writes settings.
        if (type(value) is bool and bool not in self.types) or not isinstance(value, self.types):
            expected = " or ".join(_TYPE_NAMES[kind] for kind in self.types)
            return f"must be {expected}, not {value!r}"
        if self.minimum is not None and isinstance(value, (int, float)) and value < self.minimum:
            return f"must be at least {self.minimum:g}, not {value!r}"
        return None


_TYPE_NAMES: dict[type, str] = {
    int: "an integer",
    float: "a number",
    str: "a string",
    bool: "True or False",
    type(None): "None",
}


class Settings:
    """Typed access to `DJANGO_AI`; every attribute is looked up anew, so overrides work."""

    QUEUE = Setting[str | None](None, str, type(None), doc="Celery queue of all tasks; None is Celery's default queue.")
    LEASE_SECONDS = Setting[float](
        30,
        int,
        float,
        minimum=1,
        doc="How long a worker may be silent before its step is taken over.",
    )
    RESEND_AFTER_SECONDS = Setting[float](
        10,
        int,
        float,
        minimum=1,
        doc="Age at which a message that nobody took is sent again; it doubles each time, up to tenfold.",
    )
    TICK_SECONDS = Setting[float](
        1, int, float, minimum=0.05, doc="How often the beat scheduler looks for what is due."
    )
    NEAR_TIMER_SECONDS = Setting[float](
        60,
        int,
        float,
        minimum=0,
        doc="Timers nearer than this are also sent to Celery with an ETA.",
    )
    MAX_CONTEXT_BYTES = Setting[int](1_048_576, int, minimum=1, doc="Largest size of a run's context as JSON.")
    MAX_CHANGE_BYTES = Setting[int](
        10_000,
        int,
        minimum=0,
        doc="Largest old or new value of a changed context field, as JSON, that a run's history keeps.",
    )
    MAX_ERROR_LENGTH = Setting[int](
        10_000,
        int,
        minimum=100,
        doc="Most characters of an error, and of a traceback, that a row keeps: its beginning and its end.",
    )
    BATCH_SIZE = Setting[int](500, int, minimum=1, doc="Rows that one transaction of the scheduler takes.")
    STEPS_PER_TASK = Setting[int](
        100, int, minimum=1, doc="Steps one Celery task runs before it hands over to the next."
    )
    SECONDS_PER_TASK = Setting[float](
        10, int, float, minimum=0, doc="Seconds after which a task hands over to the next."
    )
    SEND_IN_BACKGROUND = Setting[bool](
        True,  # noqa: FBT003 - the default of a setting
        bool,
        doc="Whether a web process or a command that sends many messages leaves it to a thread to do so.",
    )
    RETENTION_DAYS = Setting[float | None](
        None, int, float, type(None), minimum=0, doc="Days for which ended runs are kept; None is for ever."
    )
    RETENTION_ARCHIVE = Setting[str | None](
        None, str, type(None), doc="Dotted path of a function that gets a list of runs before they are deleted."
    )
    EVENT_ATTEMPTS = Setting[int](
        3, int, minimum=1, doc="How often a handler of an event is called until its failure is final."
    )
    EVENT_RETRY_SECONDS = Setting[float](
        10, int, float, minimum=0, doc="Pause before a failed handler is called again; it doubles each time."
    )
    EVENT_GRACE_SECONDS = Setting[float](
        86_400,
        int,
        float,
        minimum=0,
        doc="An older row's date that is further past than this when it is first seen is history: no event.",
    )
    EVENT_RECONCILE_SECONDS = Setting[float](
        3_600, int, float, minimum=0, doc="How often rows that sent no signals are brought in line; 0 is never."
    )
    PULSE_SECONDS = Setting[float](
        10,
        int,
        float,
        minimum=1,
        doc="How often beat, the scheduler and the workers of each queue give a sign of life.",
    )
    SILENT_AFTER_SECONDS = Setting[float](
        60, int, float, minimum=1, doc="A part without a sign of life for this long is taken for dead."
    )
    LATE_AFTER_SECONDS = Setting[float](
        30, int, float, minimum=0, doc="Health warns when messages, timers or events are later than this."
    )
    STUCK_AFTER_SECONDS = Setting[float](
        300, int, float, minimum=1, doc="A run that nobody moved for this long, though it could, is stuck."
    )
    TRACING = Setting[bool](
        True,  # noqa: FBT003 - the default of a setting
        bool,
        doc="Whether spans are recorded where OpenTelemetry has a tracer provider.",
    )
    METRICS = Setting[bool](
        False,  # noqa: FBT003 - the default of a setting
        bool,
        doc="Whether this process counts for Prometheus.",
    )
    METRICS_PORT = Setting[int | None](
        None, int, type(None), minimum=1, doc="Port at which each worker serves its metrics; None serves none."
    )
    METRICS_ADDRESS = Setting[str](
        "127.0.0.1",
        str,
        doc='Address to which each worker binds `METRICS_PORT`; "0.0.0.0" is all that the machine has.',
    )
    MONITORING_TOKEN = Setting[str | None](
        None, str, type(None), doc="Who sends this bearer token sees the details of health, and the metrics."
    )
    MONITORING_PUBLIC = Setting[bool](
        False,  # noqa: FBT003 - the default of a setting
        bool,
        doc="Whether everybody sees the details of health, and the metrics.",
    )
    HEALTH_CACHE_SECONDS = Setting[float](
        5,
        int,
        float,
        minimum=0,
        doc="For how long a process answers anonymous requests for health by what it found last.",
    )
    RUNS_VISIBLE_TO = Setting[str | None](
        None,
        str,
        type(None),
        doc="Dotted path of a function that gets a request and returns the runs, or a Q, that its user may know of.",
    )
    FORM_MAX_VALUES = Setting[int](
        10_000, int, minimum=1, doc="Values that one post of a form may have, the items of its lists counted."
    )
    FORM_MAX_DEPTH = Setting[int](32, int, minimum=1, doc="How deeply the values of one post may be nested.")


settings = Settings()


def require_app(name: str) -> None:
    """Make sure that an app is installed before its models are declared, for Django's own error says less.

    Raises:
        ImproperlyConfigured: it is not in INSTALLED_APPS; the message says what to add.
    """
    if not apps.is_installed(name):
        raise ImproperlyConfigured(
            f"Add {name!r} to INSTALLED_APPS. Workflows need two apps there:"
            " 'django_ai.automation.events' and 'django_ai.automation.workflows'."
        )


def known() -> dict[str, Setting[Any]]:
    """Return every key of `DJANGO_AI` with its declaration, in the order of the documentation."""
    return {name: item for name, item in vars(Settings).items() if isinstance(item, Setting)}


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report every key of `DJANGO_AI` that is unknown or has a value of the wrong type.

    Every app of the project registers this check; Django keeps one of them.
    """
    given = getattr(django_settings, "DJANGO_AI", {})
    if not isinstance(given, Mapping):
        return [Error(f"DJANGO_AI must be a dict, not {given!r}.", id="django_ai.E001")]
    faults = {key: _fault(key, value) for key, value in given.items()}
    return [_message(key, fault) for key, fault in faults.items() if fault is not None]


def _configured() -> Mapping[str, Any]:
    # Several are read in each step, and of a setting that a project lacks Django remembers nothing, not even that.
    given: Mapping[str, Any] = getattr(django_settings._wrapped, "DJANGO_AI", _NOTHING)  # type: ignore[misc]  # noqa: SLF001
    return given


_NOTHING: Mapping[str, Any] = {}


def _fault(key: str, value: object) -> str | None:
    setting = known().get(key)
    return "is not a setting of django_ai" if setting is None else setting.fault(value)


def _message(key: str, fault: str) -> Error:
    hint = None if key in known() else f"The keys are: {', '.join(known())}."
    return Error(f"DJANGO_AI[{key!r}] {fault}.", hint=hint, id="django_ai.E002")
