# Shared by the scripts of ops/. Source it after `set -euo pipefail`.
# shellcheck shell=bash

shopt -s inherit_errexit
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$REPOSITORY/target}
export REPOSITORY TARGET
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
    BOLD='' DIM='' RED='' GREEN='' PLAIN=''
fi

# A line of the story.
say() { printf '%s\n' "$*"; }

# A line of the story that is good news.
well() { printf '%s%s%s\n' "$GREEN" "$*" "$PLAIN"; }

# What a command answered, set off from the story.
quote() { sed "s/^/    $DIM/; s/\$/$PLAIN/"; }

# The script cannot go on: says why, and what to do.
die() {
    printf '%s%s: %s%s\n' "$RED" "$(basename "$0")" "$*" "$PLAIN" >&2
    exit 1
}

# step TITLE COMMAND...: announces, runs, says how long it took. A failure anywhere inside is
# the script's (so it must not be called with `||` or in an `if`: that would turn errexit off).
step() {
    local start=$SECONDS
    STEP=$1
    shift
    printf '%s==> %s%s\n' "$BOLD" "$STEP" "$PLAIN"
    "$@"
    printf '%s    %s: %d s (%d min %02d s in all)%s\n' "$DIM" "$STEP" \
        $((SECONDS - start)) $((SECONDS / 60)) $((SECONDS % 60)) "$PLAIN"
    STEP=
}

# However a script ends: what it calls clean_up is done, and a failed step is named.
finish() {
    local status=$?
    trap - EXIT INT TERM HUP
    clean_up
    if [ "$status" -ne 0 ] && [ "$status" -ne 130 ] && [ -n "$STEP" ]; then
        printf '%s%s: failed at: %s%s\n' "$RED" "$(basename "$0")" "$STEP" "$PLAIN" >&2
    fi
    exit "$status"
}
STEP=
clean_up() { :; }
trap finish EXIT
trap 'exit 130' INT TERM HUP

# need_rust: a toolchain is the one thing that is asked for and not installed.
need_rust() {
    command -v cargo >/dev/null || die "Rust is missing: install it with rustup, then run this again"
    command -v cc >/dev/null || die "a C compiler is missing: install gcc, then run this again"
}

# need_debian FILE=PACKAGE...: installs the package of each missing file.
need_debian() {
    local pair missing=()
    for pair in "$@"; do
        [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local install="apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        die "missing: ${missing[*]}. Install them, on Debian with: sudo $install"
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    mkdir -p "$TARGET"
    if ! { apt-get update -q && $install; } </dev/null >"$TARGET/apt.log" 2>&1; then
        tail -n 20 "$TARGET/apt.log" >&2
        die 'apt-get failed; its last words are above'
    fi
}

# need_cargo COMMAND CRATE@VERSION: builds a cargo subcommand, for use and not for speed.
need_cargo() {
    command -v "$1" >/dev/null && return 0
    say "building $2, once"
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$TARGET/tools" \
        cargo install --quiet --locked --debug "$2" </dev/null
}
