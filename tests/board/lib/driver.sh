# Our kernel driver for the guest's kernel.
# shellcheck shell=bash
# SPDX-License-Identifier: MIT

# driver_module TREE: prints the path of ferrite.ko for the kernel built in TREE, building it at
# first; FERRITE_MODULE=FILE.ko takes one that is built already.
driver_module() {
    if [ -n "${FERRITE_MODULE:-}" ]; then
        echo "$FERRITE_MODULE"
        return
    fi
    local tree=$1 key out
    [ -e "$REPO_DIR/kernel/Kbuild" ] || die "there is no kernel driver in this tree"
    key=$(cd "$REPO_DIR" && find kernel uapi -type f \( -name '*.rs' -o -name '*.[ch]' -o -name Kbuild -o -name Makefile \) \
        ! -path '*/target/*' ! -name 'bindings_generated.rs' ! -name '*.mod.c' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
    out=$CACHE_DIR/driver/$(basename "$tree")-$key
    if [ ! -e "$out/ferrite.ko" ]; then
        kernel_tools >&2
        with_lock driver build_driver "$tree" "$out" || exit 1
    fi
    echo "$out/ferrite.ko"
}

build_driver() {
    local tree=$1 out=$2 args
    [ -e "$out/ferrite.ko" ] && return
    rm -rf "$out.part"
    mkdir -p "$out.part"
    # The kernel's own arguments but for where its source and objects are.
    mapfile -t args < <(sed 1,3d "$tree/make.args")
    with_progress "building ferrite.ko" "$out.log" \
        make -C "$tree" "${args[@]}" M="$REPO_DIR/kernel" MO="$out.part" modules || return 1
    rm -rf "$out"
    mv "$out.part" "$out"
}
