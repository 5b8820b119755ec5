"""The example shop as a person in a browser meets it."""

from __future__ import annotations

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.acceptance.processes import PATIENCE, wait_until


class Browser:
    """Follows redirects, keeps cookies and sends the forms of pages."""

    def __init__(self, url: str) -> None:
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self.page = ""

    def open(self, path: str) -> str:
        return self._load(self.url + path)

    def send(self, path: str, **fields: object) -> str:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page)
        data = {**fields, "csrfmiddlewaretoken": token[1] if token else ""}
        return self._load(self.url + path, urllib.parse.urlencode(data).encode())

    def _load(self, url: str, body: bytes | None = None) -> str:
        try:
            answer = self._opener.open(url, body, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.page = answer.read().decode()
            self.status = answer.status
            self.address = urllib.parse.urlsplit(answer.url).path
        return self.page


@pytest.fixture
def browser(installation):
    return Browser(installation.web.url)


def appears(browser: Browser, path: str, text: str) -> None:
    wait_until(lambda: text in browser.open(path), PATIENCE, f"{text!r} on {path}")


def test_a_customer_orders_and_the_manager_approves(installation, browser):
    with installation.worker():
        browser.open("/")
        browser.send("/orders/", customer="Ann", product=4, quantity=1, card="tok_good")
        order = browser.address
        appears(browser, order, "Manager: approve?")
        browser.send(f"{order}approval/", approved="true")
        assert browser.address == order
        appears(browser, order, "is with Ann")


def test_a_customer_registers_and_opens_the_link(installation, browser):
    with installation.worker():
        browser.open("/")
        browser.send("/registrations/", name="Bob", email="bob@example.com")
        wait_until(installation.books.asking, PATIENCE, "The link is sent")
        ((_, token),) = installation.books.asking()
        assert "Is this your address?" in browser.open(f"/registrations/verify/{token}/")
        assert "your address is verified" in browser.send(f"/registrations/verify/{token}/click/")
        wait_until(installation.books.all_ended, PATIENCE, "The registration ends")
        assert "of no use any more" in browser.open(f"/registrations/verify/{token}/")


def test_a_form_that_does_not_fit_is_shown_again(browser):
    browser.open("/")
    browser.send("/orders/", customer="Ann", product=1, quantity=0, card="tok_good")
    assert browser.status == 400
    assert "Order at least one." in browser.page


def test_a_form_of_another_site_is_refused(browser):
    browser.send("/orders/", customer="Ann", product=1, quantity=1, card="tok_good")
    assert browser.status == 403


def test_json_that_does_not_fit_names_its_faults(installation):
    status, answer = installation.web.ask("/orders/", {"customer": "Ann"})
    assert status == 400
    assert {"product", "quantity", "card"} <= set(answer["errors"])
