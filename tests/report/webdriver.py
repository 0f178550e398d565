"""A small client of chromedriver, so that tests need no further package."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def chromium():
    """Paths of browser and driver, or None if one of them is missing."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """A headless Chromium with a profile of its own."""

    def __init__(self, profile):
        browser, driver = chromium()
        environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        self._driver = subprocess.Popen(
            [driver, "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        port = self._port()
        self._url = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        options = {"binary": browser, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        logging = {"browser": "ALL", "performance": "ALL"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logging}
        try:
            made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._stop()
            raise
        self._url += f"/session/{made['sessionId']}"

    def _port(self):
        for line in self._driver.stdout:
            if "successfully on port" in line:
                return int(line.rsplit("port", 1)[1].strip(" .\n"))
        raise RuntimeError("chromedriver ended before it said its port")

    def _ask(self, verb, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data=data, method=verb, headers={"Content-Type": "application/json"}
        )
        try:
            with self._opener.open(request, timeout=120) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:500]) from error

    def open(self, path):
        self._ask("POST", "/url", {"url": path.resolve().as_uri()})

    def run(self, script, *arguments):
        """The value that a function body returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script, seconds=30):
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({script})"):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {script}")
            time.sleep(0.1)

    def find(self, css):
        return self._ask("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self._ask("POST", f"/element/{self.find(css)}/click", {})

    def type(self, css, text):
        self._ask("POST", f"/element/{self.find(css)}/value", {"text": text})

    def log(self, kind):
        return self._ask("POST", "/se/log", {"type": kind})

    def requests(self):
        """Addresses asked for since the last call; those inside the page or the browser left out."""
        found = []
        for entry in self.log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return [url[:200] for url in found if url.split(":")[0] not in ("data", "blob", "chrome")]

    def command(self, name, **parameters):
        """A command of the developer tools."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def screen(self, width, height, mobile=False):
        scale = 2 if mobile else 1
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=mobile,
        )

    def picture(self, whole=False):
        """A PNG of the screen, or of the whole page."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def printed(self):
        """The page as PDF."""
        return base64.b64decode(
            self.command("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
        )

    def close(self):
        try:
            self._ask("DELETE", "")
        finally:
            self._stop()

    def _stop(self):
        self._driver.terminate()
        self._driver.wait(20)
        self._driver.stdout.close()
