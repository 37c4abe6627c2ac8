# Dual control: one policy, no lone operator, an emergency that is short and reviewed
# shellcheck shell=bash
# Sourced by ops/demo, which has a server running for it.

# Declared production: what needs others is not done without them. Olivia has a spare card.
prepare() {
    sed -i 's/^environment: .*/environment: production/' "$DEPLOYMENT/deployment.yaml"
    sed -i 's|^  - principal: person/olivia$|&\n    aliases: [person/olivia-spare]|' \
        "$DEPLOYMENT/bindings.yaml"
}

story() {
    WORK=$DEPLOYMENT/work
    mkdir "$WORK"
    cd "$WORK" || die "cannot work in $WORK"
    furnish
    alone
    together
    overtaken
    rules
    away
    glass
    told
    summary
    cd "$REPOSITORY" || die "cannot return to $REPOSITORY"
}

furnish() {
    chapter 'A deployment for real data'
    quietly stella space create ingest-lyon --kind ingest
    quietly stella key create ingest-lyon/object --class data-at-rest
    printf 'a delivery' >delivery
    as lyon-etl encrypt delivery --key ingest-lyon/object
}

alone() {
    chapter 'One person alone'
    say '  Olivia, an operator, wants a version declared compromised. That takes two.'
    refused 12 olivia version compromise ingest-lyon/object/1 --yes --reason 'a laptop was lost'
    NAME=$(waiting olivia)
    say '  She tries to agree with herself, with the card she asked with and with her spare one.'
    refused 4 olivia proposal approve "$NAME" --yes --reason 'surely'
    refused 4 olivia-spare proposal approve "$NAME" --yes --reason 'surely'
    refused 12 olivia proposal execute "$NAME"
    claim 'the version is active still' is_state 1 ACTIVE
}

is_state() { kms olivia version show "ingest-lyon/object/$1" -o json | grep -q "\"state\": \"$2\""; }

together() {
    chapter 'Another agrees, with a signature'
    as carl proposal show "$NAME"
    begin
    agree "$NAME" carl
    as olivia proposal execute "$NAME"
    figure 'from approval to done' "$(took) ms, two command lines"
    claim 'it is compromised now' is_state 1 COMPROMISED
    refused 7 olivia proposal execute "$NAME"
}

overtaken() {
    chapter 'What was agreed to is what is done, or nothing'
    refused 12 olivia version compromise ingest-lyon/object/2 --yes --reason 'and this one'
    NAME=$(waiting olivia)
    agree "$NAME" carl
    quietly olivia key rotate ingest-lyon/object --reason 'meanwhile'
    refused 7 olivia proposal execute "$NAME"
    claim 'nobody agreed to what is there now' is_state 2 DEACTIVATED
}

rules() {
    chapter 'The policy changes under everybody'\''s feet, and only with two custodians'
    cp "$REPOSITORY/ops/policy/policy.cedar" night.cedar
    cat >>night.cedar <<'CEDAR'

@id("maintenance")
@advice("the ingest spaces are being migrated: encrypt again in an hour")
forbid (
  principal is Kms::Service,
  action in [Kms::Action::"Encrypt", Kms::Action::"GenerateDataKey"],
  resource
);
CEDAR
    as hugo policy plan -f night.cedar
    sed 's/principal.keyOperator/principal.keyOperater/' night.cedar >typo.cedar
    refused 3 hugo policy plan -f typo.cedar
    sed 's/context.approvals >= 2/context.approvals >= 5/' night.cedar >locked.cedar
    refused 3 hugo policy plan -f locked.cedar
    refused 12 hugo policy apply -f night.cedar --reason 'the migration of tonight'
    NAME=$(waiting hugo)
    agree "$NAME" carl
    refused 12 hugo proposal execute "$NAME"
    agree "$NAME" carol
    quietly hugo proposal execute "$NAME"
    begin
    refused 4 lyon-etl encrypt delivery --key ingest-lyon/object -O late.kms
    figure 'a new policy in force' "at the next call, $(took) ms later"
    as ada policy explain --as service/lyon-etl --can GenerateDataKey --on ingest-lyon/object
    as ada policy history
    refused 12 hugo policy apply -f "$REPOSITORY/ops/policy/policy.cedar" --reason 'the migration is over'
    NAME=$(waiting hugo)
    agree "$NAME" carl carol
    quietly hugo proposal execute "$NAME"
    quietly lyon-etl encrypt delivery --key ingest-lyon/object -O on-time.kms
}

away() {
    chapter 'A role is taken away'
    refused 12 hugo access revoke service/lyon-etl --reason 'the contract has ended'
    NAME=$(waiting hugo)
    agree "$NAME" carl carol
    quietly hugo proposal execute "$NAME"
    refused 4 lyon-etl encrypt delivery --key ingest-lyon/object -O gone.kms
    local rights
    rights=$(kms ada access review --csv | tail -n +2 | wc -l)
    figure 'rights in the yearly review' "$rights lines, from the policy itself"
}

glass() {
    chapter 'Break glass'
    say '  Off, unless the policy is given the lines that turn it on.'
    refused 4 hugo emergency declare --minutes 30 --reason 'a leak, and nobody else is awake'
    cat "$REPOSITORY/ops/policy/policy.cedar" "$REPOSITORY/ops/policy/break-glass.cedar" >glass.cedar
    refused 12 hugo policy apply -f glass.cedar --reason 'the on-call rota starts'
    NAME=$(waiting hugo)
    agree "$NAME" carl carol
    quietly hugo proposal execute "$NAME"
    refused 12 hugo emergency declare --minutes 30 --reason 'a leak'
    NAME=$(waiting hugo)
    agree "$NAME" carl
    quietly hugo proposal execute "$NAME"
    begin
    as olivia version compromise ingest-lyon/object/3 --yes --reason 'it is on the internet'
    figure 'in an emergency' "compromised by one person in $(took) ms, and everybody knows"
    EMERGENCY=$(kms carl emergency list -o json | sed -n 's|.*"name": "\(emergencies/[^"]*\)".*|\1|p' | head -n 1)
    quietly hugo emergency end "$EMERGENCY" --reason 'the leak is closed'
    refused 7 hugo emergency declare --minutes 30 --reason 'once more'
    refused 4 carl emergency review "$EMERGENCY" --findings 'I approved it myself'
    as carol emergency review "$EMERGENCY" --findings 'one version compromised, rightly'
}

told() {
    chapter 'All of it is in the log'
    as ada audit verify --client-ca "$DEPLOYMENT/pki/ca.pem"
    quietly ada audit export --log changes -O changes.jsonl
    claim 'the emergency is critical in the log' grep -q '"severity_id":5' changes.jsonl
    local approvals
    approvals=$(grep -c '"operation":"Approve".*"record":"intention"' changes.jsonl)
    figure 'approvals in the log' "$approvals, each with a signature that a third party can verify"
    kill -KILL "$SERVER"
    wait "$SERVER" 2>/dev/null || true
    serve
    claim 'after SIGKILL the same policy, roles and proposals are in force' \
        test "$(kms ada proposal list --all -o json | grep -c '"name": "proposals/')" -eq 7
}
