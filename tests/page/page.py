#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page that the broker serves, in headless Chromium: numbers that live, a topic and its rings, the graph, light and
dark, narrow and wide, names that mean harm, and a broker that dies and comes back. Pictures of it are left in OUTPUT.

Nothing but Debian's packages chromium, chromium-driver and python3-selenium is needed; without them it is skipped.

usage: page.py KICKMSGD TRAFFIC OUTPUT
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
PATIENCE = 40  # seconds; on an idle machine all comes within two
EVIL = "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"  # a topic's name, escaped as all names are
EVIL_TEXT = "<img src=x onerror=alert(1)>"

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None


def skip():
    for program, package in ((CHROMIUM, "chromium"), (DRIVER, "chromium-driver")):
        if not os.access(program, os.X_OK):
            return f"{program} isn't there (Debian: {package})"
    return None if webdriver else "this Python has no selenium (Debian: python3-selenium)"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Bench:
    """A broker, its clients and a browser, in a folder of their own. All end with it, whatever happens."""

    def __init__(self, kickmsgd, traffic, output):
        self.folder = tempfile.mkdtemp(prefix="kickmsg-page-")
        self.kickmsgd, self.output = kickmsgd, output
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.processes, self.browser, self.service = [], None, None
        os.makedirs(output, exist_ok=True)
        with open(f"{self.folder}/config", "w", encoding="utf-8") as file:
            file.write(f"[metrics]\nlisten = 127.0.0.1:{self.port}\n")
        self.traffic_program = traffic

    def start(self, *words):
        log = open(f"{self.folder}/log", "a", encoding="utf-8")
        environment = {**os.environ, "KICKMSG_SOCKET": f"{self.folder}/s"}
        process = subprocess.Popen(words, stderr=log, stdout=log, env=environment)
        log.close()
        self.processes.append(process)
        return process

    def start_broker(self):
        self.broker = self.start(self.kickmsgd, "--config", f"{self.folder}/config", "--socket", f"{self.folder}/s")
        wait(self.answers, "the broker serves")

    def answers(self):
        with socket.socket() as peer:
            return peer.connect_ex(("127.0.0.1", self.port)) == 0 and self.broker.poll() is None

    def start_browser(self):
        options = Options()
        options.binary_location = CHROMIUM
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     "--disable-dev-shm-usage", "--disable-default-apps", "--hide-scrollbars",
                     "--force-color-profile=srgb", f"--user-data-dir={self.folder}/profile"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.service = Service(DRIVER)
        environment = {**os.environ, "HOME": self.folder, "XDG_CONFIG_HOME": self.folder, "XDG_CACHE_HOME": self.folder}
        self.service.env = environment
        self.browser = webdriver.Chrome(service=self.service, options=options)
        self.browser.set_page_load_timeout(PATIENCE)
        self.browser.set_script_timeout(PATIENCE)

    def end(self):
        try:
            if self.browser:
                self.browser.quit()
        except Exception:
            pass
        self.end_browser()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for _ in range(50):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                return
            time.sleep(0.1)

    def end_browser(self):
        """Ends processes that the browser has left. They have its folder in their environment or arguments."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                for part in ("environ", "cmdline"):
                    with open(f"/proc/{pid}/{part}", "rb") as file:
                        if self.folder.encode() in file.read():
                            os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        if self.service and getattr(self.service, "process", None):
            self.service.process.wait()

    # --- what a user sees

    def run(self, script, *words):
        return self.browser.execute_script(script, *words)

    def text(self, selector):
        return self.run("const e = document.querySelector(arguments[0]); return e ? e.textContent : ''", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def has_line(self, selector):
        """Is a sparkline of more than one value drawn there?"""
        return self.run("const e = document.querySelector(arguments[0] + ' .line');"
                        "return e !== null && (e.getAttribute('d') || '').includes('L')", selector)

    def look(self, width, height, scheme):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                     {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                     {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def picture(self, name):
        path = f"{self.output}/{name}.png"
        self.browser.save_screenshot(path)
        expect(os.path.getsize(path) > 5000, f"{path} is a picture")

    def check_width(self, width):
        seen = self.run("return document.documentElement.scrollWidth")
        expect(seen <= width, f"nothing sticks out at {width} px, but it takes {seen}")


def expect(good, what):
    if not good:
        raise AssertionError(what)


def wait(ready, what):
    end = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {PATIENCE} s")
        time.sleep(0.1)


def number(text):
    """A rate as the page writes it, of messages or of bytes; -1: it isn't known."""
    units = {"k": 1e3, "M": 1e6, "B": 1, "KiB": 1024, "MiB": 1048576}
    words = (text or "").replace("/s", "").replace(",", "").split()
    try:
        return float(words[0]) * (units[words[1]] if len(words) > 1 else 1)
    except (ValueError, IndexError, KeyError):
        return -1


