# Shared by the virtual board's scripts: where things are kept, messages, locks, progress.
# shellcheck shell=bash
# SPDX-License-Identifier: MIT

BOARD_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPO_DIR=$(cd "$BOARD_DIR/../.." && pwd)
CACHE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/ferrite/board

# Exit status of a script that cannot do its work here (no tool, no network), as opposed to failing.
EX_UNAVAILABLE=69

say() { printf 'board: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
# Says what cannot be had and how to help, and ends with the status that test suites take for "skip".
unavailable() { say "unavailable: $*"; exit "$EX_UNAVAILABLE"; }
have() { command -v "$1" >/dev/null 2>&1; }

# hash_of WORD... : 16 hex digits naming this content.
hash_of() { printf '%s\0' "$@" | sha256sum | cut -c1-16; }
hash_file() { sha256sum "$1" | cut -c1-64; }

# with_lock NAME COMMAND... : one at a time among all runs of this user; the others wait.
with_lock() {
    local name=$1; shift
    mkdir -p "$CACHE_DIR/locks"
    local fd
    exec {fd}>"$CACHE_DIR/locks/$name"
    if ! flock -n "$fd"; then
        say "waiting for another run that is building $name"
        flock "$fd"
    fi
    local status=0
    "$@" || status=$?
    exec {fd}>&-
    return "$status"
}

# with_progress TITLE LOG COMMAND... : runs with the output in LOG, and shows that it is alive:
# a line that is rewritten on a terminal, one line every 30 s otherwise.
with_progress() {
    local title=$1 log=$2 started=$SECONDS shown=0 status=0; shift 2
    mkdir -p "$(dirname "$log")"
    say "$title (log: $log)"
    set -m # a process group of its own, to be ended as a whole
    "$@" >"$log" 2>&1 </dev/null &
    local pid=$!
    set +m
    # shellcheck disable=SC2064 # the pid is meant as it is now
    trap "kill -- -$pid 2>/dev/null; exit 130" INT TERM
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        local line
        line="$title: $((SECONDS - started)) s, $(wc -l <"$log") steps"
        if [ -t 2 ]; then
            printf '\r\033[Kboard: %s  %.60s' "$line" "$(tail -n 1 "$log" | tr -d '\r')" >&2
        elif ((SECONDS - started >= shown + 30)); then
            shown=$((SECONDS - started))
            say "$line"
        fi
    done
    wait "$pid" || status=$?
    trap - INT TERM
    [ -t 2 ] && printf '\r\033[K' >&2
    if ((status)); then
        say "$title failed; the end of $log:"
        tail -n 15 "$log" >&2
    else
        say "$title: done in $((SECONDS - started)) s"
    fi
    return "$status"
}
