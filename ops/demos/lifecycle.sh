# The life of a key: rotation by itself, compromise, destruction, a space that ends, and a clock that jumps
# shellcheck shell=bash
# Sourced by ops/demo, which has a server running for it.

FAKETIME_LIBRARY=/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketime.so.1
DAYS=0

# Declared production: what needs others is not done without them.
prepare() {
    need_debian "$FAKETIME_LIBRARY=faketime" /usr/bin/openssl=openssl
    sed -i 's/^environment: .*/environment: production/' "$DEPLOYMENT/deployment.yaml"
}

story() {
    WORK=$DEPLOYMENT/work
    mkdir "$WORK"
    cd "$WORK" || die "cannot work in $WORK"
    furnish
    by_itself
    incident
    destruction
    space_ends
    a_year_later
    told
    summary
    cd "$REPOSITORY" || die "cannot return to $REPOSITORY"
}

# travel DAYS: the server is stopped and started again on a machine whose clock stands so many days
# further (or back), with certificates that are good there. Uptime is not faked.
travel() {
    stop
    DAYS=$((DAYS + $1))
    export DONT_FAKE_MONOTONIC=1 FAKETIME=+${DAYS}d LD_PRELOAD=$FAKETIME_LIBRARY
    find "$DEPLOYMENT/pki" -type f ! -name 'ca.*' -delete
    "$BIN/kms-dev" deployment "$DEPLOYMENT" --log-format text
    serve
    printf '  %s(the machine'\''s clock says %s)%s\n' "$DIM" "$(date +%F)" "$PLAIN"
}

furnish() {
    chapter 'Keys that say how long they live'
    quietly stella space create ingest-lyon --kind ingest --rotate-after 180d
    quietly stella space create project-01 --kind project
    quietly stella key create ingest-lyon/object --class data-at-rest --rotate-after-encryptions 4
    quietly stella key create ingest-lyon/import --class import-wrapping
    quietly stella key create project-01/object --class data-at-rest
    printf 'results' >results
    as project-01-notebook encrypt results --key project-01/object
    as olivia report keys
    as olivia rotation calendar --months 6
}

# state KEY/VERSION STATE
is_state() { kms olivia version show "$1" -o json | grep -q "\"state\": \"$2\""; }

# until COMMAND...: waits for it to succeed, half a minute at the most.
until_it_holds() {
    local tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -le 600 ] || die "this does not come true: $*"
        read -rt 0.05 <> <(:) || true
    done
}

by_itself() {
    chapter 'Rotation is nobody'\''s work'
    say '  Four encryptions are what this key allows a version. The service counts them before it'
    say '  spends them, and makes the next version when they are gone.'
    local day
    for day in monday tuesday wednesday thursday; do
        printf '%s' "$day" >"$day"
        quietly lyon-etl encrypt "$day" --key ingest-lyon/object
    done
    begin
    until_it_holds is_state ingest-lyon/object/2 ACTIVE
    figure 'rotated by use' "$(took) ms after the encryption that spent it"
    claim 'the first version opens what it sealed, and seals nothing more' \
        is_state ingest-lyon/object/1 DEACTIVATED
    as lyon-etl decrypt monday.kms -O monday.back
    as lyon-etl rewrap monday.kms tuesday.kms
}

incident() {
    chapter 'An incident: one stops it, two say what it was'
    begin
    quietly carl version suspend ingest-lyon/object/2 --reason 'incident 43'
    refused 7 lyon-etl decrypt monday.kms -O never
    figure 'suspended' "nothing opens $(took) ms after one custodian asked"
    refused 12 olivia version compromise ingest-lyon/object/2 --yes --reason 'a dump of it was seen'
    local name
    name=$(waiting carl CompromiseVersion)
    agree "$name" carl
    as olivia proposal execute "$name"
    refused 7 lyon-etl rewrap monday.kms
    say '  What it protects opens again for one thing only: to be moved to its successor.'
    refused 12 olivia rotation start-rewrap ingest-lyon/object --version 2 --reason 'incident 43'
    name=$(waiting carl StartRewrap)
    agree "$name" carol
    quietly olivia proposal execute "$name"
    as lyon-etl rewrap monday.kms tuesday.kms
    quietly olivia rotation finish-rewrap ingest-lyon/object --reason 'nothing refers to it any more'
    as olivia version list ingest-lyon/object
}

