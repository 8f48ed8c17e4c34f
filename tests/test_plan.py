"""The plan of a cell, as its file says it (SPEC K58)."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharelite.cluster.plan import Address, Plan, PlanInvalid, new_key, read_plan, text

NODE = '[nodes.a]\nraft = "127.0.0.1:1"\npeer = "127.0.0.1:2"\nurl = "http://127.0.0.1:3"\n'
OTHER = '[nodes.b]\nraft = "127.0.0.1:1"\npeer = "127.0.0.1:4"\nurl = "http://127.0.0.1:5"\n'
KEY = "0" * 64


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:  # K58
    key = new_key()
    nodes = {name: Address(f"[::1]:{at}", f"127.0.0.1:{at}", "http://x") for at, name in enumerate("abc", 1)}
    plan = Plan("c1", "b", bytes.fromhex(key), nodes, True)
    (tmp_path / "cell.key").write_text(key + "\n")
    (tmp_path / "cell.toml").write_text(text(plan, "cell.key"))
    assert read_plan(tmp_path / "cell.toml", {}) == plan
    assert read_plan(tmp_path / "cell.toml", {"SHARELITE_CLUSTER_KEY": KEY}).key == bytes(32)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("cluster =", "Invalid value"),
        (f'cluster = "c"\nnode = "b"\nkey = "{KEY}"\n{NODE}', r"no \[nodes.b\]"),
        (f'cluster = "c"\nnode = "a"\n{NODE}', "there is no key"),
        (f'cluster = "c"\nnode = "a"\nkey = "short"\n{NODE}', "64 hexadecimal"),
        (f'cluster = "c"\nnode = "a"\nkey = "{KEY}"\nport = 1\n{NODE}', "port"),
        (f'cluster = "c"\nnode = "a"\nkey = "{KEY}"\n{NODE.replace(":2", ":99999")}', "nodes.a.peer"),
        (
            f'cluster = "c"\nnode = "a"\nkey = "{KEY}"\n{NODE.replace(":2", ":1")}',
            "nodes.a.peer.* nodes.a.raft",
        ),
        (f'cluster = "c"\nnode = "a"\nkey = "{KEY}"\n{NODE}{OTHER}', "nodes.b.raft.* nodes.a.raft already"),
        (f'cluster = "c"\nnode = "a"\nkey = "{KEY}"\n{NODE}{NODE}', "nodes"),
        (f'cluster = "c"\nnode = "a"\nkey = "{KEY}"\n{NODE.replace("http://", "")}', "nodes.a.url"),
        (f'cluster = "c"\nnode = "a"\nkey = "{KEY}"\n{NODE}https = true', "https"),
        (f'cluster = "c"\nnode = "a"\nkey = "{KEY[2:]}"\n{NODE}', "key: .* 64 hexadecimal digits, this one 62"),
        (f'cluster = "c"\nnode = "a"\nkey_file = "none"\n{NODE}', "key_file .*none: No such file"),
        (f'cluster = "c"\nkey = "{KEY}"\n{NODE}', "missing required field `node`"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(tmp_path: Path, content: str, why: str) -> None:  # K58
    (tmp_path / "cell.toml").write_text(content)
    with pytest.raises(PlanInvalid, match=why):
        read_plan(tmp_path / "cell.toml", {})
