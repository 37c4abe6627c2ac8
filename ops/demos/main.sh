# The main job: encrypt, import, pseudonymise, rotate, with keys that live in an HSM
# shellcheck shell=bash
# Sourced by ops/demo and ops/quickstart, which have a server running for it.

story() {
    say "${DIM}(the story is told once the command line exists)${PLAIN}"
}
