"""Whatever is sent to a form is answered by what is wrong with it, in short, and never by 500."""

import datetime as dt
import enum
import json
import uuid
from decimal import Decimal
from typing import Any, Literal

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import UploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pydantic import BaseModel, EmailStr
from rest_framework import serializers
from rest_framework.parsers import JSONParser

from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.http import validation
from django_ai.automation.workflows.statezero_action import statezero_action


class Colour(enum.Enum):
    RED = "red"


class Address(BaseModel):
    city: str = ""
    height: float = 0


@pytest.fixture
def everything(workflows):
    """A run that waits for a form with a field of each kind, none of them required."""

    @workflow("everything")
    class Everything:
        @statezero_action(name="fill_everything")
        @step(start=True)
        def fill(
            self,
            *,
            text: str = None,  # noqa: RUF013
            number: int = None,  # noqa: RUF013
            part: float = None,  # noqa: RUF013
            price: Decimal = None,  # noqa: RUF013
            day: dt.date = None,  # noqa: RUF013
            moment: dt.datetime = None,  # noqa: RUF013
            hour: dt.time = None,  # noqa: RUF013
            span: dt.timedelta = None,  # noqa: RUF013
            key: uuid.UUID = None,  # noqa: RUF013
            flag: bool = None,  # noqa: RUF013
            email: EmailStr = None,
            colour: Colour = None,
            size: Literal["s", "m", None] = None,  # noqa: PYI061
            group: Group = None,
            groups: list[Group] = None,  # noqa: RUF013
            numbers: list[int] = None,  # noqa: RUF013
            nested: list[list[int]] = None,  # noqa: RUF013
            counts: dict[str, int] = None,  # noqa: RUF013
            named: dict[str, Group] = None,  # noqa: RUF013
            address: Address = None,
            addresses: list[Address] = None,  # noqa: RUF013
            anything: Any = None,
            anyone: dict = None,  # noqa: RUF013
            those: list = None,  # noqa: RUF013
            paper: UploadedFile = None,
        ):
            return complete()

    return engine.start(Everything)


NAMES = (
    *("text", "number", "part", "price", "day", "moment", "hour", "span", "key", "flag", "email", "colour", "size"),
    *("group", "groups", "numbers", "nested", "counts", "named", "address", "addresses", "anything", "anyone"),
    *("those", "paper"),
)


@pytest.fixture
def send(forms, everything):
    """Post a raw body and return the answer, which is an error of ours unless a test says otherwise."""

    def send(body, content_type="application/json", status=None, **headers):
        body = body.replace("RUN", str(everything.pk)) if isinstance(body, str) else body
        path = f"{forms.base}actions/fill_everything/"
        answer = forms.client.generic("POST", path, body, content_type=content_type, **headers)
        assert 400 <= answer.status_code < 500 if status is None else answer.status_code == status, answer.content
        if answer.status_code != 200:
            assert set(answer.json()) == {"status", "type", "detail"}
        assert len(answer.content) < 50_000
        return answer

    return send


def test_each_kind_of_field_may_be_left_out_or_null(forms, everything):
    described = forms.client.get(f"/forms/runs/{everything.pk}/form/").json()["fields"]
    assert set(described) == set(NAMES)
    for name, field in described.items():
        assert (field["default"], field["required"], field["nullable"]) == (None, False, True), name
    assert forms.post("fill_everything", everything, **dict.fromkeys(NAMES)).status_code == 200


