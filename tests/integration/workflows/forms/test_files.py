"""A form may carry files: the step receives them, and what it stores of them is up to it."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.utils import translation
from pydantic import BaseModel
from rest_framework import serializers

from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.statezero_action import statezero_action


class AddressSerializer(serializers.Serializer):
    city = serializers.CharField()


class ReceiptSerializer(serializers.Serializer):
    receipt = serializers.FileField()
    pages = serializers.ListField(child=serializers.FileField(), required=False, default=list)
    amount = serializers.DecimalField(max_digits=6, decimal_places=2)
    is_private = serializers.BooleanField(default=False)
    note = serializers.JSONField(required=False)
    rates = serializers.DictField(child=serializers.IntegerField(), required=False)
    address = AddressSerializer(required=False)


@pytest.fixture
def receipt(workflows):
    @workflow("receipt")
    class Receipt:
        class Context(BaseModel):
            seen: dict[str, Any] = {}

        @statezero_action(name="hand_in_receipt", serializer=ReceiptSerializer)
        @step(start=True)
        def hand_in(self, *, receipt, pages, amount, is_private, note=None, rates=None, address=None):
            self.context.seen = {
                "receipt": [receipt.name, receipt.read().decode()],
                "pages": [page.name for page in pages],
                "amount": str(amount),
                "is_private": is_private,
                "note": note,
                "rates": rates,
                "address": address,
            }
            return complete()

    return engine.start(Receipt)


def paper(name="receipt.txt", text="42 €"):
    return SimpleUploadedFile(name, text.encode(), "text/plain")


def send(forms, run, **data):
    """Post as a browser does that has files to send."""
    path = f"{forms.base}actions/hand_in_receipt/"
    return forms.client.post(path, {"workflow_run_id": run.pk, **data}, format="multipart")


def test_a_step_receives_the_files_of_a_multipart_post(forms, receipt):
    data = {"amount": "42.00", "is_private": "true", "note": '{"by": "Ann"}', "rates": '{"eur": 1}'}
    data["address"] = '{"city": "Rome"}'
    answer = send(forms, receipt, receipt=paper(), pages=[paper("one.txt"), paper("two.txt")], **data)
    assert answer.status_code == 200, answer.data
    receipt.refresh_from_db()
    assert receipt.data["seen"] == {
        "receipt": ["receipt.txt", "42 €"],
        "pages": ["one.txt", "two.txt"],
        "amount": "42.00",
        "is_private": True,
        "note": {"by": "Ann"},
        "rates": {"eur": 1},
        "address": {"city": "Rome"},
    }


@pytest.mark.parametrize("wrong", [{}, {"receipt": "a name, no file"}, {"receipt": SimpleUploadedFile("empty", b"")}])
def test_a_file_that_is_missing_or_none_is_refused_at_its_field(forms, receipt, wrong):
    answer = send(forms, receipt, amount="42.00", **wrong)
    assert answer.status_code == 400
    assert list(answer.json()["detail"]) == ["receipt"]


@pytest.mark.parametrize("wrong", [{"rates": "no JSON"}, {"rates": "[1]"}, {"address": "{}"}])
def test_an_object_that_is_none_is_refused_at_its_field(forms, receipt, wrong):
    answer = send(forms, receipt, receipt=paper(), amount="42.00", **wrong)
    assert answer.status_code == 400
    assert answer.json()["detail"].keys() == wrong.keys()


def test_json_cannot_carry_a_file_and_says_so(forms, receipt):
    answer = forms.post("hand_in_receipt", receipt, receipt="receipt.txt", amount="42.00")
    assert answer.status_code == 400
    [fault] = answer.json()["detail"]["receipt"]
    assert fault["message"] == "The submitted data was not a file. Check the encoding type on the form."


def test_a_type_hint_makes_a_field_for_files(forms, workflows):
    @workflow("hinted_receipt")
    class HintedReceipt:
        class Context(BaseModel):
            names: list[str] = []

        @statezero_action(name="hand_in_receipt")
        @step(start=True)
        def hand_in(self, receipt: UploadedFile, more: list[UploadedFile] | None = None):
            self.context.names = [paper.name for paper in (receipt, *(more or []))]
            return complete()

    run = engine.start(HintedReceipt)
    assert send(forms, run, receipt=paper(), more=[paper("two.txt")]).status_code == 200
    run.refresh_from_db()
    assert run.data == {"names": ["receipt.txt", "two.txt"]}


def test_what_a_person_reads_of_a_refusal_is_in_their_language(forms, receipt):
    assert send(forms, receipt, receipt=paper(), amount="42.00").status_code == 200
    with translation.override("de"):
        refused = send(forms, receipt, receipt=paper(), amount="42.00")
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("Dieses Formular ist nicht offen")
