# ruff: noqa: D103
"""Takes the pictures of the admin: starts the example shop with its orders, and looks at them in light and in dark.

    python docs/screenshots_admin.py [directory]

It needs what `docs/screenshots.py` needs, and writes beside its pictures.
"""

import os
import shutil
import sys
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

DOCS = Path(__file__).resolve().parent
IMAGES = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images"
sys.path.insert(0, str(DOCS.parent / "example_project"))

from demonstration.scenario import STARTS  # noqa: E402 - found by the line above
from demonstration.server import Shop  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
CHIEF = {"DJANGO_SUPERUSER_USERNAME": "grace", "DJANGO_SUPERUSER_EMAIL": "", "DJANGO_SUPERUSER_PASSWORD": "shop"}
RUNS = "django_ai_workflows/workflowrun/"

# How long the shop works until the pictures are taken, in seconds.
PATIENCE = 12


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    os.environ.update(CHIEF)
    with Shop(None) as shop, sync_playwright() as playwright:
        shop.manage("createsuperuser", "--noinput").wait()
        for path, data in STARTS.values():
            shop.post(path, data)
        time.sleep(PATIENCE)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            album(open_admin(browser, shop, scheme), shop, scheme)
        browser.close()


def album(page: Page, shop: Shop, scheme: str) -> None:
    take(page, f"{RUNS}?status=suspended", "waiting-list", scheme)
    take(page, RUNS, "list", scheme)
    waiting = newest(shop, "order", "suspended")
    take(page, f"{RUNS}{waiting}/change/", "waiting", scheme)
    failed = newest(shop, "payment", "failed")
    page.goto(f"{shop.url}/admin/{RUNS}{failed}/change/")
    page.locator("#wf-timeline summary").first.click()
    page.locator(".wf-failure summary").first.click()
    hide_paths = "(pre, home) => (pre.textContent = pre.textContent.replaceAll(home, '/srv'))"
    page.locator(".wf-traceback").evaluate(hide_paths, str(DOCS.parent / "example_project"))
    shoot(page, "failed", scheme)
    take(page, f"{RUNS}{waiting}/do/signal/", "signal", scheme)
    take(page, "django_ai_workflows/workflow/", "workflows", scheme)
    take(page, "django_ai_workflows/workflow/order/change/", "workflow", scheme)


def newest(shop: Shop, workflow: str, status: str) -> int:
    return max(run["id"] for run in shop.runs() if (run["workflow"], run["status"]) == (workflow, status))


def open_admin(browser: Browser, shop: Shop, scheme: str) -> Page:
    page = browser.new_page(viewport={"width": 1320, "height": 860}, color_scheme=scheme)
    page.goto(f"{shop.url}/admin/login/?next=/admin/{RUNS}")
    page.get_by_label("Username").fill(CHIEF["DJANGO_SUPERUSER_USERNAME"])
    page.get_by_label("Password").fill(CHIEF["DJANGO_SUPERUSER_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.locator("#toggle-nav-sidebar").click()  # what it lists is not what the pictures are about
    return page


def take(page: Page, path: str, name: str, scheme: str) -> None:
    page.goto(f"{page.url.partition('/admin/')[0]}/admin/{path}")
    shoot(page, name, scheme)


def shoot(page: Page, name: str, scheme: str) -> None:
    page.locator(".wf").first.wait_for()
    picture = Image.open(BytesIO(page.screenshot(animations="disabled", full_page=True))).convert("RGB")
    path = IMAGES / f"admin-{name}{'-dark' if scheme == 'dark' else ''}.png"
    picture.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