ODD_VALUES = {
    "a null character": '"a\\u0000b"',
    "half of a pair": '"\\udc00"',
    "both deep inside": '[{"a": [{"\\udc00": "\\u0000"}]}]',
    "not a number": "NaN",
    "infinity": "1e999",
    "minus infinity": "-Infinity",
    "infinity in words": '"-inf"',
    "not a number in words": '"nan"',
    "a huge number": "1" + "0" * 4000,
    "more digits than Python reads": "1" * 5000,
    "the same as a text": '"' + "1" * 5000 + '"',
    "a huge power": '"1e999999999"',
    "a number": "7",
    "a negative number": "-1",
    "a part": "1.5",
    "truth": "true",
    "an empty list": "[]",
    "an empty object": "{}",
    "a list of lists": "[[[1]]]",
    "a list of objects": '[{"city": 1}, {"height": "nan"}]',
    "an object of objects": '{"a": {"b": {}}}',
    "an object of odd values": '{"a": "x", "b": 1e999, "city": 5, "height": "inf"}',
    "a text": '"text"',
    "an empty text": '""',
    "a long text": '"' + "x" * 100_000 + '"',
    "a date beyond the calendar": '"99999-12-31"',
    "the end of the calendar": '"9999-12-31T23:59:59.999999-12:00"',
    "its beginning": '"0001-01-01T00:00:00+14:00"',
    "no time of a day": '"25:61"',
    "a span beyond all bounds": '"999999999999999 00:00:00"',
    "a span": '"P99999999999D"',
    "a line feed": '"a\\r\\nX-Header: 1"',
}


@pytest.mark.parametrize("odd", ODD_VALUES)
def test_an_odd_value_is_taken_or_refused_in_each_kind_of_field(odd, send, everything):
    for name in NAMES:
        answer = send(f'{{"workflow_run_id": RUN, "{name}": {ODD_VALUES[odd]}}}', status=ANY)
        assert answer.status_code in (200, 400, 409), (name, answer.content)


class _Any:
    def __eq__(self, other):
        return True

    __hash__ = None


ANY = _Any()


@pytest.mark.parametrize("field", ["anything", "text", "numbers", "anyone", "address"])
@pytest.mark.parametrize("odd", ["a null character", "half of a pair", "both deep inside", "infinity"])
def test_what_no_database_can_store_is_refused_at_its_field(odd, field, send):
    answer = send(f'{{"workflow_run_id": RUN, "{field}": {ODD_VALUES[odd]}}}', status=400)
    assert list(answer.json()["detail"]) == [field]


@pytest.mark.parametrize("value", ['"nan"', '"-inf"', '"Infinity"'])
def test_a_text_that_becomes_no_finite_number_is_refused(value, send):
    for field in (f'"part": {value}', f'"address": {{"height": {value}}}', f'"addresses": [{{"height": {value}}}]'):
        send(f'{{"workflow_run_id": RUN, {field}}}', status=400)


@pytest.mark.parametrize(
    "number",
    ["0", "-1", "1.5", '"x"', "[]", "{}", "true", "null", '""', '"\\u0000"', "1e999", "NaN", '"' + "9" * 5000 + '"'],
)
def test_what_is_no_number_of_a_run_is_refused_before_all_else(number, send):
    detail = send(f'{{"workflow_run_id": {number}, "numbers": "x"}}', status=400).json()["detail"]
    assert "numbers" not in detail


def test_of_keys_that_come_twice_one_is_taken_throughout(send, forms, everything):
    """The run that is guarded is the run that is moved."""
    send(f'{{"workflow_run_id": {10**9}, "workflow_run_id": RUN}}', status=200)
    send(f'{{"workflow_run_id": RUN, "workflow_run_id": {10**9}}}', status=404)


BODIES = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "a text": '"RUN"',
    "a number": "RUN",
    "null": "null",
    "no UTF-8": b'{"workflow_run_id": 1, "text": "\xff"}',
    "a mark of its order": b'\xef\xbb\xbf{"workflow_run_id": 1}',
    "an unclosed text": '{"workflow_run_id": RUN, "text": "\\',
    "brackets without end": "[" * 100_000,
    "objects without end": '{"a":' * 100_000,
    "a deep value": '{"workflow_run_id": RUN, "anything": ' + "[" * 500 + "]" * 500 + "}",
    "many items": '{"workflow_run_id": RUN, "numbers": [' + "1," * 200_000 + "1]}",
    "many fields": json.dumps({str(number): 1 for number in range(20_000)}),
    "a long name": '{"' + "n" * 1000 + '": 1}',
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_no_form_is_refused(kind, send):
    answer = send(BODIES[kind], status=400)
    assert len(answer.content) < 1000


