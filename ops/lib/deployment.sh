# A development deployment on loopback: laid out, initialised, served, stopped. Source it
# after common.sh.
# shellcheck shell=bash

# build PROFILE: the three programs, into $BIN. PROFILE is `release` or `dev`.
build() {
    local profile=$1 directory=$1
    [ "$profile" = dev ] && directory=debug
    BIN=$TARGET/$directory
    (cd "$REPOSITORY" && cargo build --locked --profile "$profile" --bins \
        -p kms-server -p kms-client -p softhsm-tests </dev/null)
}

# lay_out DIRECTORY [PREPARE]: token, certificates and configuration of EMC2's development
# warehouse; PREPARE may change its documents first. What is there already stays, but for what an
# interrupted first run left: it was never used.
lay_out() {
    DEPLOYMENT=$1
    mkdir -p "$DEPLOYMENT"
    if [ ! -e "$DEPLOYMENT/initialised" ]; then
        rm -rf "$DEPLOYMENT"/{data,tokens,pin,officer-pin,softhsm2.conf}
    fi
    cp "$REPOSITORY"/ops/emc2/{deployment,bindings}.yaml "$DEPLOYMENT/"
    "${2:-:}"
    "$BIN/kms-dev" deployment "$DEPLOYMENT" --log-format text
    export SOFTHSM2_CONF=$DEPLOYMENT/softhsm2.conf
}

# initialise: makes the deployment, once.
initialise() {
    if [ -e "$DEPLOYMENT/initialised" ]; then
        say 'the deployment exists already: going on with it'
        return 0
    fi
    if ! "$BIN/kms-server" init --config "$DEPLOYMENT/kms-server.toml" \
        --deployment "$DEPLOYMENT/deployment.yaml" --bindings "$DEPLOYMENT/bindings.yaml" \
        --policy "$REPOSITORY/ops/policy" </dev/null >"$DEPLOYMENT/init.log" 2>&1; then
        tail -n 20 "$DEPLOYMENT/init.log" | quote >&2
        die 'the deployment cannot be made; why is said above'
    fi
    touch "$DEPLOYMENT/initialised"
}

# serve: starts the server and waits until it serves.
serve() {
    rm -f "$DEPLOYMENT/data/endpoints.json"
    "$BIN/kms-server" serve --config "$DEPLOYMENT/kms-server.toml" \
        </dev/null >>"$DEPLOYMENT/server.log" 2>&1 &
    SERVER=$!
    if ! "$BIN/kms-dev" ready "$DEPLOYMENT" --pid "$SERVER"; then
        tail -n 20 "$DEPLOYMENT/server.log" | quote >&2
        die 'the server does not serve; its last words are above'
    fi
}

# stop: asks the server to drain and waits for it; nothing is left running.
stop() {
    [ -n "${SERVER:-}" ] || return 0
    kill -TERM "$SERVER" 2>/dev/null || true
    wait "$SERVER" 2>/dev/null || true
    SERVER=
}

# kms ID ARGUMENT...: the command line as a person or service.
kms() {
    local who=$1
    shift
    "$BIN/kms" --config "$DEPLOYMENT/contexts.toml" --context "$who" "$@" </dev/null
}
