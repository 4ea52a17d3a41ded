# The guest's root file system: a small Debian with Python, LiteRT and what Mesa's delegate needs.
# shellcheck shell=bash
# SPDX-License-Identifier: MIT

ROOTFS_SUITE=trixie
ROOTFS_PYTHON=313 # trixie's
ROOTFS_PACKAGES=(base-files base-passwd bash busybox-static coreutils dash findutils grep sed
    kmod procps util-linux strace libstdc++6 libgomp1 libdrm2 libexpat1 libzstd1 zlib1g
    python3 python3-minimal python3-numpy libblas3 liblapack3)
# LiteRT 2.1.6: later ones crash or give wrong results on an emulated arm64 (models/README of the
# reference set).
ROOTFS_WHEELS=(ai-edge-litert==2.1.6 flatbuffers==25.12.19 tqdm==4.67.1 typing_extensions==4.15.0
    backports.strenum==1.2.8)

# rootfs_image: prints the path of the squashfs image, building it at first.
rootfs_image() {
    local key image
    key=$(hash_of "$ROOTFS_SUITE" "$ROOTFS_PYTHON" "${ROOTFS_PACKAGES[@]}" "${ROOTFS_WHEELS[@]}" \
        "$(hash_file "$BOARD_DIR/lib/rootfs.sh")")
    image=$CACHE_DIR/rootfs/$ROOTFS_SUITE-$key.squashfs
    if [ ! -e "$image" ]; then
        rootfs_tools >&2
        with_lock rootfs build_rootfs "$image" || exit $?
    fi
    echo "$image"
}

build_rootfs() {
    local image=$1 root=${1%.squashfs}.dir
    [ -e "$image" ] && return
    mkdir -p "$(dirname "$image")" "$CACHE_DIR/wheels"
    with_lock apt debian_update || unavailable "the package lists of $ROOTFS_SUITE cannot be read (no network?)"
    rm -rf "$root"
    local include
    include=$(IFS=,; echo "${ROOTFS_PACKAGES[*]}")
    with_progress "unpacking the guest's Debian packages" "${image%.squashfs}.debian.log" \
        mmdebstrap --variant=extract --architectures=arm64 --include="$include" \
        "$ROOTFS_SUITE" "$root" "$APT_DIR/sources.list" ||
        unavailable "the guest's Debian packages cannot be fetched (log: ${image%.squashfs}.debian.log)"
    with_progress "fetching LiteRT for the guest" "${image%.squashfs}.wheels.log" \
        python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: \
        --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 --platform any \
        --implementation cp --python-version "$ROOTFS_PYTHON" --abi "cp$ROOTFS_PYTHON" --abi none \
        --dest "$CACHE_DIR/wheels" "${ROOTFS_WHEELS[@]}" ||
        unavailable "LiteRT's wheels cannot be fetched (log: ${image%.squashfs}.wheels.log)"
    finish_rootfs "$root" || return 1
    with_progress "packing the guest's file system" "${image%.squashfs}.pack.log" \
        mksquashfs "$root" "$image.part" -noappend -all-root -comp zstd -Xcompression-level 3 -no-progress || return 1
    rm -rf "$root"
    mv "$image.part" "$image"
}

# What the packages' own scripts would have done, had they been run.
finish_rootfs() {
    local root=$1 name lib=usr/lib/aarch64-linux-gnu wheel
    for name in bin lib sbin; do [ -e "$root/$name" ] || ln -s "usr/$name" "$root/$name"; done
    mkdir -p "$root"/{proc,sys,dev,tmp,run,root,mnt/share,mnt/board,etc,usr/lib/teflon}
    # Mesa's delegate, where its package has it, is the run's.
    ln -s /mnt/board/libteflon.so "$root/usr/lib/teflon/libteflon.so"
    ln -sf python3.13 "$root/usr/bin/python3"
    for name in blas/libblas.so.3 lapack/liblapack.so.3; do
        ln -sf "$name" "$root/$lib/$(basename "$name")"
    done
    # The run's own init is in its control folder.
    printf '%s\n' '#!/usr/bin/busybox sh' \
        '/usr/bin/busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null' \
        '/usr/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 board /mnt/board' \
        'exec /mnt/board/init' >"$root/init"
    chmod 755 "$root/init"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    for wheel in "$CACHE_DIR"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$root/usr/lib/python3/dist-packages" || return 1
    done
    rm -rf "$root"/usr/share/{doc,man,locale,info,lintian} "$root"/var/{cache,lib}/apt
}