def test_brackets_in_texts_count_for_nothing(send):
    text = json.dumps('[{,\\"' * 10_000)
    assert send(f'{{"workflow_run_id": RUN, "text": {text}}}', status=200)


def test_limits_are_the_projects(send, settings):
    nested = '{"workflow_run_id": RUN, "anything": [[[1, 2, 3]]]}'
    settings.DJANGO_AI = {"FORM_MAX_DEPTH": 3}
    assert "nested at most 3 deep" in send(nested, status=400).content.decode()
    settings.DJANGO_AI = {"FORM_MAX_VALUES": 5}
    assert "at most 5 values" in send(nested, status=400).content.decode()
    settings.DJANGO_AI = {"FORM_MAX_DEPTH": 4, "FORM_MAX_VALUES": 8}
    send(nested, status=200)


def test_a_body_that_is_too_large_is_not_read(send, settings, monkeypatch):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        answer = send(b"x" * 1001, kind, status=413)
        assert answer.json()["type"] == "TooLarge"
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    send('{"workflow_run_id": RUN, "text": "%s"}' % ("x" * 3_000_000), status=200)


@pytest.mark.parametrize("length", ["-1", "x", "", "1e3", "9" * 30])
def test_a_wrong_length_is_no_fault_of_the_server(length, send):
    send('{"workflow_run_id": RUN}', status=ANY, CONTENT_LENGTH=length)


MEDIA_TYPES = (
    *("text/plain", "application/xml", "", "nonsense", "application/json; charset=nonsense", "a/b; c"),
    *("application/json; charset=zip", "application/json; charset=base64", "application/json; charset=utf-16"),
    *("application/x-www-form-urlencoded; charset=hex", "application/x-www-form-urlencoded; charset=utf-16"),
    *("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\x00", "\x00/\x00"),
    *("multipart/form-data; boundary=b; charset=zip", "multipart/form-data; boundary=" + "b" * 300),
)


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_a_body_of_an_odd_media_type_is_refused(media_type, send):
    assert send(b'{"workflow_run_id": 1000000000}', media_type).status_code in (400, 404, 415)


