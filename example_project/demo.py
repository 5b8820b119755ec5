"""The demonstration: starts the shop, lets its workflows run, and shows how each moves."""

import argparse
import signal
import sys
import time

from demonstration.scenario import Line, Titles, lines, start_all
from demonstration.screen import LiveScreen, PlainScreen, Screen, footer
from demonstration.server import USUAL_PORT, DemoFailed, Shop

# Seconds in which what needs no person must have completed.
PATIENCE = 120
LOOK_EVERY = 0.25


def main() -> int:
    options = parse_arguments()
    signal.signal(signal.SIGTERM, leave)
    # As a background job of a script it is started with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # the terminal was closed
        signal.signal(signal.SIGHUP, leave)
    try:
        with Shop(options.port) as shop:
            if options.port is None and shop.port != USUAL_PORT:
                print(f"Port {USUAL_PORT} is taken by another program, so the shop takes {shop.port}.")
            demonstrate(shop, once=options.once)
    except DemoFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("All of it has stopped.")
        return 130 if options.once else 0
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="End when all that needs no person has completed.")
    parser.add_argument("--port", type=int, help=f"The shop's port (default: {USUAL_PORT}, or any that is free).")
    return parser.parse_args()


def demonstrate(shop: Shop, *, once: bool) -> None:
    titles = start_all(shop)
    print(f"The shop is at {shop.url}/ and {len(titles)} workflows are on their way.", flush=True)
    watches = sys.stdout.isatty() and not once
    screen: Screen = LiveScreen(shop.url) if watches else PlainScreen()
    with screen:
        settled = watch(shop, titles, screen, deadline=time.monotonic() + PATIENCE)
        if not watches:
            print(footer(settled, shop.url, stays=not once), flush=True)
        while not once:
            time.sleep(LOOK_EVERY)
            screen.show(lines(shop, titles))


def watch(shop: Shop, titles: Titles, screen: Screen, deadline: float) -> list[Line]:
    """Show the runs until each has completed or waits for a person, and return them."""
    while True:
        now = lines(shop, titles)
        screen.show(now)
        late = [line for line in now if not line.is_settled]
        if not late:
            break
        if time.monotonic() > deadline:
            raise DemoFailed(f"After {PATIENCE} s not completed: {describe(late)}.{shop.last_words()}")
        time.sleep(LOOK_EVERY)
    if failed := [line for line in now if line.status in ("failed", "cancelled")]:
        raise DemoFailed(f"Failed: {describe(failed)}.{shop.last_words()}")
    return now


def describe(faulty: list[Line]) -> str:
    return "; ".join(f"{line.title} ({line.status} at {line.step}: {line.news})" for line in faulty)


def leave(*_: object) -> None:
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main())
