# The programs that the virtual board is built and run with.
# shellcheck shell=bash
# SPDX-License-Identifier: MIT

BINDGEN_VERSION=0.72.1
LLVM_VERSION=${FERRITE_LLVM_VERSION:-19}

# Installs Debian packages, when this user may; says what to do otherwise.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        if have sudo && sudo -n true 2>/dev/null; then
            as_root=(sudo)
        else
            unavailable "please install: sudo apt-get install --no-install-recommends ${missing[*]}"
        fi
    fi
    say "installing ${missing[*]}"
    with_lock apt-install with_progress "apt-get install" "$CACHE_DIR/log/apt-install.log" \
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update -qq; apt-get install -y --no-install-recommends "$@"' sh "${missing[@]}" ||
        unavailable "apt-get install ${missing[*]} failed (see $CACHE_DIR/log/apt-install.log)"
}

# The first of the packages named that apt knows.
first_known_package() {
    local package
    for package in "$@"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    unavailable "apt knows none of: $* (try apt-get update)"
}

run_tools() { install_packages qemu-system-arm device-tree-compiler util-linux; }

rootfs_tools() { install_packages mmdebstrap squashfs-tools python3 python3-pip unzip; }

kernel_tools() {
    # Debian 12 has a recent compiler as rustc-web; Debian 13's rustc is the oldest that Linux takes.
    local rustc=rustc rust_src=rust-src
    if apt-cache show rustc-web >/dev/null 2>&1; then rustc=rustc-web rust_src=rust-web-src; fi
    install_packages "clang-$LLVM_VERSION" "lld-$LLVM_VERSION" "llvm-$LLVM_VERSION" \
        "libclang-$LLVM_VERSION-dev" "$rustc" "$rust_src" make flex bison bc libelf-dev libssl-dev \
        cpio kmod rsync python3
    bindgen_tool
}

# What our own programs for the guest are built with: Debian's compiler, for it has the arm64 library.
guest_rust_tools() {
    local std=libstd-rust-dev rustc=rustc
    if apt-cache show rustc-web >/dev/null 2>&1; then std=libstd-rust-web-dev rustc=rustc-web; fi
    if ! dpkg --print-foreign-architectures | grep -qx arm64; then
        if [ "$(id -u)" = 0 ]; then dpkg --add-architecture arm64
        elif have sudo && sudo -n true 2>/dev/null; then sudo dpkg --add-architecture arm64
        else unavailable "please run: sudo dpkg --add-architecture arm64 && sudo apt-get update"; fi
    fi
    install_packages "$rustc" gcc-aarch64-linux-gnu libc6-dev-arm64-cross "$std:arm64"
}

# Debian's compiler, whatever rustup has put in PATH.
rustc_program() { echo "${FERRITE_KERNEL_RUSTC:-/usr/bin/rustc}"; }

# The source of its standard library, which the kernel builds `core` from.
rust_lib_src() {
    local rustc version
    rustc=$(rustc_program)
    version=$("$rustc" --version | awk '{print $2}')
    local folder
    for folder in "$("$rustc" --print sysroot)/lib/rustlib/src/rust/library" "/usr/src/rustc-$version/library"; do
        if [ -e "$folder/core/src/lib.rs" ]; then
            echo "$folder"
            return
        fi
    done
    unavailable "the source of the standard library of $rustc is not installed (package rust-src)"
}

# bindgen of a version that Linux takes: the system's, or one built once from the package registry.
bindgen_tool() {
    BINDGEN=$CACHE_DIR/tools/bindgen-$BINDGEN_VERSION/bin/bindgen
    [ -x "$BINDGEN" ] && return
    with_lock bindgen build_bindgen
}

build_bindgen() {
    [ -x "$BINDGEN" ] && return
    local cargo
    cargo=$(command -v cargo) || unavailable "cargo is needed to build bindgen"
    # Cargo caches the finished program in the target folder given; a broken run starts where it ended.
    with_progress "building bindgen $BINDGEN_VERSION" "$CACHE_DIR/log/bindgen.log" \
        "$cargo" install --locked --root "$CACHE_DIR/tools/bindgen-$BINDGEN_VERSION" \
        --target-dir "$CACHE_DIR/tools/bindgen-target" "bindgen-cli@$BINDGEN_VERSION" ||
        unavailable "bindgen $BINDGEN_VERSION cannot be built (see $CACHE_DIR/log/bindgen.log)"
    rm -rf "$CACHE_DIR/tools/bindgen-target"
}