UNENDED = '--b\r\nContent-Disposition: form-data; name="workflow_run_id"\r\n\r\nRUN'
PARTS = {
    "no name": "--b\r\nContent-Disposition: form-data\r\n\r\nRUN\r\n--b--\r\n",
    "no headers": "--b\r\n\r\nRUN\r\n--b--\r\n",
    "wrong base64": (
        '--b\r\nContent-Disposition: form-data; name="text"\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%'
        "\r\n--b--\r\n"
    ),
    "no text": '--b\r\nContent-Disposition: form-data; name="workflow_run_id"\r\n\r\n\x00\xff\r\n--b--\r\n',
    "a file for a text": (
        '--b\r\nContent-Disposition: form-data; name="workflow_run_id"\r\n\r\nRUN\r\n'
        '--b\r\nContent-Disposition: form-data; name="text"; filename="a\x00b/../c"\r\n\r\nx\r\n--b--\r\n'
    ),
    "an index of 5,000 digits": (
        '--b\r\nContent-Disposition: form-data; name="workflow_run_id"\r\n\r\nRUN\r\n'
        f'--b\r\nContent-Disposition: form-data; name="numbers[{"1" * 5000}]"\r\n\r\n1\r\n--b--\r\n'
    ),
    "deep JSON in a part": (
        '--b\r\nContent-Disposition: form-data; name="workflow_run_id"\r\n\r\nRUN\r\n'
        f'--b\r\nContent-Disposition: form-data; name="anyone"\r\n\r\n{"[" * 50_000}\r\n--b--\r\n'
    ),
    "deep JSON for anything": (
        '--b\r\nContent-Disposition: form-data; name="workflow_run_id"\r\n\r\nRUN\r\n'
        f'--b\r\nContent-Disposition: form-data; name="anything"\r\n\r\n{"[" * 50_000}\r\n--b--\r\n'
    ),
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_broken_form_of_parts_is_refused(kind, send):
    send(PARTS[kind], "multipart/form-data; boundary=b", status=400)


def test_a_last_part_without_an_end_is_read(send):
    send(UNENDED, "multipart/form-data; boundary=b", status=200)


def test_a_form_with_too_many_fields_is_refused(send, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 5
    send("&".join(f"f{number}=1" for number in range(6)), "application/x-www-form-urlencoded", status=400)
    part = '--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n'
    send(part * 6 + "--b--\r\n", "multipart/form-data; boundary=b", status=400)
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    file = '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n1\r\n'
    send(file * 3 + "--b--\r\n", "multipart/form-data; boundary=b", status=400)


def test_a_session_whose_form_is_too_large_gets_our_answer(everything, admin_user, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    client.cookies["csrftoken"] = "a" * 32  # which makes Django read the form for its counterpart
    answer = client.post("/forms/actions/fill_everything/", {"a": 1, "b": 2, "c": 3})
    assert (answer.status_code, answer.json()["type"]) == (400, "ParseError")


class Item(serializers.Serializer):
    count = serializers.IntegerField()


class Order(serializers.Serializer):
    items = Item(many=True, required=False)
    numbers = serializers.ListField(child=serializers.IntegerField(), required=False)
    prices = serializers.DictField(child=serializers.DecimalField(5, 2), required=False)
    tables = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()), required=False)
    kind = serializers.ChoiceField(["a"], required=False)


@pytest.fixture
def order(workflows):
    @workflow("order_of_lists")
    class Ordering:
        @statezero_action(name="order_lists", serializer=Order)
        @step(start=True)
        def fill(self, **fields):
            return complete()

    return engine.start(Ordering)


@pytest.mark.parametrize(
    ("field", "entries"),
    [
        ("items", [{"count": "x"}] * 3000),
        ("items", ["x"] * 5000),
        ("numbers", ["x"] * 9000),
        ("prices", {str(number): "x" for number in range(5000)}),
        ("tables", [["x"] * 2000] * 4),
    ],
)
def test_the_validation_of_a_long_list_ends_at_its_first_faults(field, entries, forms, order, monkeypatch):
    looked = []
    for kind in (serializers.IntegerField, serializers.DecimalField):
        usual = kind.run_validation

        def counted(self, data=serializers.empty, usual=usual):
            looked.append(data)
            return usual(self, data)

        monkeypatch.setattr(kind, "run_validation", counted)
    answer = forms.post("order_lists", order, **{field: entries})
    assert (answer.status_code, list(answer.json()["detail"])) == (400, [field])
    assert "At least 20 entries are not valid; the first: " in answer.content.decode()
    assert len(answer.content) < 500
    assert len(looked) < 50


def test_a_few_faults_of_a_list_are_told_each_at_its_place(forms, order):
    answer = forms.post("order_lists", order, numbers=[1, "x", 3, "y"], items=[{"count": 1}, {}])
    detail = answer.json()["detail"]
    assert set(detail["numbers"]) == {"1", "3"}
    items = detail["items"]  # a list or a dict, by the version of Django REST framework
    fault = items["1"] if isinstance(items, dict) else items[1]
    assert fault["count"][0]["message"] == "This field is required."


def test_an_answer_does_not_repeat_what_was_sent(forms, order):
    answer = forms.post("order_lists", order, kind="x" * 100_000, items="x" * 100_000)
    assert answer.status_code == 400
    assert len(answer.content) < 2000


def test_more_rows_than_a_relation_may_have_are_refused_without_a_query(
    send, everything, django_assert_max_num_queries
):
    with django_assert_max_num_queries(10):
        answer = send(json.dumps({"workflow_run_id": everything.pk, "groups": [1] * 1001}), status=400)
    assert "At most 1000 can be chosen." in answer.content.decode()


class Line(serializers.Serializer):
    group = serializers.PrimaryKeyRelatedField(queryset=Group.objects.all())


class Lines(serializers.Serializer):
    lines = Line(many=True, required=False)
    listed = serializers.ListField(
        child=serializers.PrimaryKeyRelatedField(queryset=Group.objects.all()), required=False
    )
    named = serializers.DictField(
        child=serializers.PrimaryKeyRelatedField(queryset=Group.objects.all()), required=False
    )
    one = serializers.PrimaryKeyRelatedField(queryset=Group.objects.all(), required=False)


@pytest.mark.parametrize(
    "entries",
    [
        {"lines": lambda key: [{"group": key}] * 9},
        {"listed": lambda key: [key] * 9},
        {"named": lambda key: {str(number): key for number in range(9)}},
    ],
)
def test_rows_that_lists_and_objects_name_are_counted(entries, forms, workflows, monkeypatch):
    monkeypatch.setattr(validation, "MOST_ROWS", 8)

    @workflow("lines")
    class Filling:
        @statezero_action(name="fill_lines", serializer=Lines)
        @step(start=True)
        def fill(self, **fields):
            return complete()

    run, key = engine.start(Filling), Group.objects.create(name="a").pk
    [(name, many)] = entries.items()
    with CaptureQueriesContext(connection) as queries:
        answer = forms.post("fill_lines", run, **{name: many(key)})
    assert (answer.status_code, list(answer.json()["detail"])) == (400, [name])
    assert "At most 8 can be chosen." in answer.content.decode()
    assert len([query for query in queries if "auth_group" in query["sql"]]) == 8
    assert forms.post("fill_lines", run, one=key).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"])
@pytest.mark.parametrize("accept", ["application/json", "text/html", "image/png", "*/*;q=x", "nonsense", "\x00"])
def test_odd_methods_and_media_types_are_answered(method, accept, everything, db):
    client = Client(raise_request_exception=False)
    for path in ("actions/fill_everything/", f"runs/{everything.pk}/", f"runs/{everything.pk}/form/"):
        answer = client.generic(method, f"/forms/{path}", headers={"accept": accept})
        assert answer.status_code in (200, 404, 405, 406), (path, answer.status_code)


@pytest.mark.parametrize(
    "path",
    [
        *("actions/%00/", "actions/%ff/", "actions/a%0d%0aX:1/", f"actions/{'x' * 5000}/", "actions/%ed%b0%80/"),
        *(f"runs/{'9' * 5000}/", f"runs/{'9' * 4000}/form/", "runs/0/", "runs/-1/", "runs/%00/", "runs/٣/"),
        *("runs/1/?format=nonsense", "actions/fill_everything/?format=%00", "runs/1/?%00=%ff&" + "a&" * 2000),
    ],
)
def test_odd_addresses_are_answered(path, everything, db):
    client = Client(raise_request_exception=False)
    for method in ("GET", "POST"):
        answer = client.generic(method, f"/forms/{path}", "{}", content_type="application/json")
        assert answer.status_code in (200, 400, 404, 405), answer.status_code
        assert not answer.has_header("X")


@pytest.mark.parametrize("name", ["Prefer", "If-None-Match", "Authorization", "Cookie", "X-CSRFToken"])
@pytest.mark.parametrize(
    "value", ["wait=" + "9" * 5000, "\x00", "a\r\nX: 1", "\xff", "Basic %%%", "Token " + "x" * 9999]
)
def test_odd_headers_are_answered(name, value, everything, db):
    answer = Client(raise_request_exception=False).get(f"/forms/runs/{everything.pk}/", headers={name: value})
    assert answer.status_code in (200, 401, 403)
    assert not answer.has_header("X")


def test_a_media_type_with_a_wildcard_is_looked_at_before_it_is_parsed(everything, monkeypatch):
    parsed = []
    monkeypatch.setattr(JSONParser, "parse", lambda *args, **options: parsed.append(args) or {})
    body = json.dumps({"workflow_run_id": 1, "numbers": [1] * 20_000})
    for kind in ("application/*", "*/*"):
        answer = Client().generic("POST", "/forms/actions/fill_everything/", body, content_type=kind)
        assert (answer.status_code, parsed) == (400, [])
