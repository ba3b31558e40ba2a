"""Take the pictures."""

import signal
import sys
from typing import Any

from playwright.sync_api import Error, sync_playwright

from tests.browser.pages import CHROMIUM, QUIET
from tests.browser.screenshots import IMAGES, MOST_BYTES, SECONDS
from tests.browser.screenshots.camera import Camera
from tests.browser.screenshots.service import demonstration, work
from tests.browser.screenshots.shots import SHOTS


def _is_over(_number: int, _frame: Any) -> None:
    raise TimeoutError(f"The pictures took longer than {SECONDS} s.")


def main() -> None:
    """Take all pictures, or those named as arguments. Exits with 1 if there is no such picture or a page has faults."""
    if CHROMIUM is None:
        sys.exit("No Chromium here: install one as chromium, chromium-browser or google-chrome.")
    if unknown := set(sys.argv[1:]) - {shot.name for shot in SHOTS}:
        sys.exit(f"No picture is named {', '.join(sorted(unknown))}: {', '.join(shot.name for shot in SHOTS)}.")
    chosen = [shot for shot in SHOTS if not sys.argv[1:] or shot.name in sys.argv[1:]]
    signal.signal(signal.SIGALRM, _is_over)
    signal.alarm(SECONDS)
    IMAGES.mkdir(exist_ok=True)
    with demonstration() as service, sync_playwright() as playwright:
        work(service)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        camera = Camera(browser, service)
        for shot in chosen:
            try:
                picture = camera.take(shot)
            except (Error, AssertionError) as error:
                camera.faults.append(f"{shot.name}: {error}")
                continue
            if len(picture) > MOST_BYTES:
                camera.faults.append(f"{shot.name}: {len(picture)} bytes")
            (IMAGES / shot.file).write_bytes(picture)
            sys.stdout.write(f"docs/images/{shot.file}  {len(picture) // 1000} kB\n")
            sys.stdout.flush()
        browser.close()
    if camera.faults:
        sys.exit("\n".join(camera.faults))


if __name__ == "__main__":
    main()
