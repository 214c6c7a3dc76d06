"""What `tenminute model shadow | canary | promote | rollback | approve` do: commands on aliases."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.control_v1 import (
    CommandRefusedError,
    countersigned,
    decode_command,
    encode_command,
)
from stream.codec.headers import Headers
from stream.codec.signatures import key_id
from stream.config import Settings
from stream.domain.control import Action, Command, Placed, Scope, Switches
from stream.domain.lineup import Alias, Pin, order
from stream.domain.topics import CONTROL
from stream.edge.model_folder import trusted_keys
from stream.edge.registry import start_of
from stream.errors import ConfigError, ModelError
from stream.ops import control
from stream.ops.model import Examined, examine
from stream.ports import Record

Signed = tuple[bytes, bytes, Headers]


class Proposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command that one person has signed, on its way to a second."""

    key: str
    value: str
    headers: dict[str, str]


class Place(NamedTuple):
    """A place of a model and the version meant for it; None for nobody."""

    model: str
    alias: Alias
    version: str | None
    share_bps: int | None = None
    rollback: bool = False


def champion_of(settings: Settings, switches: Switches, model: str) -> Pin:
    """The release that decides by these switches, or that engines start with."""
    standing = switches.aliases(model).champion
    if standing is not None:
        return standing.pin
    return start_of(settings.models_dir, model, trusted_keys(settings))


def facts_of(settings: Settings, switches: Switches, place: Place, reason: str) -> dict[str, Any]:
    """What a command says that puts a version into a place; the version is checked first."""
    change: dict[str, Any] = {"alias": place.alias}
    if place.version is not None:
        champion = champion_of(settings, switches, place.model)
        change |= _pinned(settings, place)
        _check_succession(place, champion.version)
        if place.alias is not Alias.SHADOW:
            change |= _replaced(switches, place, champion)
    if place.alias is Alias.CHALLENGER and place.version is not None:
        # Drawn by the release, so that a larger share keeps whom the smaller one had.
        change |= {"share_bps": place.share_bps, "salt": change["manifest_sha256"][:16]}
    return {
        "action": Action.MODEL,
        "scope": Scope.MODEL,
        "name": place.model,
        "reason": reason,
        "model": change,
    }


def before(switches: Switches, model: str) -> str:
    """What the champion in force replaced; ConfigError when no command put it there."""
    standing = switches.aliases(model).champion
    if standing is None or standing.replaces is None or standing.replaces == standing.version:
        raise ConfigError(
            f"no command has put the champion of {model} in force",
            fix="name the version to go back to: --to 1.0.0",
        )
    return standing.replaces


def signed_by(command: Command, keys: list[Ed25519PrivateKey]) -> Signed:
    """The command under all signatures it needs; ConfigError when there are too few."""
    if len({key_id(key.public_key()) for key in keys}) < command.signatures or len(keys) > 2:
        raise ConfigError(
            f"this command needs {command.signatures} signatures of different keys",
            fix="give --key-file once for each, or --propose FILE and let a second person "
            "run: tenminute model approve FILE",
        )
    return encode_command(command, *keys)


def propose(file: Path, command: Command, private: Ed25519PrivateKey) -> None:
    """Write the command, signed once, for a second person to approve."""
    key, value, headers = encode_command(command, private)
    named = {name: text.decode() for name, text in headers}
    proposal = Proposal(key.decode(), value.decode(), named)
    try:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(proposal), indent=2) + b"\n")
    except OSError as error:
        raise ConfigError(f"{file}: {error}", fix="name a file that can be written") from None