def row(bench, name):
    """The cells of a topic's row, by their columns' titles. Empty: there is no such row."""
    return bench.run("""
        const titles = [...document.querySelectorAll('#topics thead th')].map((head) => head.textContent);
        for (const row of document.querySelectorAll('#topics tbody tr'))
            if (row.querySelector('a').textContent === arguments[0])
                return Object.fromEntries(titles.map((title, i) => [title, row.cells[i].textContent]));
        return {};""", name)


def column(bench, table, title):
    """The cells of one of a topic page's tables, in the column with this title."""
    at = bench.texts(f"{table} thead th").index(title) + 1
    return bench.texts(f"{table} tbody td:nth-child({at})")


def check_table(bench):
    expected = [f"kickmsg:{name}" for name in ("camera/front", "camera/rear", EVIL, "odom", "plan", "points")]
    wait(lambda: sorted(bench.texts("#topics tbody a")) == sorted(expected), "all topics are in the table")
    # odom sends 400 a second on an idle machine
    wait(lambda: 1 < number(row(bench, "kickmsg:odom").get("Sent/s")) < 2000, "odom has a rate")
    # a message of odom has 100 bytes
    wait(lambda: 100 < number(row(bench, "kickmsg:odom")["Bytes/s"]) < 200000, "and one of bytes")
    wait(lambda: number(row(bench, "kickmsg:odom")["Lost/s"]) > 1, "odom loses")
    expect(number(row(bench, "kickmsg:plan")["Lost/s"]) == 0, "plan loses nothing")
    odom = row(bench, "kickmsg:odom")
    expect((odom["Publishers"], odom["Subscribers"]) == ("1", "2"), "odom has a publisher and two subscribers")
    wait(lambda: number(bench.text("#tile-sent .big")) > 1, "the sum has a rate")
    wait(lambda: bench.has_line("#tile-sent"), "its line is drawn")
    before = row(bench, "kickmsg:odom")["Lost"]
    wait(lambda: row(bench, "kickmsg:odom")["Lost"] != before, "the count lives")
    wait(lambda: bench.texts("#topics tbody a")[0] == "kickmsg:odom", "the busiest topic is the first")


def check_keyboard(bench):
    """Sorted and filtered without a mouse."""
    button = bench.browser.find_element("css selector", "#sort-name")
    button.send_keys(Keys.ENTER)
    names = bench.texts("#topics tbody a")
    expect(names == sorted(names), f"sorted by name: {names}")
    expect(len(bench.texts("#topics th:first-child[aria-sort=ascending]")) == 1, "and says so")
    bench.browser.find_element("css selector", "#filter").send_keys("CAM fr")
    wait(lambda: bench.texts("#topics tbody a") == ["kickmsg:camera/front"], "filtered")
    expect("1 of 6 topics" in bench.text("#shown"), "and counted")
    bench.browser.find_element("css selector", "#filter").send_keys("x")
    wait(lambda: "no topic has that" in bench.text("#topics .empty"), "nothing is said to be nothing")
    bench.browser.find_element("css selector", "#filter").send_keys(Keys.BACKSPACE * 7)
    wait(lambda: len(bench.texts("#topics tbody a")) == 6, "all again")
    bench.browser.find_element("css selector", "#sort-sent_rate").send_keys(Keys.ENTER)


def check_topic(bench):
    bench.run("[...document.querySelectorAll('#topics tbody a')].find((a) => a.textContent === 'kickmsg:odom').click()")
    wait(lambda: bench.text("#topic h1") == "kickmsg:odom", "the topic's page")
    wait(lambda: len(bench.texts("#rings tbody tr")) == 2, "two rings")
    slow = "#rings tbody tr:has(td[title='slow%20recorder'])"
    wait(lambda: "slowest" in bench.text(slow), "the slow one is said to be the slowest")
    wait(lambda: number(bench.texts(f"{slow} td")[6]) > 1, "it loses")
    waiting = bench.texts(f"{slow} td")[4]
    expect(waiting.endswith(" of 16"), f"its ring has 16 cells: {waiting}")
    expect(bench.texts("#publishers tbody td")[0] == "odometry", "its publisher")
    wait(lambda: number(column(bench, "#publishers", "Sent/s")[0]) > 1, "which has a rate")
    expect(number(column(bench, "#publishers", "Bytes/s")[0]) > 100, "of bytes too")
    expect(" B" in bench.text("#topic .tile") or "iB" in bench.text("#topic .tile"), "and so has the topic")
    # a client's text is shown as text, never as HTML
    expect(EVIL_TEXT + ", version 3" in bench.texts("#topic dd"), "the schema's name is shown as it is")
    wait(lambda: bench.has_line("#topic"), "a line of its rates")