destruction() {
    chapter 'Destruction: decided by three, announced, and done when its day has come'
    local version=ingest-lyon/object/2 name
    refused 4 olivia version destroy "$version" --yes --after 1d --force --reason 'incident 43'
    refused 7 olivia version destroy "$version" --yes --after 7d --reason 'incident 43'
    refused 12 olivia version destroy "$version" --yes --after 7d --force --reason 'incident 43'
    name=$(waiting carl ScheduleDestruction)
    agree "$name" carl carol
    quietly olivia proposal execute "$name"
    quietly carl version keep "$version" --reason 'the investigators want another look'
    refused 12 olivia version destroy "$version" --yes --after 7d --force --reason 'they are done'
    name=$(waiting carl ScheduleDestruction)
    agree "$name" carl carol
    quietly olivia proposal execute "$name"
    as olivia rotation due --within 7d
    say '  The officer took a backup of the token meanwhile, with the HSM'\''s own tools.'
    refused 12 hugo backup declare 'vault 2' --taken "$(date +%F)" \
        --expires "$(date -d '+90 days' +%F)"
    name=$(waiting carl Backup)
    agree "$name" carl
    quietly hugo proposal execute "$name"
    travel 8
    say '  Its day has come, says one clock. A custodian is the second.'
    until_it_holds eval 'test -n "$(waiting carl DestroyVersion)"'
    claim 'nothing is destroyed on the word of a clock' is_state "$version" COMPROMISED
    name=$(waiting carl DestroyVersion)
    agree "$name" carl
    until_it_holds is_state "$version" DESTROYED
    claim 'the token holds no object of it' no_object ingest-lyon/object/2
    as olivia version show "$version"
    attested
}

# What the operator hands to whoever asks for proof.
attested() {
    say '  Proof, for somebody who has no access here: three files, signed in the HSM.'
    kms ada attestation key >pinned.pem 2>/dev/null
    as ada attestation get ingest-lyon/object/2 -O attestations
    claim 'it does not claim more than is so: a backup may hold the key' \
        grep -q '"final": false' attestations/ingest-lyon.object.2.json
    as ada attestation verify attestations/ingest-lyon.object.2.json --key pinned.pem
    claim 'stock OpenSSL says the same' openssl_verifies ingest-lyon.object.2
    sed 's/"final": false/"final": true/' attestations/ingest-lyon.object.2.json >attestations/lie.json
    cp attestations/ingest-lyon.object.2.sig attestations/lie.sig
    refused 3 ada attestation verify attestations/lie.json --key pinned.pem
}

# openssl_verifies NAME: by the key that was got by another route, as any third party does it.
openssl_verifies() {
    openssl dgst -sha256 -verify pinned.pem -signature "attestations/$1.sig" "attestations/$1.json"
}

# no_object SPACE/KEY/VERSION: nothing on the token has its label.
no_object() {
    local label=spaces/${1%%/*}/keys/${1#*/}
    label=${label%/*}/versions/${1##*/}
    ! "$BIN/kms-dev" objects "$DEPLOYMENT" --json | grep -q "\"$label\""
}

space_ends() {
    chapter 'A space that ends'
    local name
    as stella space archive project-01 --reason 'the study is over'
    refused 7 project-01-notebook encrypt results --key project-01/object -O more.kms
    quietly project-01-notebook decrypt results.kms -O results.back
    claim 'what was protected still opens' cmp results results.back
    refused 12 stella space decommission project-01 --yes --reason 'the study is over'
    name=$(waiting carl DecommissionSpace)
    agree "$name" carl carol
    quietly stella proposal execute "$name"
    as stella space show project-01
}

a_year_later() {
    chapter 'A year later'
    travel 366
    local name versions
    say '  What was due meanwhile is done now, each thing once.'
    until_it_holds rotated ingest-lyon/import
    versions=$(kms olivia version list ingest-lyon/import -o json | grep -c '"name"')
    claim 'the import pair was rotated once, not fifty times' test "$versions" -eq 3
    claim 'and the former pair is still there: this process has not seen its tokens expire' \
        is_state ingest-lyon/import/2 DEACTIVATED
    until_it_holds eval 'test -n "$(waiting carl EraseSpace)"'
    as olivia rotation due --within 1d
    name=$(waiting carl EraseSpace)
    agree "$name" carol
    begin
    until_it_holds is_erased
    figure 'a space erased' "$(took) ms after a custodian agreed that its day had come"
    refused 7 project-01-notebook decrypt results.kms -O gone
    as stella space show project-01
    quietly ada attestation get project-01 -O attestations
    claim 'one attestation for the whole space, which stock OpenSSL verifies' \
        openssl_verifies project-01
    quietly ada attestation get ingest-lyon/object/2 -O attestations --force
    claim 'the backup has expired: now it is final' \
        grep -q '"final": true' attestations/ingest-lyon.object.2.json
    travel -300
    refused 7 project-01-notebook decrypt results.kms -O gone
    claim 'a clock that is set back brings nothing back' is_state project-01/object/1 DESTROYED
}

# rotated KEY: it has a third version; the second is of last week.
rotated() { kms olivia version show "$1/3" -o json; }

is_erased() { kms stella space show project-01 -o json | grep -q '"erased": {'; }

told() {
    chapter 'The whole of it, for whoever asks'
    as ada report keys
    as ada audit verify
    stop
    claim 'doctor finds nothing amiss' \
        "$BIN/kms-server" doctor --config "$DEPLOYMENT/kms-server.toml"
}
