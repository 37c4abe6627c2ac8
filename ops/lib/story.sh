# Telling a story whose every claim is checked. Source it after deployment.sh.
# shellcheck shell=bash

CHAPTERS=0
FIGURES=()

# chapter TITLE
chapter() {
    CHAPTERS=$((CHAPTERS + 1))
    printf '\n%s%d. %s%s\n' "$BOLD" "$CHAPTERS" "$1" "$PLAIN"
}

# figure NAME VALUE: a line of the summary.
figure() { FIGURES+=("$1"$'\t'"$2"); }

# claim SENTENCE COMMAND...: the sentence holds when the command succeeds; else the story ends.
claim() {
    local sentence=$1
    shift
    "$@" >/dev/null 2>&1 || die "this does not hold: $sentence"
    printf '  %s✓%s %s\n' "$GREEN" "$PLAIN" "$sentence"
}

# refused CODE ID ARGUMENT...: `kms` as ID must end with this exit code; what it says is shown.
refused() {
    local code=$1 who=$2 status=0 said
    shift 2
    printf '%s  %s$ kms %s%s\n' "$DIM" "$who" "$*" "$PLAIN"
    said=$(kms "$who" "$@" 2>&1 >/dev/null) || status=$?
    [ "$status" -eq "$code" ] || die "should have ended with $code, ended with $status: $said"
    # What was shown before it was refused is not the point.
    case $said in *$'\n'error:*) said=error:${said##*$'\n'error:} ;; esac
    printf '    %s(exit %d)%s %s\n' "$DIM" "$status" "$PLAIN" "$said"
}

# as ID ARGUMENT...: shown, run, and what it answers set off.
as() {
    local who=$1
    shift
    printf '%s  %s$ kms %s%s\n' "$DIM" "$who" "$*" "$PLAIN"
    kms "$who" "$@" | quote
}

# quietly ID ARGUMENT...: shown and run; only a failure is heard.
quietly() {
    local who=$1 said
    shift
    printf '%s  %s$ kms %s%s\n' "$DIM" "$who" "$*" "$PLAIN"
    said=$(kms "$who" "$@" 2>&1 >/dev/null) || die "$said"
}

# waiting ID [ACTION]: the proposal, of that action, that waits, as ID sees it.
waiting() {
    kms "$1" proposal list -o json | tr -d '\n' |
        grep -o '"name": "proposals/[^"]*"[^{]*"action": "'"${2:-[^\"]*}"'"' |
        sed -n 's|^"name": "\(proposals/[^"]*\)".*|\1|p' | head -n 1
}

# agree NAME ID...: each of them approves, having looked at it.
agree() {
    local name=$1 who
    shift
    for who in "$@"; do
        quietly "$who" proposal approve "$name" --yes --reason 'I looked at it'
    done
}

# begin; then `took` gives the milliseconds since, and `rate COUNT` a number a second.
begin() { BEGUN=${EPOCHREALTIME/[.,]/}; }
took() {
    local now=${EPOCHREALTIME/[.,]/}
    printf '%d' $(((now - BEGUN) / 1000))
}
rate() {
    local now=${EPOCHREALTIME/[.,]/}
    printf '%d' $(($1 * 1000000 / (now - BEGUN + 1)))
}

# summary: every figure, aligned.
summary() {
    local line width=0
    for line in "${FIGURES[@]}"; do
        line=${line%%$'\t'*}
        [ ${#line} -le "$width" ] || width=${#line}
    done
    printf '\n%sSummary%s\n' "$BOLD" "$PLAIN"
    for line in "${FIGURES[@]}"; do
        printf '  %-*s  %s\n' "$width" "${line%%$'\t'*}" "${line#*$'\t'}"
    done
}
