#!/usr/bin/python3
"""A client that is not ours: Python and grpcio, stubs generated from the published .proto.

Encrypts and decrypts as one service, pseudonymises as another, over mutual TLS, and checks
each pseudonym by BIP-350 (Bech32m) written here once more. Prints one JSON object.

    client.py --stubs DIR --endpoint localhost:7443 --pki pki
              --encrypt ID KEY PLAINTEXT --pseudonymise ID EDGE IDENTIFIER...
              [--decrypt KEY CIPHERTEXT_HEX]
"""

import argparse
import json
import pathlib
import sys

import grpc


def main():
    asked = arguments()
    sys.path.insert(0, str(asked.stubs))
    from emc2.kms.v1 import admin_service_pb2 as admin
    from emc2.kms.v1 import admin_service_pb2_grpc as admin_grpc
    from emc2.kms.v1 import crypto_service_pb2 as crypto
    from emc2.kms.v1 import crypto_service_pb2_grpc as crypto_grpc
    from emc2.kms.v1 import pseudonym_service_pb2 as pseudonym
    from emc2.kms.v1 import pseudonym_service_pb2_grpc as pseudonym_grpc

    who, key, plaintext = asked.encrypt
    channel = connect(asked, who)
    deployment = admin_grpc.AdminServiceStub(channel).GetDeployment(
        admin.GetDeploymentRequest(), timeout=30
    )
    service = crypto_grpc.CryptoServiceStub(channel)
    context = {"dataset": "visits", "année": "2026"}
    sealed = service.Encrypt(
        crypto.EncryptRequest(name=key, plaintext=plaintext.encode(), context=context), timeout=30
    )
    opened = service.Decrypt(
        crypto.DecryptRequest(name=key, ciphertext=sealed.ciphertext, context=context), timeout=30
    )
    if opened.plaintext != plaintext.encode():
        raise SystemExit("the plaintext came back changed")
    foreign = None
    if asked.decrypt:
        name, ciphertext = asked.decrypt
        answer = service.Decrypt(
            crypto.DecryptRequest(name=name, ciphertext=bytes.fromhex(ciphertext)), timeout=30
        )
        foreign = answer.plaintext.decode()

    who, edge, *identifiers = asked.pseudonymise
    answer = pseudonym_grpc.PseudonymServiceStub(connect(asked, who)).Pseudonymise(
        pseudonym.PseudonymiseRequest(
            name=edge, identifiers=[pseudonym.Identifier(opaque=text) for text in identifiers]
        ),
        timeout=30,
    )
    pseudonyms = [result.pseudonym for result in answer.results]
    json.dump(
        {
            "caller": deployment.caller,
            "version": sealed.version,
            "ciphertext": sealed.ciphertext.hex(),
            "wrong_context": refusal(
                service.Decrypt,
                crypto.DecryptRequest(name=key, ciphertext=sealed.ciphertext, context={}),
            ),
            "opened": foreign,
            "pseudonyms": [
                {"text": text, "prefix": prefix, "value": bytes(value).hex()}
                for text in pseudonyms
                for prefix, value in [bech32m(text)]
            ],
        },
        sys.stdout,
    )


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stubs", type=pathlib.Path, required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--pki", type=pathlib.Path, required=True)
    parser.add_argument("--encrypt", nargs=3, required=True)
    parser.add_argument("--decrypt", nargs=2)
    parser.add_argument("--pseudonymise", nargs="+", required=True)
    return parser.parse_args()


def connect(asked, who):
    """Mutual TLS as `service/WHO`."""

    def read(name):
        return (asked.pki / name).read_bytes()

    credentials = grpc.ssl_channel_credentials(
        root_certificates=read("ca.pem"),
        private_key=read(f"service-{who}.key"),
        certificate_chain=read(f"service-{who}.pem"),
    )
    return grpc.secure_channel(asked.endpoint, credentials)


def refusal(call, request):
    """The status of a call that must fail, by its name."""
    try:
        call(request, timeout=30)
    except grpc.RpcError as error:
        return {"status": error.code().name, "sentence": error.details()}
    raise SystemExit("a call that must fail did not")


ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32M = 0x2BC830A3


def bech32m(text):
    """The prefix and the bytes of a Bech32m string; its check must hold (BIP-350)."""
    prefix, _, data = text.rpartition("1")
    values = [ALPHABET.index(letter) for letter in data]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    if polymod(expanded + values) != BECH32M:
        raise SystemExit("the check of a pseudonym does not hold")
    written = checksum(expanded + values[:-6])
    if written != values[-6:]:
        raise SystemExit("the check of a pseudonym is not the one that BIP-350 gives")
    return prefix, to_bytes(values[:-6])


def polymod(values):
    generator = [0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit in range(5):
            check ^= generator[bit] if (top >> bit) & 1 else 0
    return check


def checksum(values):
    check = polymod(values + [0] * 6) ^ BECH32M
    return [(check >> 5 * (5 - position)) & 31 for position in range(6)]


def to_bytes(values):
    """Groups of five bits to bytes; 160 bits need no padding."""
    bits = "".join(f"{value:05b}" for value in values)
    if len(bits) % 8:
        raise SystemExit("a pseudonym's data are not whole bytes")
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


if __name__ == "__main__":
    main()
