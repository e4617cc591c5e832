"""What a file says of its making: a sealed JSON object in its comment, and XMP for other programs.

The seal is a digest of the record and of the pictures. It shows that a file was changed by accident or by an
editor; it proves nothing against a forger, who can compute it as well.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable
from typing import Any

from iad import __version__

STATEMENT = "AI-generated video portrait"
GENERATOR = f"iad {__version__}"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
EMPTY_SEAL = "sha256:" + 64 * "0"  # as long as any seal, which is written over it

XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmp:CreatorTool="{GENERATOR}" Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>
</rdf:RDF></x:xmpmeta><?xpacket end="r"?>"""
_XMP_BOX = bytes.fromhex(
    "be7acfcb97a942e89c71999491e3afac"
)  # the type that XMP reserves for itself in an mp4


def write_record(settings: dict[str, Any]) -> str:
    """Write the comment of a file, its seal still empty."""
    # The seal stands early, because a gif cuts its comment into pieces of 255 bytes.
    own = {"statement": STATEMENT, "ai_generated": True, "seal": EMPTY_SEAL, "generator": GENERATOR}
    return json.dumps({**own, **settings, **own}, default=str)


def parse_record(comment: str | bytes) -> dict[str, Any] | None:
    """Read the comment of a file; None where it is not a record of ours."""
    try:
        record = json.loads(comment)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "ai_generated" in record else None


def compute_seal(record: dict[str, Any], pictures: Iterable[bytes]) -> str:
    """Digest a record, whatever its seal, together with the pictures."""
    words = json.dumps(record | {"seal": EMPTY_SEAL}, sort_keys=True)
    digest = hashlib.sha256(words.encode())
    for picture in pictures:
        digest.update(picture)
    return f"sha256:{digest.hexdigest()}"


def set_seal(data: bytes, seal: str) -> bytes:
    """Write the seal over the empty one in the bytes of a file; the pictures stay as they are."""
    place = data.find(EMPTY_SEAL.encode())
    if place < 0:
        return data
    data = data[:place] + seal.encode() + data[place + len(seal) :]
    if not data.startswith(b"\x89PNG"):
        return data
    chunk = data.rfind(b"iTXt", 0, place)  # a png's chunks carry their own checksums
    end = chunk + 4 + int.from_bytes(data[chunk - 4 : chunk])
    return data[:end] + zlib.crc32(data[chunk:end]).to_bytes(4) + data[end + 4 :]


def make_xmp_box() -> bytes:
    """Pack the XMP into the box that may follow an mp4."""
    body = b"uuid" + _XMP_BOX + XMP.encode()
    return (len(body) + 4).to_bytes(4) + body