def check_graph(bench):
    bench.browser.get(bench.url + "#/graph")
    wait(lambda: len(bench.texts("#graph .node.topic")) == 6, "six topics are drawn")
    expect(len(bench.texts("#graph .node.publisher")) == 5, "five publishers")
    expect(len(bench.texts("#graph .node.subscriber")) == 5, "five subscribers")
    expect(len(bench.texts("#graph .edge")) == 14, "fourteen lines")
    wait(lambda: len(bench.texts("#graph .edge.lossy .loss")) >= 1, "losses are on the lines")
    wait(lambda: any(number(text) > 1 for text in bench.texts("#graph .edge:not(.lossy) text")), "and rates")
    bench.run("[...document.querySelectorAll('#graph a')].find((a) => a.textContent.includes('kickmsg:plan'))"
              ".dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, view: window }))")
    wait(lambda: bench.text("#topic h1") == "kickmsg:plan", "a topic of the graph leads to its page")
    bench.browser.get(bench.url + "#/graph")
    wait(lambda: any(number(text) > 1 for text in bench.texts("#graph .edge text")), "the graph again")


def check_dark(bench):
    def colours():
        return bench.run("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]")

    def light(colour):
        return sum(int(part) for part in colour[colour.index("(") + 1:colour.index(")")].split(",")[:3])

    bench.look(1280, 800, "light")
    back, ink = colours()
    expect(light(back) > 600 > 300 > light(ink), f"dark on light: {back} {ink}")
    bench.look(1280, 800, "dark")
    back, ink = colours()
    expect(light(back) < 150 < 500 < light(ink), f"light on dark: {back} {ink}")


def check_unknown(bench):
    bench.browser.get(bench.url + "#/topic/kickmsg:nothing")
    wait(lambda: "no such topic" in bench.text("#topic"), "an unknown topic is said to be unknown")
    bench.browser.get(bench.url + "#/topic/%E0%A4%A")
    wait(lambda: "no such topic" in bench.text("#topic"), "and a name that can't be, too")


def check_restart(bench):
    bench.browser.get(bench.url + "#/")
    wait(lambda: bench.text("#state") == "live", "live")
    bench.broker.kill()
    bench.broker.wait()
    wait(lambda: bench.text("#state") == "no answer", "the page says that the broker is gone")
    expect("hasn't answered since" in bench.text("#trouble"), "and since when")
    bench.picture("gone")
    bench.start_broker()
    wait(lambda: bench.text("#state") == "live", "it comes back by itself")
    wait(lambda: str(bench.broker.pid) in bench.text("#about"), "and shows the new broker")
    wait(lambda: number(row(bench, "kickmsg:odom").get("Sent/s")) > 1, "with its topics")
    expect(not bench.run("return document.querySelector('#trouble').checkVisibility()"), "nothing is wrong any more")


def check_nothing_ran(bench):
    """No name became an element, and nothing was asked for but what this broker serves."""
    expect(bench.run("return document.images.length") == 0, "no name became an image")
    asked = 0
    for entry in bench.browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            expect(url.startswith((bench.url, "data:", "chrome:", "about:")), f"asked elsewhere: {url}")
            asked += url.startswith(bench.url)
    expect(asked > 20, f"it asks this broker: {asked}")


# a browser writes each of these into its console by itself
UNKNOWN = (("/topic.json", "404"), ("/topic.json", "400"))
GONE = (("net::ERR_",),)


def check_log(bench, known):
    """The browser's console has no messages but those of KNOWN."""
    for entry in bench.browser.get_log("browser"):
        expect(any(all(word in entry["message"] for word in words) for words in known), f"console: {entry['message']}")


def check_all(bench):
    bench.look(1280, 800, "light")
    bench.browser.get(bench.url)
    check_table(bench)
    check_keyboard(bench)
    bench.picture("topics-light")
    bench.check_width(1280)
    check_topic(bench)
    bench.look(1280, 1000, "light")
    bench.picture("topic-light")
    check_graph(bench)
    bench.picture("graph-light")
    check_dark(bench)
    bench.picture("graph-dark")
    for width in (400, 1600):
        bench.look(width, 900, "dark")
        for view in ("#/graph", "#/topic/kickmsg:odom", "#/"):
            bench.browser.get(bench.url + view)
            wait(lambda: bench.text("#state") == "live" and bench.text("main"), "live")
            bench.check_width(width)
        bench.picture(f"topics-dark-{width}")
    check_log(bench, ())
    check_unknown(bench)
    check_nothing_ran(bench)
    check_log(bench, UNKNOWN)
    check_restart(bench)
    check_log(bench, UNKNOWN + GONE)


def main():
    why = skip()
    if why:
        print(f"skipped: {why}")
        return 77
    os.environ["no_proxy"] = "localhost,127.0.0.1"
    bench = Bench(*sys.argv[1:4])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        bench.start_broker()
        traffic = bench.start(bench.traffic_program)
        bench.start_browser()
        check_all(bench)
        expect(traffic.poll() is None, "the clients noticed nothing")
        print(f"pictures: {bench.output}")
        return 0
    except (AssertionError, WebDriverException) as error:
        print(f"FAILED: {error}")
        try:
            bench.browser.save_screenshot(f"{bench.output}/failed.png")
        except Exception:
            pass
        with open(f"{bench.folder}/log", encoding="utf-8") as file:
            print(file.read()[-2000:])
        return 1
    finally:
        bench.end()


sys.exit(main())
