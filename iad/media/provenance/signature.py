"""C2PA manifests (Content Credentials): signing what was made, and reading who signed a file.

Signing is switched on by IAD_C2PA_CERT and IAD_C2PA_KEY, the paths of a PEM certificate chain and its key.
Nothing here opens a connection: no time stamps, no remote manifests, no questions about revoked certificates.
"""

import io
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from iad import __version__
from iad.media.provenance.record import SOURCE_TYPE, STATEMENT

SIGNED_SETTINGS = (
    "model", "arm", "seed", "steps", "frames", "guidance_scale", "identity_guidance_scale", "identity_scale",
    "action_scale", "detail_scale", "size", "fps", "paste_back", "loop",
)  # fmt: skip
SETTINGS_LABEL = "local.iad.settings"
ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
# What a certificate may be meant for: e-mail, documents, or C2PA claims (as those on C2PA's own list are).
_PURPOSES = "1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36\n1.3.6.1.4.1.62558.2.1\n"
_SETTINGS = {
    "trust": {"trust_config": _PURPOSES},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": [], "allow_redirects": False},
    "builder": {"thumbnail": {"enabled": False}},
}
# What the reader finds wrong with a signer, not with the file.
_ONLY_THE_SIGNER = {"signingCredential.untrusted", "signingCredential.expired"}
_PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")  # a gif

State = Literal["none", "valid", "signer unknown", "broken", "unchecked"]


@dataclass(frozen=True)
class Signature:
    """What a file's C2PA manifest says, and whether it holds."""

    state: State
    signer: str | None = None
    generator: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)  # signed by us; empty of another program
    generated: bool = False  # it says that the file was made by an algorithm
    altered: bool = False  # the file is no longer the one that was signed


@dataclass(frozen=True)
class _Credentials:
    certificate: bytes
    key: bytes = field(repr=False)
    algorithm: str


def check_signing() -> bool:
    """Find out, before any work is done, whether files will be signed; false where nobody asked for it.

    Raises:
        ValueError: signing is asked for and cannot be done; in one sentence, why.
    """
    credentials = _load_credentials()
    if credentials:
        _sign(_PIXEL, "image/gif", {}, credentials)
    return credentials is not None


def sign(data: bytes, mime: str, settings: dict[str, Any]) -> bytes:
    """Put a signed manifest into the bytes of a file; without a certificate they stay as they are.

    Args:
        data: a whole mp4, gif or png.
        mime: such as "video/mp4".
        settings: how it was made; of these, only numbers and names of ours are signed, never the prompt.

    Raises:
        ValueError: the certificate or its key is unusable.
    """
    credentials = _load_credentials()
    return _sign(data, mime, settings, credentials) if credentials else data


def read_signature(file: io.BufferedIOBase, mime: str) -> Signature:
    """Read and check the manifest of a file.

    Raises:
        ValueError: IAD_C2PA_TRUST, the certificates of trusted signers, cannot be read.
    """
    try:
        import c2pa
    except ImportError:
        return Signature("unchecked")
    trust = _load_trust()
    settings = _SETTINGS | ({"trust": {"trust_config": _PURPOSES, "trust_anchors": trust}} if trust else {})
    try:
        with c2pa.Context.from_dict(settings) as context:
            reader = c2pa.Reader.try_create(mime, file, context=context)
            if reader is None:
                return Signature("none")
            with reader:
                return _judge(reader)
    except c2pa.C2paError.NotSupported:
        return Signature("none")  # a container that carries no manifests
    except c2pa.C2paError as error:
        return Signature("unchecked" if str(error).startswith("Remote") else "broken")  # it lies elsewhere


def _judge(reader: Any) -> Signature:
    manifest, results = reader.get_active_manifest() or {}, reader.get_validation_results() or {}
    failures = {entry["code"] for entry in results.get("activeManifest", {}).get("failure", [])}
    broken = failures - _ONLY_THE_SIGNER or (reader.get_validation_state() == "Invalid" and not failures)
    state: State = "broken" if broken else "signer unknown" if failures else "valid"
    maker = (manifest.get("claim_generator_info") or [{}])[0]
    found = {entry["label"]: entry.get("data") for entry in manifest.get("assertions", [])}
    who = manifest.get("signature_info", {})
    return Signature(
        state,
        signer=who.get("common_name") or who.get("issuer"),
        generator=" ".join(str(maker[key]) for key in ("name", "version") if maker.get(key)) or None,
        settings=dict(found.get(SETTINGS_LABEL) or {}),
        generated=SOURCE_TYPE in str(found.get("c2pa.actions.v2") or found.get("c2pa.actions")),
        altered=any(code.endswith("Hash.mismatch") for code in failures),
    )


def _sign(data: bytes, mime: str, settings: dict[str, Any], credentials: _Credentials) -> bytes:
    import c2pa

    agent = {"name": "iad", "version": __version__}
    created = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": agent}
    signed = {key: settings[key] for key in SIGNED_SETTINGS if settings.get(key) is not None}
    manifest = {
        "claim_generator_info": [agent],
        "title": STATEMENT,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": SETTINGS_LABEL, "data": signed},
        ],
    }
    target = io.BytesIO()
    try:
        info = c2pa.C2paSignerInfo(credentials.algorithm, credentials.certificate, credentials.key, None)
        with (
            c2pa.Context.from_dict(_SETTINGS, signer=c2pa.Signer.from_info(info)) as context,
            c2pa.Builder(manifest, context) as builder,
        ):
            builder.sign(mime, io.BytesIO(data), target)
    except c2pa.C2paError as error:
        reason = " ".join(re.sub(r"\(self#[^)]*\)", "", str(error)).split())
        raise ValueError(
            f"IAD_C2PA_CERT and IAD_C2PA_KEY name a certificate and a key that cannot sign ({reason}); "
            "mend them as docs/provenance.md says, or unset both to save without a signature."
        ) from error
    return target.getvalue()


def _load_credentials() -> _Credentials | None:
    certificate, key = _read_file("IAD_C2PA_CERT"), _read_file("IAD_C2PA_KEY")
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        there, missing = ("IAD_C2PA_CERT", "IAD_C2PA_KEY")[:: 1 if key is None else -1]
        raise ValueError(f"{there} is set but {missing} is not; set both to sign, or none.")
    algorithm = os.environ.get("IAD_C2PA_ALG") or "es256"
    if algorithm not in ALGORITHMS:
        raise ValueError(f"IAD_C2PA_ALG is '{algorithm}'; choose one of {', '.join(ALGORITHMS)}.")
    try:
        import c2pa  # noqa: F401 (whoever asks for signatures must not get files without)
    except ImportError as error:
        raise ValueError(
            "IAD_C2PA_CERT asks for signed files, and c2pa-python is not there; install it, or unset it."
        ) from error
    return _Credentials(certificate, key, algorithm)


def _load_trust() -> str | None:
    import ssl

    trust = _read_file("IAD_C2PA_TRUST")
    if trust is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=trust.decode())
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(
            "The file that IAD_C2PA_TRUST names holds no certificates in PEM format; give it trusted roots."
        ) from error
    return trust.decode()


def _read_file(variable: str) -> bytes | None:
    name = os.environ.get(variable)
    if not name:
        return None
    try:
        return Path(name).read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"The file that {variable} names, '{name}', cannot be read ({reason}); check it."
        ) from error
