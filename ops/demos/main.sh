# The main job: encrypt, import, pseudonymise, rotate, with keys that live in an HSM
# shellcheck shell=bash
# Sourced by ops/demo and ops/quickstart, which have a server running for it.

# Everything of the story's own lies in $WORK, made anew each time.
story() {
    WORK=$DEPLOYMENT/work
    rm -rf "$WORK"
    mkdir "$WORK"
    cd "$WORK" || die "cannot work in $WORK"
    inventory
    seal
    import
    pseudonymise
    rotate
    abuse
    crash
    audit
    summary
    rm -f opened.csv flipped.kms kept.kms again.csv identifiers warehouse project
    cd "$REPOSITORY" || die "cannot return to $REPOSITORY"
}

inventory() {
    chapter 'Twenty spaces and some 120 keys, from one file'
    say '  The steward Stella declares them; the keys are generated inside the token.'
    begin
    as stella inventory apply -f "$REPOSITORY/ops/emc2/inventory.yaml"
    local seconds=$(($(took) / 1000))
    local again keys
    again=$(kms stella inventory apply -f "$REPOSITORY/ops/emc2/inventory.yaml")
    claim "applying it again changes nothing: $again" grep -q 'nothing to do' <<<"$again"
    keys=$("$BIN/kms-dev" objects "$DEPLOYMENT")
    say "  Read back from the token by another program: $keys."
    claim 'at least 120 keys, none of which can be taken out' \
        test "${keys%% *}" -ge 120 -a -z "${keys##* 0 extractable*}"
    figure 'keys in the token' "${keys%% *}, none extractable"
    figure 'inventory applied in' "$seconds s"
}

seal() {
    chapter 'A data set is sealed, and opened again'
    say '  A file goes under a data key of its own; the HSM wraps the data key, and never sees the file.'
    "$BIN/kms-dev" patients visits.csv --count 1000000 --seed 2
    local bytes
    bytes=$(stat -c %s visits.csv)
    begin
    as lyon-etl encrypt visits.csv --key ingest-lyon/object --context dataset=visits-2026
    figure 'sealed' "$((bytes >> 20)) MiB at $(($(rate "$bytes") >> 20)) MiB/s"
    begin
    as lyon-etl decrypt visits.csv.kms --context dataset=visits-2026 -O opened.csv
    figure 'opened' "$((bytes >> 20)) MiB at $(($(rate "$bytes") >> 20)) MiB/s"
    claim 'what was opened is what was sealed' cmp visits.csv opened.csv
    say '  A flipped bit, another context, another space: nothing opens, and no half file is left.'
    cp visits.csv.kms flipped.kms
    printf '\001' | dd of=flipped.kms bs=1 seek=$((bytes / 2)) conv=notrunc status=none
    refused 3 lyon-etl decrypt flipped.kms --context dataset=visits-2026 -O half.csv
    refused 3 lyon-etl decrypt visits.csv.kms --context dataset=visits-2025 -O half.csv
    refused 4 warehouse-etl decrypt visits.csv.kms --context dataset=visits-2026 -O half.csv
    claim 'no half file' test ! -e half.csv
}

import() {
    chapter 'A key moves in from outside'
    say '  A hospital wraps its own key for us, with nothing but OpenSSL. It is unwrapped inside the token.'
    openssl rand -out material.bin 32
    refused 3 lyon-ingest import params ingest-lyon/partner --wrapping-key ingest-lyon/import \
        --mechanism oaep-sha256 -O transfer
    say '  That is the exception of this software token, shown for what it is: SoftHSM 2.6.1 has OAEP'
    say '  with SHA-1 only. No attack on OAEP with SHA-1 is known; production refuses it all the same.'
    quietly lyon-ingest import params ingest-lyon/partner --wrapping-key ingest-lyon/import \
        --mechanism oaep-sha1 -O transfer
    openssl pkeyutl -encrypt -pubin -inkey transfer/public.pem -pkeyopt rsa_padding_mode:oaep \
        -pkeyopt rsa_oaep_md:sha1 -pkeyopt rsa_mgf1_md:sha1 -in material.bin -out transfer/wrapped
    rm material.bin
    as lyon-ingest import submit ingest-lyon/partner --token transfer/import-token \
        --wrapped transfer/wrapped --reason 'moved from the hospital'
    refused 6 lyon-ingest import submit ingest-lyon/partner --token transfer/import-token \
        --wrapped transfer/wrapped --reason 'once more'
    printf 'a delivery' >delivery
    quietly lyon-etl encrypt delivery --key ingest-lyon/partner
    claim 'the imported key seals and opens' \
        test "$(kms lyon-etl decrypt delivery.kms -O - 2>/dev/null)" = 'a delivery'
    figure 'key from outside' 'unwrapped inside the token, marked external for ever'
}

