# Pseudonyms at the scale of the warehouse: the graph, two million people, a person's rights, a renewal
# shellcheck shell=bash
# Sourced by ops/demo, which has a server running for it. It is a development deployment: what others
# must agree to in production is done at once (ops/demo dual-control shows them agreeing).

story() {
    WORK=$DEPLOYMENT/work
    mkdir "$WORK"
    cd "$WORK" || die "cannot work in $WORK"
    # A build for trying out is ten times slower.
    PEOPLE=2000000
    [ "${KMS_DEMO_PROFILE:-release}" = release ] || PEOPLE=100000
    graph
    bulk
    whatever_dies
    strangers
    enumeration
    rights
    renewal
    summary
    cd "$REPOSITORY" || die "cannot return to $REPOSITORY"
}

graph() {
    chapter 'One key for each way into a space'
    quietly stella inventory apply -f "$REPOSITORY/ops/emc2/inventory.yaml"
    kms ada edge graph | head -n 9 | quote
    kms ada edge graph -o svg >transfers.svg
    claim 'the same as a picture (kms edge graph -o svg)' grep -q '>whlink<' transfers.svg
    say '  National identifiers are evaluated at the suppliers, so that nobody holds both secrets.'
    quietly stella domain create register --title 'A register'
    refused 3 stella edge create warehouse/register --code whreg --input nir
    say '  And nothing leads back.'
    quietly stella domain create project --source project-01
    refused 3 stella edge create warehouse/project --code back --input pseudonym
}

