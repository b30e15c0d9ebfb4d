"""Verifies a Notary Project COSE_Sign1 envelope by a P-256 key with pycose.

`python cose-judge.py ENVELOPE KEY.pem` prints the payload. The library checks the signature
alone; whoever calls compares what was signed.
"""

import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pycose.keys import EC2Key
from pycose.keys.curves import P256
from pycose.messages import CoseMessage

message = CoseMessage.decode(Path(sys.argv[1]).read_bytes())
numbers = load_pem_public_key(Path(sys.argv[2]).read_bytes()).public_numbers()
message.key = EC2Key(crv=P256, x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))
if not message.verify_signature():
    sys.exit("the signature does not verify")
sys.stdout.buffer.write(message.payload)
