# ruff: noqa: D103
"""Takes the pictures of docs/forms.md: starts the example shop and clicks through it in Chromium.

    python docs/screenshots.py [directory]

It needs Playwright and Chromium (CHROMIUM names one that is not on PATH), and writes docs/images/ or
another directory.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

DOCS = Path(__file__).resolve().parent
IMAGES = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images"
sys.path.insert(0, str(DOCS.parent / "example_project"))

from demonstration.server import Shop  # noqa: E402 - found by the line above

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DECLINED = {"reference": "phone-19", "amount": "25.00", "card": "tok_declined"}
PHONE = {"width": 360, "height": 740}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with Shop(None) as shop, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        onboarding(browser, shop)
        expense(browser, shop)
        failure(browser, shop)
        browser.close()


def onboarding(browser: Browser, shop: Shop) -> None:
    run = shop.post("/desk/onboardings/", {})["run"]
    page, second = open_run(browser, shop, run), open_run(browser, shop, run)
    take(page, "form")
    fill(page, email="nobody")
    send(page)
    page.get_by_text("Enter a valid email address.").wait_for()
    take(page, "error")
    page.get_by_label("Email").fill("nia@example.com")
    fill(second, email="nia@example.com")
    second.evaluate("document.querySelector('workflow-run').look = () => {}")  # it has not looked yet
    send(page)
    title(page, "Is it yours?")
    take(page, "waiting")
    send(second)
    title(second, "Is it yours?")
    take(second, "second-tab")
    shop.post(f"/desk/{run}/mail/confirm/", {})
    title(page, "Welcome! 🎉")
    take(page, "success")


def expense(browser: Browser, shop: Shop) -> None:
    run = shop.post("/desk/expenses/", {})["run"]
    take(open_run(browser, shop, run, color_scheme="dark", viewport=PHONE), "phone-dark")


def failure(browser: Browser, shop: Shop) -> None:
    run = shop.post("/payments/", DECLINED)["run"]
    page = open_run(browser, shop, run)
    title(page, "This did not work out")
    take(page, "failed")


def open_run(browser: Browser, shop: Shop, run: int, **options: object) -> Page:
    page = browser.new_context(**{"viewport": {"width": 760, "height": 900}, **options}).new_page()
    page.goto(f"{shop.url}/desk/{run}/")
    page.locator(".workflow-run__title").wait_for()
    return page


def fill(page: Page, email: str) -> None:
    page.get_by_label("Property name").fill("Sea View")
    page.get_by_label("Property type").select_option(label="House")
    page.get_by_label("Bedrooms").fill("3")
    page.get_by_label("Wi-Fi").check()
    page.get_by_label("Email").fill(email)


def send(page: Page) -> None:
    page.get_by_role("button", name="Submit").click()


def title(page: Page, text: str) -> None:
    page.locator(".workflow-run__title", has_text=text).wait_for()


def take(page: Page, name: str) -> None:
    page.locator("workflow-run").screenshot(path=IMAGES / f"forms-{name}.png", animations="disabled")


if __name__ == "__main__":
    main()
