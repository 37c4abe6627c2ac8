# A key comes in from outside, by every method, and is recognised when it comes again
# shellcheck shell=bash disable=SC2154
# Sourced by ops/demo after the deployment serves.

story() {
    keys_come_in
    nobody_is_fooled
    nothing_else_comes_in
    summary
}

# A wrapping key, and a key that waits for material: NAME TAKES...
way_in() {
    local name=$1
    shift
    quietly stella key create "ingest-hcl/$name" --class import-wrapping "$@"
}

# Parameters for a new key of this name, through this wrapping key, into a directory of that name.
parameters() {
    quietly stella key create "ingest-hcl/$1" --class data-at-rest --origin external
    quietly stella import params "ingest-hcl/$1" --wrapping-key "ingest-hcl/$2" -O "$1"
}

keys_come_in() {
    chapter 'Hospices civils de Lyon hand their keys over'
    quietly stella space create ingest-hcl --kind ingest
    SIGNER=$(kms stella import signer)
    figure 'told by telephone' "${SIGNER:0:16}..."
    say '  Their custodian wraps offline: the parameters are signed in our HSM, or nothing is wrapped.'
    way_in direct --takes rsa-oaep-sha1 --partner hcl
    way_in hybrid --takes rsa-aes-kwp-sha1 --two-steps --partner hcl
    way_in first --takes rsa-oaep-sha1 --takes-class exchange --partner hcl
    local count=0 began=$SECONDS
    parameters direct-key direct
    openssl rand 32 | "$BIN/kms" import wrap --parameters direct-key --signed-by "$SIGNER" --key - \
        -O direct-key/wrapped.bin
    hand_in direct-key wrapped.bin
    parameters hybrid-key hybrid
    openssl rand 32 | "$BIN/kms" import wrap --parameters hybrid-key --signed-by "$SIGNER" --key - \
        -O hybrid-key/wrapped.byok >/dev/null
    hand_in hybrid-key wrapped.byok
    say '  That one came as Azure sends it, in two steps inside the token: weaker, and it says so.'
    as stella version show ingest-hcl/hybrid-key/1
    quietly stella key create ingest-hcl/exchange --class exchange --origin external --takes aes-kwp
    quietly stella import params ingest-hcl/exchange --wrapping-key ingest-hcl/first -O exchange
    (umask 077 && openssl rand -out exchange.key 32)
    "$BIN/kms" import wrap --parameters exchange --signed-by "$SIGNER" --key exchange.key \
        -O exchange/wrapped.bin >/dev/null
    hand_in exchange wrapped.bin
    parameters under-exchange exchange
    (umask 077 && openssl rand -out raw.key 32)
    openssl enc -id-aes256-wrap-pad -iv A65959A6 -K "$(od -An -tx1 exchange.key | tr -d ' \n')" \
        -in raw.key -out under-exchange/wrapped.bin
    hand_in under-exchange wrapped.bin
    figure 'keys that came in' "$count, by 4 methods, in $((SECONDS - began)) s"
    claim 'the receipt is for what was handed in' "$BIN/kms" import verify-receipt \
        under-exchange/receipt.json --signed-by "$SIGNER" --wrapped under-exchange/wrapped.bin
}

# Checks, hands in, keeps the receipt.
hand_in() {
    quietly stella import check "ingest-hcl/$1" --token "$1/import-token" --wrapped "$1/$2"
    quietly stella import submit "ingest-hcl/$1" --token "$1/import-token" --wrapped "$1/$2" \
        --reason 'moved from the hospital' -O "$1/receipt.json"
    count=$((count + 1))
}

nobody_is_fooled() {
    chapter 'Somebody between us puts a public key of their own there'
    parameters fooled direct
    cp -r fooled exchanged
    openssl ecparam -name prime256v1 -genkey -noout -out mallory.pem
    openssl pkey -in mallory.pem -pubout -out exchanged/parameters.pem
    openssl dgst -sha256 -sign mallory.pem -out exchanged/parameters.sig exchanged/parameters.json
    local code=0
    "$BIN/kms" import wrap --parameters exchanged --signed-by "$SIGNER" --key raw.key \
        -O exchanged/wrapped.bin 2>refused || code=$?
    sed 's/^/  /' refused
    claim 'nothing is wrapped for another signer' test "$code" = 3 -a ! -e exchanged/wrapped.bin
}

nothing_else_comes_in() {
    chapter 'What must not come in'
    say '  The very key that came in under the exchange key, once more, through another door:'
    "$BIN/kms" import wrap --parameters fooled --signed-by "$SIGNER" --key raw.key \
        -O fooled/wrapped.bin >/dev/null
    refused 6 stella import submit ingest-hcl/fooled --token fooled/import-token \
        --wrapped fooled/wrapped.bin --reason 'once more'
    say '  Bytes of the right length that no key was wrapped into, tried until the import token is void:'
    parameters tried direct
    openssl rand -out tried/wrapped.bin 384
    local trial
    for trial in first second third fourth; do
        say "  The $trial:"
        refused 3 stella import check ingest-hcl/tried --token tried/import-token \
            --wrapped tried/wrapped.bin
    done
    rm -f raw.key exchange.key
}
