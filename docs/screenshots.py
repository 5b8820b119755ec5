# ruff: noqa: D103
"""Takes the pictures of the pages: starts the example shop and clicks through it in Chromium, in light and in dark.

    python docs/screenshots.py [directory]

It needs Playwright, Pillow and Chromium (CHROMIUM names one that is not on PATH), and writes docs/images/ or
another directory. The site shows the picture that fits the reader's colours: `name.png` or `name-dark.png`.
"""

import os
import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

DOCS = Path(__file__).resolve().parent
IMAGES = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images"
sys.path.insert(0, str(DOCS.parent / "example_project"))

from demonstration.server import Shop  # noqa: E402 - found by the line above

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DECLINED = {"reference": "phone-19", "amount": "25.00", "card": "tok_declined"}
PHONE = {"width": 360, "height": 740}
FILM_WIDTH = 480


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with Shop(None) as shop, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            onboarding(browser, shop, scheme)
            expense(browser, shop, scheme)
            failure(browser, shop, scheme)
            film(browser, shop, scheme)
        browser.close()


def onboarding(browser: Browser, shop: Shop, scheme: str) -> None:
    run = shop.post("/desk/onboardings/", {})["run"]
    page = open_run(browser, shop, run, scheme)
    fill_property(page)
    send(page)
    fill_stay(page)
    take(page, "form", scheme)
    send(page)
    page.get_by_label("Email").fill("nobody")
    second = open_run(browser, shop, run, scheme)
    send(page)
    page.get_by_text("Enter a valid email address.").wait_for()
    take(page, "error", scheme)
    for tab in (page, second):
        tab.get_by_label("Email").fill("nia@example.com")
    second.evaluate("document.querySelector('workflow-run').look = () => {}")  # it has not looked yet
    send(page)
    title(page, "Is it yours?")
    take(page, "waiting", scheme)
    send(second)
    title(second, "Is it yours?")
    take(second, "second-tab", scheme)
    page.get_by_role("link", name="e-mail").click()
    page.get_by_role("button", name="Yes, it is mine").click()
    title(page, "Welcome!")
    take(page, "success", scheme)


def expense(browser: Browser, shop: Shop, scheme: str) -> None:
    run = shop.post("/desk/expenses/", {})["run"]
    take(open_run(browser, shop, run, scheme, viewport=PHONE), "phone", scheme)


def failure(browser: Browser, shop: Shop, scheme: str) -> None:
    run = shop.post("/payments/", DECLINED)["run"]
    page = open_run(browser, shop, run, scheme)
    title(page, "This did not work out")
    take(page, "failed", scheme)


def film(browser: Browser, shop: Shop, scheme: str) -> None:
    """A run from its form to its end, as the picture that moves in the README."""
    run = shop.post("/desk/onboardings/", {})["run"]
    page = open_run(browser, shop, run, scheme)
    fill_property(page)
    frames = [(snap(page), 1800)]
    send(page)
    fill_stay(page)
    frames.append((snap(page), 1800))
    send(page)
    page.get_by_label("Email").fill("nia@example")
    frames.append((snap(page), 1200))
    send(page)
    page.get_by_text("Enter a valid email address.").wait_for()
    frames.append((snap(page), 2200))
    page.get_by_label("Email").fill("nia@example.com")
    frames.append((snap(page), 1200))
    send(page)
    title(page, "Is it yours?")
    frames.append((snap(page), 2500))
    shop.post(f"/desk/{run}/mail/confirm/", {})
    title(page, "Welcome!")
    frames.append((snap(page), 3000))
    develop(frames, IMAGES / f"film{ending(scheme)}.gif")


def develop(frames: list[tuple[Image.Image, int]], path: Path) -> None:
    height = max(picture.height for picture, _ in frames)
    sheets = []
    for picture, _ in frames:
        sheet = Image.new("RGB", (FILM_WIDTH, height), picture.getpixel((0, 0)))
        sheet.paste(picture)
        sheets.append(sheet.quantize(64, dither=Image.Dither.NONE))
    durations = [duration for _, duration in frames]
    sheets[0].save(path, save_all=True, append_images=sheets[1:], duration=durations, loop=0, optimize=True)


def snap(page: Page) -> Image.Image:
    picture = Image.open(BytesIO(page.locator("workflow-run").screenshot(animations="disabled"))).convert("RGB")
    return picture.resize((FILM_WIDTH, round(picture.height * FILM_WIDTH / picture.width)), Image.Resampling.LANCZOS)


def open_run(browser: Browser, shop: Shop, run: int, scheme: str, **options: object) -> Page:
    options = {"viewport": {"width": 760, "height": 900}, "color_scheme": scheme, **options}
    page = browser.new_context(**options).new_page()
    page.goto(f"{shop.url}/desk/{run}/")
    page.locator(".workflow-run__title").wait_for()
    return page


def fill_property(page: Page) -> None:
    page.get_by_label("Property name").fill("Sea View")
    page.get_by_label("Property type").select_option(label="House")
    page.get_by_label("Bedrooms").fill("3")


def fill_stay(page: Page) -> None:
    page.get_by_label("Price per night").fill("120")
    for amenity in ("Wi-Fi", "Pets welcome"):
        page.get_by_label(amenity).check()


def send(page: Page) -> None:
    page.get_by_role("button", name="Submit").click()


def title(page: Page, text: str) -> None:
    page.locator(".workflow-run__title", has_text=text).wait_for()


def take(page: Page, name: str, scheme: str) -> None:
    path = IMAGES / f"forms-{name}{ending(scheme)}.png"
    page.locator("workflow-run").screenshot(path=path, animations="disabled")


def ending(scheme: str) -> str:
    return "-dark" if scheme == "dark" else ""


if __name__ == "__main__":
    main()
