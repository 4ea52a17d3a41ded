# Our own programs for the board: the device models for QEMU, and `ferrite` for the guest.
# shellcheck shell=bash
# SPDX-License-Identifier: MIT

# plugin_library: prints the path of the device models, built when they are not of this source.
plugin_library() {
    if [ -n "${FERRITE_BOARD_PLUGIN:-}" ]; then
        echo "$FERRITE_BOARD_PLUGIN"
        return
    fi
    have cargo || unavailable "cargo is needed to build the board's device models"
    (cd "$REPO_DIR" && cargo build --quiet --release -p ferrite-board >&2) || exit 1
    local target=${CARGO_TARGET_DIR:-$REPO_DIR/target}
    echo "$target/release/libferrite_board.so"
}
