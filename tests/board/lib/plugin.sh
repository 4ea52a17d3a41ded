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

# guest_programs: prints the folder with `ferrite` and the delegate built for the guest.
guest_programs() {
    guest_rust_tools >&2
    have cargo || unavailable "cargo is needed to build ferrite for the guest"
    local target=${CARGO_TARGET_DIR:-$REPO_DIR/target}/board
    (cd "$REPO_DIR" && RUSTC=$(rustc_program) CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        cargo build --quiet --release --target aarch64-unknown-linux-gnu --target-dir "$target" \
        -p ferrite-cli -p ferrite-delegate >&2) || exit 1
    echo "$target/aarch64-unknown-linux-gnu/release"
}