# peak: what the server held at the most, in MiB.
peak() { awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$SERVER/status"; }

bulk() {
    chapter "$(printf "%'d" "$PEOPLE") people, from a file to a file"
    "$BIN/kms-dev" patients people.csv --count "$PEOPLE" --seed 5
    local before seconds
    before=$(peak)
    begin
    as link-pseudonymiser pseudonym map people.csv --column ID --edge warehouse/link
    seconds=$(took)
    figure 'pseudonymised' "$(printf "%'d" "$PEOPLE") people in $((seconds / 1000)).$((seconds % 1000 / 100)) s, $(rate "$PEOPLE") a second"
    figure 'the server held at the most' "$before MiB before, $(peak) MiB after"
    claim 'each has one of their own' \
        test "$(cut -d, -f1 people.pseudonymised.csv | sort -u | wc -l)" -eq $((PEOPLE + 1))
    as ada quota show --edge warehouse/link --who service/link-pseudonymiser
}

# The client is killed, then the server; what comes out is the same to the byte.
whatever_dies() {
    chapter 'Whatever dies, the result is the same'
    local lines=$((PEOPLE / 10)) client
    head -n $((lines + 1)) people.csv >part.csv
    head -n $((lines + 1)) people.pseudonymised.csv >wanted.csv
    # As `kms` does, but to be killed by its own number.
    "$BIN/kms" --config "$DEPLOYMENT/contexts.toml" --context link-pseudonymiser pseudonym map part.csv \
        --column ID --edge warehouse/link --batch 1000 -O out.csv </dev/null >/dev/null 2>&1 &
    client=$!
    until [ -s out.csv.part ]; do read -rt 0.01 <> <(:) || true; done
    kill -KILL "$client" && wait "$client" 2>/dev/null || true
    claim 'what was cut short does not look like a result' test ! -e out.csv
    kill -KILL "$SERVER" && wait "$SERVER" 2>/dev/null || true
    serve
    quietly link-pseudonymiser pseudonym map part.csv --column ID --edge warehouse/link --batch 1000 \
        -O out.csv --resume
    claim 'gone on with, it is what it would have been, to the byte' cmp out.csv wanted.csv
}

strangers() {
    chapter 'One patient in the warehouse, two strangers in two projects'
    head -n 1001 people.pseudonymised.csv >cohort.csv
    quietly project-01-pseudonymiser pseudonym transfer cohort.csv --column ID \
        --edge project-01/warehouse -O project-01.csv
    claim 'the warehouse and the project share no pseudonym' \
        test -z "$(comm -12 <(cut -d, -f1 cohort.csv | tail -n +2 | sort) <(cut -d, -f1 project-01.csv | tail -n +2 | sort))"
    say '  A line that is no pseudonym of the warehouse is listed by number, and the rest is written.'
    { head -n 3 cohort.csv; printf 'SYNTHETIC-1,1950,1,X\n'; } >flawed.csv
    refused 13 project-01-pseudonymiser pseudonym transfer flawed.csv --column ID \
        --edge project-01/warehouse -O flawed.out.csv
    quote <flawed.out.csv.rejected.csv
}

enumeration() {
    chapter 'Trying every number there is'
    quietly stella quota set --edge project-01/warehouse --who service/project-01-pseudonymiser \
        --limit items/day=1500 --reason 'its cohort is there'
    refused 8 project-01-pseudonymiser pseudonym transfer cohort.csv --column ID \
        --edge project-01/warehouse -O again.csv
    claim 'refused whole, before anything was evaluated' test ! -e again.csv -a ! -e again.csv.part
    refused 4 warehouse-etl pseudonym eval --edge warehouse/link SYNTHETIC-1
    refused 4 link-pseudonymiser pseudonym eval --edge project-01/warehouse --input pseudonym \
        "$(sed -n 2p cohort.csv | cut -d, -f1)"
}

rights() {
    chapter 'A person asks to be erased'
    say '  Their pseudonym in each space, for the steward alone, for an hour; in production two custodians'
    say '  agree first, to a commitment that does not say who it is.'
    local id steps
    id=$(sed -n 2p people.csv | cut -d, -f1)
    steps=$("$BIN/kms" --config "$DEPLOYMENT/contexts.toml" --context stella pseudonym chain \
        --edge warehouse/link --ticket ticket --reason 'erasure, request 42' <<<"$id")
    head -n 4 <<<"$steps" | quote
    claim 'in the warehouse it is the one that everybody has' \
        grep -q "$(sed -n 2p people.pseudonymised.csv | cut -d, -f1)" <<<"$steps"
    claim 'and no log holds it' excluded "$id"
    figure 'a person followed' "$(grep -c h1- <<<"$steps") spaces"
}

# excluded WORD: nothing that the service wrote holds it.
excluded() { ! grep -rqaF "$1" "$DEPLOYMENT/data" "$DEPLOYMENT/server.log"; }

renewal() {
    chapter 'The secret of an edge is compromised: everybody gets a new pseudonym'
    head -n 1001 people.csv >known.csv
    quietly olivia version compromise warehouse/edge-link/1 --yes --reason 'incident 44'
    refused 7 link-pseudonymiser pseudonym eval --edge warehouse/link SYNTHETIC-1
    as olivia pseudonym renew start --edge warehouse/link --translator service/link-pseudonymiser \
        --expected 1000 --reason 'incident 44'
    quietly link-pseudonymiser pseudonym renew translate known.csv --edge warehouse/link --column ID \
        --table link.table
    claim 'the table of old and new is nowhere in clear' sealed link.table
    say '  The custodians agreed to 1,000 translations, and there are no more; no quota was raised for it.'
    refused 7 link-pseudonymiser pseudonym renew translate people.csv --edge warehouse/link --column ID \
        --table more.table
    refused 7 olivia pseudonym renew cutover --edge warehouse/link --yes --reason 'too early'
    quietly link-pseudonymiser pseudonym renew verify known.csv --edge warehouse/link --column ID \
        --table link.table
    quietly olivia pseudonym renew cutover --edge warehouse/link --yes --reason '1,000 rows verified'
    quietly warehouse-etl pseudonym renew apply cohort.csv --column ID --table link.table -O renewed.csv
    quietly link-pseudonymiser pseudonym map known.csv --column ID --edge warehouse/link -O new.csv
    claim 'what was translated is what is evaluated now' cmp renewed.csv new.csv
    claim 'and nothing of the old is left in it' \
        test -z "$(comm -12 <(cut -d, -f1 cohort.csv | tail -n +2 | sort) <(cut -d, -f1 renewed.csv | tail -n +2 | sort))"
    as olivia pseudonym renew finish --edge warehouse/link --yes --reason 'every column is new'
    claim 'the old secret is gone from the token' no_object warehouse/edge-link/1
    refused 7 warehouse-etl pseudonym renew apply cohort.csv --column ID --table link.table -O never.csv
}

# sealed DIRECTORY: no pseudonym can be read in it.
sealed() { ! grep -rqa 'h1-whlink' "$1"; }

# no_object SPACE/KEY/VERSION: nothing on the token has its label.
no_object() {
    local label=spaces/${1%%/*}/keys/${1#*/}
    label=${label%/*}/versions/${1##*/}
    ! "$BIN/kms-dev" objects "$DEPLOYMENT" --json | grep -q "\"$label\""
}
