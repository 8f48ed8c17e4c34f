"""SQLAlchemy's own tests for dialects, on a server of ours; what is left out stands in server/driver/README.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.serving import Serving

FOLDER = Path(__file__).parent / "compliance"
SECONDS = 900.0


def test_sqlalchemys_tests_for_dialects_pass(tmp_path: Path) -> None:  # D12
    with Serving(tmp_path / "data") as server:
        project = server.http.post("/v1/projects", json={"name": "compliance"}).json()["id"]
        url = f"sharelite://127.0.0.1:{server.port}/{project}?timeout=60"
        options = ["-c", str(FOLDER / "setup.cfg"), "--rootdir", str(FOLDER), "--dburi", url, str(FOLDER / "suite.py")]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options], cwd=FOLDER.parents[1], capture_output=True, text=True,
            timeout=SECONDS,
        )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR", "INTERNALERROR"))]
    assert done.returncode == 0, "\n".join([*said[:50], done.stdout[-4000:], done.stderr[-2000:]])
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) > 1000, done.stdout[-1000:]
