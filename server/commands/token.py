"""`sharelite token`: tokens, and the key file they are signed with."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
from pathlib import Path
from typing import get_args

import click

from ..auth import Role
from ..tokens import issue, load_keys

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Span(click.ParamType[int]):
    """A time like 30m, 8h or 7d, in seconds."""

    name = "span"

    def convert(self, value: str | int, param: click.Parameter | None, context: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", value)
        if not match:
            self.fail(f"{value!r} is not a time; write 30m, 8h or 7d", param, context)
        return int(match[1]) * UNITS[match[2]]


@click.command()
@click.option(
    "--key", "path", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The key file of the server."
)
@click.option("--kid", help="Which of its keys signs; needed where it has several.")
@click.option("--create", is_flag=True, help="Make the key file, with a new secret, if it is not there.")
@click.option("--user", required=True, help="Whose token it is.")
@click.option("--project", "projects", multiple=True, default=("*",), help="A project's id or name; * is anything.")
@click.option("--role", default="editor", type=click.Choice(get_args(Role)), show_default=True)
@click.option("--expires", default="8h", type=Span(), show_default=True, help="When it ends: 30m, 8h, 7d.")
def token(
    path: Path, kid: str | None, create: bool, user: str, projects: tuple[str, ...], role: Role, expires: int
) -> None:
    """Print a token for a user.

    \b
    Examples:
      sharelite token --key keys.json --create --user ada --role owner
      sharelite token --key keys.json --user bob --project 'team-*' --expires 30m

    \b
    A key file is JSON; keep it from others. Each key fixes its algorithm:
      {"audience": "my-app",
       "keys": [{"kid": "main", "alg": "HS256", "secret": "<base64url, 32 bytes or more>"},
                {"kid": "ci", "alg": "EdDSA", "public": "-----BEGIN PUBLIC KEY-----..."},
                {"alg": "RS256", "jwks": "https://login.example/.well-known/jwks.json"}]}
    A key with "private" instead of "public" can make tokens too. audience and issuer may be left out.
    """
    if create and not path.exists():
        make_keys(path)
        click.echo(f"{path}: made, with a new secret", err=True)
    keys = {name: key for name, key in load_keys(path).keys.items() if key.signing is not None}
    if kid is None and len(keys) == 1:
        kid = next(iter(keys))
    if kid not in keys:
        raise click.UsageError(f"--kid: one of {', '.join(keys) or 'none; no key of this file can make tokens'}")
    click.echo(issue(keys[kid], kid, user, {project: role for project in projects}, expires))


def make_keys(path: Path) -> None:
    """A key file with one new secret that only its owner can read."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"keys": [{"kid": secrets.token_hex(4), "alg": "HS256", "secret": secret}]}, file, indent=2)
        file.write("\n")
