# arm64 kernels for the guest, from Debian's linux-source package.
# shellcheck shell=bash
# SPDX-License-Identifier: MIT

LINUX_SERIES=${FERRITE_LINUX_SERIES:-7.2}

# linux_source: prints the folder of the unpacked source, unpacking it at first.
linux_source() {
    local deb folder
    deb=$(fetch_deb "linux-source-$LINUX_SERIES") || exit $?
    folder=$CACHE_DIR/src/$(basename "$deb" _all.deb | tr ':%~+' '____')
    [ -e "$folder/.unpacked" ] || with_lock "src-$LINUX_SERIES" unpack_linux "$deb" "$folder" || exit $?
    echo "$folder"
}

unpack_linux() {
    local deb=$1 folder=$2
    [ -e "$folder/.unpacked" ] && return
    install_packages xz-utils
    rm -rf "$folder" "$folder.deb"
    mkdir -p "$folder" "$folder.deb"
    dpkg -x "$deb" "$folder.deb" || die "$deb cannot be unpacked"
    with_progress "unpacking linux $LINUX_SERIES" "$CACHE_DIR/log/unpack.log" \
        tar -C "$folder" --strip-components=1 -xJf "$folder.deb/usr/src/linux-source-$LINUX_SERIES.tar.xz" ||
        die "$deb holds no readable source"
    rm -rf "$folder.deb"
    touch "$folder/.unpacked"
}

# kernel_args SOURCE OUT: the arguments that every make of this kernel gets, one a line.
kernel_args() {
    printf '%s\n' "-C" "$1" "O=$2" ARCH=arm64 "LLVM=-$LLVM_VERSION" "RUSTC=$(rustc_program)" \
        "RUST_LIB_SRC=$(rust_lib_src)" "BINDGEN=$BINDGEN" \
        KBUILD_BUILD_USER=ferrite KBUILD_BUILD_HOST=board KBUILD_BUILD_TIMESTAMP=@0
}

kernel_fragments() {
    echo "$BOARD_DIR/kernel/base.config"
    [ "$1" = plain ] || echo "$BOARD_DIR/kernel/$1.config"
}

# kernel_is_built KIND: whether kernel_tree would have nothing to do.
kernel_is_built() {
    local source
    # Without any there may be no source either, which is not to be fetched for this.
    [ -n "$(find "$CACHE_DIR/kernel" -maxdepth 1 -name "$LINUX_SERIES-$1-*" -type d 2>/dev/null)" ] || return 1
    source=$(linux_source) && [ -e "$(kernel_folder "$1" "$source")/.built" ]
}

# kernel_folder KIND SOURCE: prints where the kernel is, or will be.
kernel_folder() {
    local fragment words
    words=("$(basename "$2")")
    while read -r fragment; do words+=("$(hash_file "$fragment")"); done < <(kernel_fragments "$1")
    echo "$CACHE_DIR/kernel/$LINUX_SERIES-$1-$(hash_of "${words[@]}")"
}

# kernel_tree KIND: prints the folder of the built kernel (plain or debug), building it at first.
# It holds arch/arm64/boot/Image, the modules, and what out-of-tree Rust modules need.
kernel_tree() {
    local kind=$1 source out
    [ -e "$BOARD_DIR/kernel/base.config" ] && [ "$kind" = plain ] || [ -e "$BOARD_DIR/kernel/$kind.config" ] ||
        die "no kernel named $kind"
    source=$(linux_source) || exit $?
    out=$(kernel_folder "$kind" "$source")
    if [ ! -e "$out/.built" ]; then
        kernel_tools >&2
        with_lock "kernel-$LINUX_SERIES-$kind" build_kernel "$kind" "$source" "$out" || exit $?
    fi
    echo "$out"
}

build_kernel() {
    local kind=$1 source=$2 out=$3 args fragment
    [ -e "$out/.built" ] && return
    mkdir -p "$out"
    args=$(kernel_args "$source" "$out") || return $?
    mapfile -t args <<<"$args"
    local fragments
    mapfile -t fragments < <(kernel_fragments "$kind")
    if [ ! -e "$out/.configured" ]; then
        with_progress "configuring the $kind kernel" "$out.config.log" \
            configure_kernel "$source" "$out" "${fragments[@]}" -- "${args[@]}" || return 1
        touch "$out/.configured"
    fi
    # A build that was interrupted goes on where it ended: make knows what is done.
    with_progress "building the $kind kernel $LINUX_SERIES (7 to 10 minutes on 2 cores)" "$out.build.log" \
        nice -n 12 make "${args[@]}" -j"$(nproc)" Image modules || return 1
    make "${args[@]}" -s modules_install INSTALL_MOD_PATH="$out/modules" DEPMOD=/sbin/depmod >>"$out.build.log" 2>&1 || return 1
    printf '%s\n' "${args[@]}" >"$out/make.args"
    touch "$out/.built"
}

configure_kernel() {
    local source=$1 out=$2 fragments=() line; shift 2
    while [ "$1" != -- ]; do fragments+=("$1"); shift; done
    shift
    make "$@" allnoconfig || return 1
    "$source/scripts/kconfig/merge_config.sh" -m -O "$out" "$out/.config" "${fragments[@]}" || return 1
    make "$@" olddefconfig || return 1
    # Kconfig drops what it cannot satisfy without a word: that would be another kernel than asked for.
    local bad=0
    while read -r line; do
        grep -qxF -- "$line" "$out/.config" || { echo "not taken over: $line"; bad=1; }
    done < <(grep -hE '^CONFIG_[A-Z0-9_]+=' "${fragments[@]}" | awk -F= '{last[$1] = $0} END {for (k in last) print last[k]}')
    make "$@" rustavailable || return 1
    return "$bad"
}
