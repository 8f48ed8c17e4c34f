"""Three nodes of one cell on this machine, filled with the demo: kill one of them and go on with another.

.venv/bin/python scripts/cluster.py [FOLDER]      Ctrl-C ends all of them; the next start goes on where this one ended
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sharelite.commands.demo import BATCH, CONTRACT, PROJECT
from sharelite.commands.demo_data import Cities, batches, operations

ROOT = Path(__file__).resolve().parent.parent
NODES = {"a": 8081, "b": 8082, "c": 8083}
PATIENCE = 60.0


def main(folder: Path) -> None:
    if not (folder / "cell.key").exists():
        hosts = [word for name in NODES for word in ("--node", f"{name}=127.0.0.1")]
        sharelite("cluster", "init", str(folder), *hosts, "--http-port", str(NODES["a"])).check_returncode()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in NODES:
            running[name] = start(folder, name)
        for name in NODES:
            until_there("/readyz", name, running[name], folder)
        until_there(f"/v1/contracts/{CONTRACT}", "a", running["a"], folder)  # whoever leads puts it there
        fill(NODES["a"])
        for name, port in NODES.items():
            print(f"node {name}  http://127.0.0.1:{port}/demo/   process {running[name].pid}, log {folder / name}.log")
        print("Kill one (kill -9), edit at another; start it again with the command that its log begins with.")
        print(f"sharelite cluster --url http://127.0.0.1:{NODES['a']} status     Ctrl-C ends all of them")
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for process in running.values():
            process.wait()


def sharelite(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "sharelite", *words], text=True, stdout=subprocess.DEVNULL)


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "sharelite", "serve", str(folder / name), "--port", str(NODES[name]),
        "--cluster", str(folder / f"{name}.toml"), "--contracts", str(ROOT / "contracts"), "--log", "json",
    ]  # fmt: skip
    with (folder / f"{name}.log").open("ab") as log:
        log.write(f"# {' '.join(command)}\n".encode())
        log.flush()
        # A group of its own: Ctrl-C is for this script, which ends them in order.
        return subprocess.Popen(command, stdout=log, stderr=log, process_group=0)


def until_there(path: str, name: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{NODES[name]}{path}", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"node {name} did not come up; see {folder / name}.log")


def fill(port: int) -> None:
    """The demo's project, if it is not there yet; rows that are there are set again."""
    there = [each for each in ask(port, "GET", "/v1/projects")["projects"] if each["name"] == PROJECT]
    if not there:
        there = [ask(port, "POST", "/v1/projects", {"name": PROJECT, "contract": CONTRACT})]
    if there[0]["version"] is not None and there[0]["version"] > 1:
        return
    print("loading 25,000 places ...")
    for part in batches(list(operations(Cities())), BATCH):
        rows = [[each.op, each.table, list(each.key), dict(each.values)] for each in part]
        ask(port, "POST", f"/v1/projects/{there[0]['id']}/mutations", {"changes": rows, "tag": "load"})


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"content-type": "application/json"})
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    if answer.status >= 400:
        sys.exit(f"{method} {path}: {told['error']['message']}")
    return told


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("sharelite-cluster"))
