"""What a file says of its making: written and sealed when it is saved, signed if it can be, and verified.

In come frames, settings and the bytes of files; out come a label that is seen, notes that programs read, and
a `Verification`. Notes can be removed or forged; only a signature by somebody whom one trusts is evidence.
"""

from iad.media.provenance.containers import (
    DAMAGE,
    MIME,
    MOST_PIXELS,
    inspect,
    list_pictures,
    open_video,
    recognise,
)
from iad.media.provenance.label import draw_label
from iad.media.provenance.record import (
    STATEMENT,
    XMP,
    compute_seal,
    make_xmp_box,
    parse_record,
    set_seal,
    write_record,
)
from iad.media.provenance.signature import Signature, check_signing, read_signature, sign
from iad.media.provenance.verification import Verification, verify

__all__ = [
    "DAMAGE", "MIME", "MOST_PIXELS", "STATEMENT", "XMP", "Signature", "Verification", "check_signing",
    "compute_seal", "draw_label", "inspect", "list_pictures", "make_xmp_box", "open_video", "parse_record",
    "read_signature", "recognise", "set_seal", "sign", "verify", "write_record",
]  # fmt: skip