def countersign(
    settings: Settings, file: Path, second: Ed25519PrivateKey
) -> tuple[Command, Signed]:
    """The proposed command under both signatures, as an engine would take it."""
    fix = "have it proposed again: tenminute model promote --propose FILE"
    try:
        proposal = msgspec.json.decode(file.read_bytes(), type=Proposal)
        draft = msgspec.json.decode(proposal.value, type=Command)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}", fix=fix) from None
    key, value = proposal.key.encode(), proposal.value.encode()
    headers = [(name, text.encode()) for name, text in proposal.headers.items()]
    headers += countersigned(key, value, draft, second)
    trusted = control.trusted_of(settings, second)
    record = Record(CONTROL, 0, 0, key, value, headers, int(time.time() * 1000))
    try:
        return decode_command(record, trusted), (key, value, headers)
    except CommandRefusedError as refused:
        raise ConfigError(
            f"{file}: engines would refuse it: {refused.refusal.value}", fix=fix
        ) from None


def check_follows(settings: Settings, switches: Switches, command: Command) -> None:
    """ConfigError where a proposal no longer follows from who is champion, now that it is signed.

    An engine would refuse it; but the first champion ever commanded it takes at its word.
    """
    change = command.model
    if change is None:
        return
    unfit = switches.unfit(Placed(command, switches.version + 1))
    if unfit is None and change.decides and switches.aliases(command.name).champion is None:
        starts = champion_of(settings, switches, command.name)
        if change.replaced != starts:
            unfit = f"given when {change.replaces} was champion; engines start with another"
    if unfit is not None:
        raise ConfigError(
            f"{command.name} {change.version}: {unfit}",
            fix="see tenminute model list, and have it proposed again",
        )


def check_again(settings: Settings, command: Command) -> Examined | None:
    """The version that a proposal names, looked at by the second person too."""
    change = command.model
    if change is None or change.version is None:
        return None
    found = _examined(settings, command.name, change.version)
    if found.manifest_sha256 != change.manifest_sha256:
        raise ModelError(
            f"{command.name} {change.version}: here is another release than the one proposed",
            fix="compare where both folders come from before you sign",
        )
    return found


def words(command: Command) -> str:
    """What a command does, in one line for the person who signs it."""
    change = command.model
    if change is None:
        return f"{command.action.value} {command.scope.value} {command.name}"
    if change.version is None:
        return f"{command.name}: no {change.alias.value} any more"
    what = f"{command.name} {change.version} becomes {change.alias.value}"
    if change.share_bps is not None:
        what += f" for {change.share_bps / 100:g} % of the applicants"
    if change.replaces is not None:
        how = "against" if change.alias is Alias.CHALLENGER else "in place of"
        what += f", {how} {change.replaces}"
    return what + (" (rollback)" if change.rollback else "")


def _examined(settings: Settings, model: str, version: str) -> Examined:
    return examine(settings.models_dir / model / version, trusted_keys(settings))


def _pinned(settings: Settings, place: Place) -> Mapping[str, str]:
    """Version and hash, once the release has passed every check here."""
    found = _examined(settings, place.model, place.version or "")
    if (found.manifest.model_id, found.manifest.version) != (place.model, place.version):
        raise ModelError(
            f"{place.model}/{place.version}: holds {found.manifest.model_id} "
            f"{found.manifest.version}",
            fix="put each model where it belongs: tenminute model push",
        )
    return {"version": found.manifest.version, "manifest_sha256": found.manifest_sha256}


def _replaced(switches: Switches, place: Place, champion: Pin) -> dict[str, Any]:
    """Whom the command replaces; a champion given again replaces whom it did."""
    standing = switches.aliases(place.model).champion
    again = place.alias is Alias.CHAMPION and place.version == champion.version
    if again and standing is not None:
        champion = standing.replaced
    return {
        **dict(zip(("replaces", "replaces_sha256"), champion, strict=True)),
        "rollback": place.rollback or (again and standing is not None and standing.rollback),
    }


def _check_succession(place: Place, champion: str) -> None:
    version = place.version or ""
    if place.alias is not Alias.CHAMPION and version == champion:
        raise ConfigError(
            f"{place.model} {version} is the champion", fix="name a version that is not"
        )
    older = place.alias is not Alias.SHADOW and order(version) < order(champion)
    if older and not place.rollback:
        raise ConfigError(
            f"{place.model} {version} is older than {champion}, which is in force",
            fix="to go back on purpose: tenminute model rollback, or canary --rollback",
        )
