#!/usr/bin/env python3
"""A partner who has a raw key, a public key, and Python's `cryptography`: nothing of ours.

usage: wrap.py METHOD PUBLIC_DER_OR_EXCHANGE_KEY MATERIAL OUTPUT [KID]

METHOD is oaep-sha1, oaep-sha256, rsa-aes-sha1, rsa-aes-sha256, byok, aes-kw or aes-kwp.
"""

import base64
import json
import os
import pathlib
import sys

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key


def main() -> None:
    method, under, material, output = sys.argv[1:5]
    under, key = pathlib.Path(under).read_bytes(), pathlib.Path(material).read_bytes()

    def oaep(secret: bytes) -> bytes:
        digest = hashes.SHA1() if method in ("oaep-sha1", "rsa-aes-sha1", "byok") else hashes.SHA256()
        pad = padding.OAEP(padding.MGF1(digest), digest, None)
        return load_der_public_key(under).encrypt(secret, pad)

    if method.startswith("oaep-"):
        blob = oaep(key)
    elif method == "aes-kw":
        blob = keywrap.aes_key_wrap(under, key)
    elif method == "aes-kwp":
        blob = keywrap.aes_key_wrap_with_padding(under, key)
    else:
        ephemeral = os.urandom(32)
        blob = oaep(ephemeral) + keywrap.aes_key_wrap_with_padding(ephemeral, key)
    if method == "byok":
        header = {"kid": sys.argv[5], "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"}
        text = base64.urlsafe_b64encode(blob).rstrip(b"=").decode()
        file = {"schema_version": "1.0.0", "header": header, "ciphertext": text, "generator": "wrap.py"}
        blob = json.dumps(file).encode()
    pathlib.Path(output).write_bytes(blob)


main()
