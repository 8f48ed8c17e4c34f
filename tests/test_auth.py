"""Tokens: what lets somebody in, what never does, and which role comes of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sharelite import tokens
from sharelite.auth import Identity, matches
from sharelite.errors import Unauthenticated
from sharelite.tokens import Keyring, KeysInvalid, issue, load_keys

SECRET = b"0123456789abcdef0123456789abcdef"
HS256 = {"kid": "main", "alg": "HS256", "secret": base64.urlsafe_b64encode(SECRET).decode()}


def keyring(folder: Path, *entries: Mapping[str, Any], **more: Any) -> Keyring:
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": entries or (HS256,), **more}))
    return load_keys(path)


def identify(ring: Keyring, token: str) -> Identity:
    return asyncio.run(ring.identify(token))


def signed(
    claims: Mapping[str, Any], headers: Mapping[str, Any] | None = None, key: Any = SECRET, alg: str = "HS256"
) -> str:
    whole = {"sub": "ada", "exp": int(time.time()) + 600, "projects": {"*": "editor"}, **claims}
    kept = {name: value for name, value in whole.items() if value is not None}
    return jwt.encode(kept, key, algorithm=alg, headers={"kid": "main", **(headers or {})})


def raw(header: str, claims: str, signature: bytes = b"") -> str:
    parts = (header.encode(), claims.encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.fixture(scope="module")
def rsa() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def jwks(key: RSAPrivateKey) -> dict[str, Any]:
    return {"keys": [{**jwt.get_algorithm_by_name("RS256").to_jwk(key.public_key(), as_dict=True), "kid": "r1"}]}


def test_a_token_that_the_server_issued_lets_its_user_in(tmp_path: Path) -> None:  # P1
    ring = keyring(tmp_path)
    ada = identify(ring, issue(ring.keys["main"], "main", "ada", {"team-*": "editor"}, 60))
    assert (ada.user, ada.role("team-a"), ada.role("other")) == ("ada", "editor", None)
    assert ada.expires is not None and ada.expires > time.time()


def test_an_ed25519_key_signs_here_and_is_verified_where_only_its_public_half_is(tmp_path: Path) -> None:  # P1
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    signer = keyring(tmp_path, {"kid": "e", "alg": "EdDSA", "private": pem})
    token = issue(signer.keys["e"], "e", "ada", {"p": "owner"}, 60)
    assert identify(keyring(tmp_path, {"kid": "e", "alg": "EdDSA", "public": public}), token).role("p") == "owner"


def test_a_key_set_is_read_from_a_file_beside_the_key_file(tmp_path: Path, rsa: RSAPrivateKey) -> None:  # P1
    (tmp_path / "login.json").write_text(json.dumps(jwks(rsa)))
    ring = keyring(tmp_path, {"alg": "RS256", "jwks": "login.json"})
    assert identify(ring, signed({}, {"kid": "r1"}, rsa, "RS256")).user == "ada"


@pytest.fixture
def login(rsa: RSAPrivateKey) -> Iterator[tuple[str, list[str]]]:
    """A login of somebody else that serves its key set, and the requests it got."""
    asked: list[str] = []

    class Login(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps(jwks(rsa)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Login) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/jwks", asked
        server.shutdown()
        thread.join()


def test_a_key_set_is_fetched_once_however_many_unknown_kids_come(
    tmp_path: Path, rsa: RSAPrivateKey, login: tuple[str, list[str]]
) -> None:  # P1
    address, asked = login
    ring = keyring(tmp_path, {"alg": "RS256", "jwks": address})
    assert identify(ring, signed({}, {"kid": "r1"}, rsa, "RS256")).user == "ada"
    for number in range(5):
        with pytest.raises(Unauthenticated):
            identify(ring, signed({}, {"kid": f"unknown{number}"}, rsa, "RS256"))
    assert asked == ["/jwks"]


def test_a_withdrawn_key_is_trusted_for_minutes_and_without_the_key_set_for_an_hour(
    tmp_path: Path, rsa: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:  # P14
    now = time.monotonic()
    monkeypatch.setattr("sharelite.tokens.time.monotonic", lambda: now)
    keys, token = tmp_path / "login.json", signed({}, {"kid": "r1"}, rsa, "RS256")
    keys.write_text(json.dumps(jwks(rsa)))
    ring = keyring(tmp_path, {"alg": "RS256", "jwks": "login.json"})
    assert identify(ring, token).user == "ada"
    keys.unlink()
    now += tokens.LONGEST_SECONDS - 1
    assert identify(ring, token).user == "ada", "the key set cannot be had"
    now += tokens.REFRESH_SECONDS
    with pytest.raises(Unauthenticated):
        identify(ring, token)
    keys.write_text(json.dumps(jwks(rsa)))
    now += tokens.REFRESH_SECONDS
    assert identify(ring, token).user == "ada"
    keys.write_text(json.dumps({"keys": []}))
    now += tokens.LIFETIME_SECONDS - 1
    assert identify(ring, token).user == "ada", "not old enough to be read anew"
    now += 1
    with pytest.raises(Unauthenticated):
        identify(ring, token)


@pytest.mark.parametrize(
    ("what", "claims"),
    [
        ("no exp", {"exp": None}),
        ("expired five minutes ago", {"exp": int(time.time()) - 300}),
        ("valid tomorrow", {"nbf": int(time.time()) + 86_400}),
        ("for another audience", {"aud": "somebody else"}),
        ("no user", {"sub": None}),
        ("a user that is a number", {"sub": 7}),
        ("a user with a line break", {"sub": "ada\nbob"}),
        ("the name of those without a token", {"sub": "anonymous"}),
        ("no project", {"projects": None}),
        ("an unknown role", {"projects": {"*": "root"}}),
        ("a role that is a list", {"projects": {"*": ["owner"]}}),
        ("exp beyond all numbers", {"exp": float("inf")}),
    ],
)
def test_a_token_with_wrong_claims_is_refused(tmp_path: Path, what: str, claims: dict[str, Any]) -> None:  # P2
    with pytest.raises(Unauthenticated, match="^a valid token is needed$"):
        identify(keyring(tmp_path), signed(claims))


def forged(rsa: RSAPrivateKey) -> dict[str, str]:
    good, exp = signed({}), int(time.time()) + 600
    public = rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = json.dumps({"sub": "ada", "exp": exp, "projects": {"*": "owner"}})
    twins = f'{{"sub":"ada","sub":"root","exp":{exp},"projects":{{"*":"owner"}}}}'
    head = '{"alg":"HS256","kid":"main"}'
    return {
        "alg none": raw('{"alg":"none","kid":"main"}', claims),
        "alg None in another spelling": raw('{"alg":"nOnE"}', claims),
        "public key used as a secret": jwt.api_jws.PyJWS().encode(claims.encode(), b"x" * 32, headers={"kid": "r1"}),
        "signature cut off": good.rsplit(".", 1)[0] + ".",
        "signature shortened": good[:-4],
        "another secret": signed({}, key=b"f" * 32),
        "kid is a path": signed({}, {"kid": "../../dev/null"}),
        "kid is SQL": signed({}, {"kid": "' UNION SELECT 'x"}),
        "kid is an address": signed({}, {"kid": "http://127.0.0.1:9/k"}),
        "kid of the key set": signed({}, {"kid": "r1"}),
        "brings its own key": signed({}, {"jwk": {"kty": "oct", "k": HS256["secret"]}}),
        "names its own key set": signed({}, {"jku": "http://127.0.0.1:9/jwks"}),
        "critical extension": signed({}, {"crit": ["exp"]}),
        "a claim twice": jwt.api_jws.PyJWS().encode(twins.encode(), SECRET, headers={"kid": "main"}),
        "alg twice": raw('{"alg":"none","alg":"HS256","kid":"main"}', claims),
        "1 MB": good + "A" * 1_000_000,
        "1 MB of header": raw('{"kid":"' + "a" * 1_000_000 + '"}', claims),
        "deep header": raw("[" * 3000, claims),
        "not base64": "ä.ö.ü",
        "empty": "",
        "two dots": "..",
        "not an object": raw("[]", claims),
        "no algorithm": raw('{"kid":"main"}', claims),
        "public key itself": public.decode(),
        "unsigned": raw(head, claims, b"0" * 32),
    }


def test_no_forged_token_is_let_in_and_each_gets_the_same_answer(tmp_path: Path, rsa: RSAPrivateKey) -> None:  # P2
    (tmp_path / "login.json").write_text(json.dumps(jwks(rsa)))
    ring = keyring(tmp_path, HS256, {"alg": "RS256", "jwks": "login.json"})
    assert identify(ring, signed({})).user == "ada"
    let_in, answers = [], set()
    for what, token in forged(rsa).items():
        try:
            identify(ring, token)
            let_in.append(what)
        except Unauthenticated as refused:
            answers.add(str(refused))
    assert (let_in, answers) == ([], {"a valid token is needed"})


def test_a_secret_is_never_used_to_check_a_token_of_an_asymmetric_key(tmp_path: Path, rsa: RSAPrivateKey) -> None:  # P2
    public = rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "login.json").write_text(json.dumps(jwks(rsa)))
    ring = keyring(tmp_path, {"alg": "RS256", "jwks": "login.json"})
    claims = json.dumps({"sub": "ada", "exp": time.time() + 60, "projects": {}})
    head = raw('{"alg":"HS256","kid":"r1"}', claims).rsplit(".", 1)[0]
    mac = base64.urlsafe_b64encode(hmac.new(public, head.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    with pytest.raises(Unauthenticated):
        identify(ring, f"{head}.{mac}")


def test_clocks_may_differ_by_half_a_minute(tmp_path: Path) -> None:  # P2
    ring, now = keyring(tmp_path), int(time.time())
    assert identify(ring, signed({"exp": now - 20, "nbf": now + 20, "iat": now + 20})).user == "ada"


def test_an_audience_in_the_key_file_is_demanded(tmp_path: Path) -> None:  # P2
    ring = keyring(tmp_path, audience="sharelite")
    assert identify(ring, signed({"aud": "sharelite"})).user == "ada"
    with pytest.raises(Unauthenticated):
        identify(ring, signed({}))


def test_a_token_may_name_one_project_and_role(tmp_path: Path) -> None:  # P3
    ada = identify(keyring(tmp_path), signed({"projects": None, "project": "plan", "role": "owner"}))
    assert (ada.role("plan"), ada.role("plans"), ada.role_everywhere()) == ("owner", None, None)


def test_the_strongest_of_the_fitting_roles_counts(tmp_path: Path) -> None:  # P3
    ada = identify(keyring(tmp_path), signed({"projects": {"*": "reader", "team-*": "editor", "team-x": "owner"}}))
    assert [ada.role(name) for name in ("other", "team-a", "team-x")] == ["reader", "editor", "owner"]
    assert ada.role_everywhere() == "reader"


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "", True), ("*", "any", True), ("a*", "a", True), ("a*", "ba", False), ("*a", "ba", True),
        ("a*b*c", "aXbYc", True), ("a*b*c", "acb", False), ("ab*ba", "aba", False), ("a", "A", False),
        ("[a]", "a", False), ("?", "a", False), ("[a]", "[a]", True), ("a.c", "abc", False),
    ],
)  # fmt: skip
def test_a_star_stands_for_anything_and_the_rest_for_itself(pattern: str, name: str, fits: bool) -> None:  # P3
    assert matches(pattern, name) is fits


def test_a_pattern_full_of_stars_is_decided_at_once() -> None:  # P3
    assert not matches("*a" * 100 + "*b", "a" * 10_000)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"kid": "k", "alg": "HS256", "secret": "c2hvcnQ"}, "32 bytes"),
        ({"kid": "k", "alg": "none"}, "HS256 or EdDSA"),
        ({"kid": "k", "alg": "HS256"}, "'secret' is missing"),
        ({"alg": "HS256", "secret": HS256["secret"]}, "'kid' is missing"),
        ({"alg": "HS256", "jwks": "login.json"}, "RS256"),
        ({"alg": "RS256", "jwks": "http://login.example/jwks"}, "https"),
        ({"kid": "k", "alg": "EdDSA", "public": "no key"}, "keys.json"),
    ],
)
def test_a_key_file_that_cannot_be_used_says_why(tmp_path: Path, entry: dict[str, str], says: str) -> None:  # P1
    with pytest.raises(KeysInvalid, match=says):
        keyring(tmp_path, entry)


def test_a_kid_that_comes_twice_and_a_missing_file_are_told(tmp_path: Path) -> None:  # P1
    with pytest.raises(KeysInvalid, match="each kid once"):
        keyring(tmp_path, HS256, HS256)
    with pytest.raises(KeysInvalid, match="No such file"):
        load_keys(tmp_path / "nowhere.json")


def test_those_who_come_while_a_key_set_is_on_its_way_wait_for_it(
    tmp_path: Path, rsa: RSAPrivateKey, login: tuple[str, list[str]]
) -> None:  # P1
    address, asked = login
    ring = keyring(tmp_path, {"alg": "RS256", "jwks": address})
    token = signed({}, {"kid": "r1"}, rsa, "RS256")

    async def crowd() -> list[Identity]:
        return await asyncio.gather(*[ring.identify(token) for _ in range(5)])

    assert [identity.user for identity in asyncio.run(crowd())] == ["ada"] * 5 and asked == ["/jwks"]
