"""Images over HTTP: addresses, signatures, ranges, and what caches and other pages are told (SPEC I, R)."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from sharelite.auth import Identity
from sharelite.config import ImagePolicy
from sharelite.curator import Seen, due
from sharelite.storage.signatures import LIFE_SECONDS, SignatureInvalid, Signer
from tests.serving import Serving


async def login(token: str | None, connection: Any) -> Identity | None:
    return Identity(token, (("*", "owner"),)) if token == "ann" else None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One where who has no token may read nothing but what is public."""
    with Serving(tmp_path_factory.mktemp("images") / "data", token="ann", authenticate=login) as serving:
        yield serving


@pytest.fixture
def project(server: Serving) -> str:
    made = server.project()
    write(server, made, 60)
    return made


def write(server: Serving, project: str, rows: int, text: str = "x" * 2000) -> None:
    changes = [["s", "note", [f"n{n}"], {"text": f"{n} {text}"}] for n in range(rows)]
    answer = server.http.post(f"/v1/projects/{project}/mutations", json={"changes": changes})
    assert answer.status_code == 200, answer.text


def image(server: Serving, project: str) -> dict[str, Any]:
    answer = server.http.get(f"/v1/projects/{project}/image")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def nobody(server: Serving, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Somebody without a token."""
    return httpx.request(method, server.url + url, headers=headers)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_the_newest_image_is_told_and_is_a_database_of_its_version(
    server: Serving, project: str, tmp_path: Path
) -> None:  # I5
    told = image(server, project)
    answer = nobody(server, told["url"])
    assert (told["version"], told["size"], told["page_size"]) == (2, len(answer.content), 4096)
    assert told["url"].partition("?")[0] == f"/v1/images/{project}/2-{told['hash']}.db"
    (tmp_path / "image.db").write_bytes(answer.content)
    with closing(sqlite3.connect(tmp_path / "image.db")) as plain:
        assert plain.execute("SELECT count(*) FROM note").fetchone() == (60,)
        assert plain.execute('SELECT version, seq FROM "_sharelite" WHERE id=1').fetchone() == (
            (2).to_bytes(8, "big"),
            told["seq"].to_bytes(8, "big"),
        )


def test_an_address_keeps_its_meaning_whatever_is_written(server: Serving, project: str) -> None:  # I6
    told = image(server, project)
    before = nobody(server, told["url"]).content
    write(server, project, 80, "y" * 500)
    assert server.http.head(f"/v1/projects/{project}/db").headers["sharelite-version"] == "3"
    assert image(server, project)["version"] == 3
    assert nobody(server, told["url"]).content == before


def test_images_of_public_projects_have_bare_addresses(server: Serving, project: str) -> None:  # I6
    server.http.patch(f"/v1/projects/{project}", json={"public": True})
    told = image(server, project)
    assert "?" not in told["url"]
    answer = nobody(server, told["url"])
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable, no-transform"


def test_a_range_is_the_bytes_of_the_whole(server: Serving, project: str) -> None:  # R1
    url = image(server, project)["url"]
    whole = nobody(server, url).content
    for start, end in ((0, 4096), (60_000, 70_000), (65_535, 65_537), (65_536, 131_072), (0, len(whole))):
        part = nobody(server, url, range=f"bytes={start}-{end - 1}")
        assert (part.status_code, part.content) == (206, whole[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(whole)}"
        assert part.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("text", ["bytes=0-1,5-6", "bytes=99999999-", "bytes=x", "bytes=" + "0-," * 9000])
def test_what_is_refused_never_brings_the_file(server: Serving, project: str, text: str) -> None:  # R2
    told = image(server, project)
    answer = nobody(server, told["url"], range=text)
    assert code(answer) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{told['size']}"


def test_head_tells_everything_and_brings_nothing(server: Serving, project: str) -> None:  # R3
    told = image(server, project)
    answer = nobody(server, told["url"], "HEAD", range="bytes=0-5")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(told["size"]) and answer.headers["etag"] == f'"{told["hash"]}"'


def test_who_names_the_image_that_he_reads_never_gets_another(server: Serving, project: str) -> None:  # R4
    told = image(server, project)
    database = f"/v1/projects/{project}/db"
    mine = {"if-match": f'"{told["hash"]}"', "range": "bytes=0-99"}
    assert server.http.get(database, headers=mine).status_code == 206
    write(server, project, 1, "z")
    other = server.http.get(database, headers=mine)
    assert code(other) == (412, "precondition_failed")
    assert nobody(server, told["url"], **{k.replace("-", "-"): v for k, v in mine.items()}).status_code == 206


def test_who_has_it_gets_no_bytes(server: Serving, project: str) -> None:  # R5
    told = image(server, project)
    answer = server.http.get(told["url"], headers={"if-none-match": f'"{told["hash"]}"'})
    assert (answer.status_code, answer.content) == (304, b"")
    assert "immutable" in answer.headers["cache-control"]


def test_a_range_on_condition_of_another_tag_is_the_whole(server: Serving, project: str) -> None:  # R6
    told = image(server, project)
    answer = server.http.get(told["url"], headers={"range": "bytes=0-99", "if-range": '"other"'})
    assert (answer.status_code, len(answer.content)) == (200, told["size"])


def test_pages_of_any_origin_may_read_what_they_have_the_address_of(server: Serving, project: str) -> None:  # R7
    url = image(server, project)["url"]
    answer = nobody(server, url, origin="https://viewer.example", **{"accept-encoding": "gzip, br"})
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = answer.headers["access-control-expose-headers"]
    assert {"etag", "content-range", "accept-ranges"} <= set(exposed.split(", "))
    assert answer.headers["content-encoding"] == "identity" and "origin" not in answer.headers.get("vary", "").lower()
    asked = {"origin": "https://viewer.example", "access-control-request-method": "GET"}
    preflight = httpx.options(server.url + url, headers={**asked, "access-control-request-headers": "range, if-match"})
    assert {"range", "if-match"} <= set(preflight.headers["access-control-allow-headers"].split(", "))
    closed = httpx.get(f"{server.url}/v1/projects/{project}/image", headers={"origin": "https://viewer.example"})
    assert "access-control-allow-origin" not in closed.headers


def test_a_signature_is_good_for_every_image_of_its_own_project(server: Serving, project: str) -> None:  # I7
    first = image(server, project)["url"]
    write(server, project, 1, "later")
    server.http.head(f"/v1/projects/{project}/db")
    second = image(server, project)["url"]
    assert nobody(server, second.partition("?")[0] + "?" + first.partition("?")[2]).status_code == 200
    other = image(server, server.project())["url"]
    assert code(nobody(server, second.partition("?")[0] + "?" + other.partition("?")[2])) == (403, "forbidden")


@pytest.mark.parametrize("harm", ["s=x", "s=1.x", "s={}x", "s=9{}", "s=y&s={}", "s=\u0663.x", "s=" + "9" * 5000])
def test_a_signature_that_is_not_ours_is_refused(server: Serving, project: str, harm: str) -> None:  # I7
    bare, _, query = image(server, project)["url"].partition("?s=")
    assert code(nobody(server, f"{bare}?{harm.format(query)}")) == (403, "forbidden")
    nowhere = bare.replace(project, "0" * 32)
    assert code(nobody(server, f"{nowhere}?{harm.format(query)}")) == (403, "forbidden")


def test_a_private_image_without_a_signature_takes_a_token(server: Serving, project: str) -> None:  # I7
    bare = image(server, project)["url"].partition("?")[0]
    assert code(nobody(server, bare)) == code(nobody(server, bare + "?s=")) == (401, "unauthenticated")
    answer = server.http.get(bare)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable, no-transform"
    signed = nobody(server, image(server, project)["url"]).headers["cache-control"]
    assert signed.startswith("public, max-age=4") and signed.endswith("immutable, no-transform")


def test_a_signature_expires_and_belongs_to_one_key() -> None:  # I7
    signer, now = Signer(b"k" * 32), 1_800_000_000.0
    signature = signer.sign("p", now)
    assert signer.check("p", signature, now + LIFE_SECONDS) > now + LIFE_SECONDS
    assert signer.sign("p", now + 1) == signature
    for project, text, later in (("q", signature, 0), ("p", signature, LIFE_SECONDS + 3600), ("p", "x" + signature, 0)):
        with pytest.raises(SignatureInvalid):
            signer.check(project, text, now + later)
    with pytest.raises(SignatureInvalid):
        Signer(b"j" * 32).check("p", signature, now)


def test_an_image_that_never_was_is_404(server: Serving, project: str) -> None:  # I8
    image(server, project)
    for file in (f"2-{'0' * 64}.db", "2-x.db", "latest.db", f"{'9' * 30}-{'0' * 64}.db"):
        assert code(server.http.get(f"/v1/images/{project}/{file}")) == (404, "not_found")
    assert code(server.http.get(f"/v1/images/{'0' * 32}/2-{'0' * 64}.db")) == (404, "not_found")


def test_five_viewers_of_retired_images_are_told_the_way_on(server: Serving, project: str) -> None:  # I8
    old = []
    for turn in range(5):
        old.append(image(server, project)["url"])
        write(server, project, 1, f"turn {turn}")
        server.http.head(f"/v1/projects/{project}/db")
    whole = nobody(server, old[0])
    assert whole.status_code == 200
    images = server.app.state.house.gallery.of(project)
    assert len(images.retire_old(ImagePolicy(unread=0, read=0), 1e12)) == 5
    for url in old:
        answer = nobody(server, url, range="bytes=0-99")
        assert code(answer) == (410, "gone")
        assert nobody(server, answer.json()["image"]["url"]).headers["etag"] == f'"{answer.json()["image"]["hash"]}"'


def test_a_chunk_that_is_not_itself_is_never_sent_and_made_anew(server: Serving, project: str) -> None:  # I17
    url, database = image(server, project)["url"], f"/v1/projects/{project}/db"
    newest = server.app.state.house.gallery.of(project).newest()
    path = server.app.state.house.gallery.chunks.path(newest.manifest.chunk(1))
    path.write_bytes(b"\x00" * 65_536)
    assert code(nobody(server, url, range="bytes=65536-70000")) == (500, "damaged")
    assert nobody(server, url, range="bytes=0-100").status_code == 206
    assert server.http.get(database).status_code == 200
    assert nobody(server, url, range="bytes=65536-70000").status_code == 206


def test_an_edited_project_gets_an_image_by_itself(tmp_path: Path) -> None:  # I13
    with Serving(tmp_path / "data", images=ImagePolicy(quiet=0.0, every=0.0)) as serving:
        made = serving.project()
        write(serving, made, 1)
        told = None
        while told is None or told["version"] != 2:
            with serving.open(made) as talk:
                told = talk.welcome["image"]


def test_an_image_is_due_when_edits_pause_or_never_do() -> None:  # I13
    policy, seen = ImagePolicy(quiet=10, every=60, behind=300), Seen(2, behind=1000.0, moved=1000.0, tried=0.0)
    assert [due(seen, policy, 1000.0 + later) for later in (9, 10)] == [False, True]
    busy = Seen(2, behind=1000.0, moved=1299.0, tried=900.0)
    assert [due(busy, policy, now) for now in (1299.5, 1300.0)] == [False, True]
    lately = Seen(2, behind=1000.0, moved=1000.0, tried=990.0)
    assert [due(lately, policy, now) for now in (1040.0, 1050.0)] == [False, True]


def test_images_are_of_one_version_while_others_edit_publish_and_delete(server: Serving, tmp_path: Path) -> None:  # I16
    made, problems = server.project(), []
    write(server, made, 20)

    def edit(number: int) -> None:
        for turn in range(15):
            row = ["i", "note", [f"{number}-{turn}"], {"text": "x" * 500}]
            server.http.post(f"/v1/projects/{made}/mutations", json={"changes": [row]})

    def load(number: int) -> None:
        for turn in range(8):
            answer = server.http.get(f"/v1/projects/{made}/db")
            if answer.status_code != 200:
                problems.append((turn, answer.status_code))
                return
            path = tmp_path / f"{number}-{turn}.db"
            path.write_bytes(answer.content)
            with closing(sqlite3.connect(path)) as plain:
                assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                (rows,) = plain.execute("SELECT count(*) FROM note").fetchone()
            if rows != 20 + int(answer.headers["sharelite-version"]) - 2:
                problems.append((turn, rows))

    with ThreadPoolExecutor(7) as pool:
        work = [pool.submit(edit, number) for number in range(3)] + [pool.submit(load, number) for number in range(3)]
        wait(work)
        assert [each.exception() for each in work] == [None] * 6 and problems == []
        last = pool.submit(load, 9)
        server.http.delete(f"/v1/projects/{made}")
        assert last.exception() is None
    assert all(status in (404, 503) for _, status in problems)


def test_the_pages_that_differ_between_two_images(server: Serving, project: str) -> None:  # I9
    one = image(server, project)
    write(server, project, 1, "short")
    server.http.head(f"/v1/projects/{project}/db")
    answer = server.http.get(f"/v1/projects/{project}/pages", params={"from": 2, "to": 3}).json()
    assert (answer["from"], answer["to"], answer["pages"][0]) == (2, 3, 1)
    assert 1 < len(answer["pages"]) < one["size"] // 4096
    assert code(server.http.get(f"/v1/projects/{project}/pages", params={"from": 1, "to": 3})) == (410, "gone")
    assert code(server.http.get(f"/v1/projects/{project}/pages", params={"from": 2})) == (400, "bad_request")


def test_welcome_names_the_newest_image(server: Serving, project: str) -> None:  # I10
    with server.open(project) as talk:
        assert talk.welcome["image"] is None
    told = image(server, project)
    with server.open(project) as talk:
        assert {**talk.welcome["image"], "url": ""} == {**told, "url": ""}
        assert nobody(server, talk.welcome["image"]["url"]).status_code == 200


def test_the_hash_can_be_worked_out_by_whoever_has_the_file(server: Serving, project: str) -> None:  # I3
    told = image(server, project)
    whole = nobody(server, told["url"]).content
    pieces = [hashlib.sha256(whole[n : n + 65_536]).digest() for n in range(0, len(whole), 65_536)]
    assert hashlib.sha256(b"".join(pieces)).hexdigest() == told["hash"]