pseudonymise() {
    chapter '10,000 patients get their pseudonyms'
    say '  Level-1 identifiers come in, the pseudonyms of the warehouse go out: one key for each edge.'
    "$BIN/kms-dev" patients patients.csv --count 10000
    begin
    as link-pseudonymiser pseudonym map patients.csv --column ID --edge warehouse/link
    figure 'pseudonymised' "10,000 patients at $(rate 10000) a second"
    head -n 3 patients.pseudonymised.csv | quote
    quietly link-pseudonymiser pseudonym map patients.csv --column ID --edge warehouse/link -O again.csv
    claim "the same person gets the same pseudonym next year" cmp patients.pseudonymised.csv again.csv
    column patients.csv | sort >identifiers
    column patients.pseudonymised.csv | sort >warehouse
    claim '10,000 identifiers, 10,000 pseudonyms' test "$(sort -u warehouse | wc -l)" -eq 10000
    claim 'no identifier is left in the file' excludes patients.pseudonymised.csv identifiers
    say '  On the way into a research project they change once more: two spaces share no pseudonym.'
    quietly project-01-pseudonymiser pseudonym map patients.pseudonymised.csv --column ID \
        --edge project-01/warehouse --input pseudonym -O project.csv
    column project.csv | sort >project
    claim 'warehouse and project share none' test "$(comm -12 warehouse project | wc -l)" -eq 0
    refused 4 olivia pseudonym eval --edge warehouse/link SYNTHETIC-1
    refused 3 link-pseudonymiser pseudonym map patients.csv --column PATIENT --edge warehouse/link \
        -O none.csv
}

# The first column of a CSV file, without its header.
column() { tail -n +2 "$1" | cut -d, -f1; }

# excludes FILE WORDS: no line of WORDS occurs in FILE.
excludes() { ! grep -qFf "$2" "$1"; }

rotate() {
    chapter 'A key is rotated, and what it sealed is re-wrapped'
    local before size
    before=$(kms olivia key show ingest-lyon/object -o json | sed -n 's/.*"primary": "\(.*\)".*/\1/p')
    before=${before##*/}
    cp visits.csv.kms kept.kms
    as olivia key rotate ingest-lyon/object --reason 'yearly rotation'
    claim 'what the former version sealed still opens' \
        kms lyon-etl decrypt kept.kms --context dataset=visits-2026 -O opened.csv --force
    begin
    as lyon-etl rewrap visits.csv.kms --context dataset=visits-2026
    figure 're-wrapped' "$(stat -c %s visits.csv.kms | numfmt --to=iec) file in $(took) ms, its data untouched"
    # cmp says 1 when files differ, as these must.
    size=$({ cmp -l kept.kms visits.csv.kms || [ $? -eq 1 ]; } | tail -n 1 | awk '{ print $1 }')
    claim "only its header changed: nothing behind byte $size" test "$size" -le 8192
    say '  Now the former version may be feared lost. It opens nothing any more; what was re-wrapped opens.'
    quietly olivia version compromise "ingest-lyon/object/$before" --yes --reason 'a rehearsal'
    refused 7 lyon-etl decrypt kept.kms --context dataset=visits-2026 -O half.csv
    claim 'what was re-wrapped opens' \
        kms lyon-etl decrypt visits.csv.kms --context dataset=visits-2026 -O opened.csv --force
    claim 'and is what was sealed' cmp visits.csv opened.csv
    refused 7 olivia key rotate warehouse/edge-link --reason 'by mistake'
}

abuse() {
    chapter 'Somebody has stolen the PIN'
    say '  With the PIN and the module in hand, beside the server; each act works on a key of one'\''s own.'
    "$BIN/kms-dev" abuse "$DEPLOYMENT" >abuse
    sed 's/^spaces[^ ]* *//' abuse | head -n 11 | quote
    claim "the token refuses all of $(wc -l <abuse) abuses" test -s abuse
    figure 'abuse with the PIN in hand' "$(wc -l <abuse) acts, all refused by the token"
}

crash() {
    chapter 'The plug is pulled'
    kill -KILL "$SERVER"
    wait "$SERVER" 2>/dev/null || true
    begin
    serve
    figure 'after SIGKILL' "serving again in $(took) ms, nothing lost"
    claim 'everything is still there' \
        kms lyon-etl decrypt visits.csv.kms --context dataset=visits-2026 -O opened.csv --force
}

audit() {
    chapter 'All of it is in the audit log, and no person is'
    as ada audit list --log uses --limit 6
    as ada audit verify
    local changes uses
    quietly ada audit export --log changes -O changes.jsonl
    quietly ada audit export --log uses -O uses.jsonl
    changes=$(wc -l <changes.jsonl) uses=$(wc -l <uses.jsonl)
    figure 'audit records' "$changes of changes, $uses of uses and refusals"
    claim 'no identifier is in them' excludes uses.jsonl identifiers
    claim 'no pseudonym either' excludes uses.jsonl warehouse
    claim 'nor in what the server said' excludes "$DEPLOYMENT/server.log" identifiers
}
