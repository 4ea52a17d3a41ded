# Mesa's TFLite delegate for the guest, of any version that Debian's registry has now or that was kept
# from it. It lies beside the root file system, so all versions run in the same one.
# shellcheck shell=bash
# SPDX-License-Identifier: MIT

# The names that versions are asked for by, and Debian's suites for them.
declare -A MESA_SUITES=([stable]=trixie [backports]=trixie-backports [newest]=sid)
MESA_PACKAGE=mesa-teflon-delegate

# mesa_library VERSION: prints the path of libteflon.so. VERSION is a name above or what a package's
# version starts with (26.2, 26.1.6). A name means the version that it meant first, until
# FERRITE_BOARD_UPDATE=1 asks for the newest.
mesa_library() {
    local version package folder
    version=$(mesa_version "$1") || exit $?
    package=$(with_lock apt-mesa mesa_package "$version") || exit $?
    folder=$CACHE_DIR/mesa/$(basename "$package" .deb)-$(hash_file "$package" | cut -c1-16)
    if [ ! -e "$folder/libteflon.so" ]; then
        rm -rf "$folder" "$folder.part"
        mkdir -p "$folder.part/package"
        dpkg-deb -x "$package" "$folder.part/package" || die "$package cannot be unpacked"
        mv "$folder.part/package/usr/lib/teflon/libteflon.so" "$folder.part/" || die "$package has no libteflon.so"
        rm -rf "$folder.part/package"
        mv "$folder.part" "$folder"
    fi
    echo "$folder/libteflon.so"
}

# mesa_version NAME|VERSION: the package's whole version.
mesa_version() {
    local named=$CACHE_DIR/mesa/$1.version version
    if [ -z "${FERRITE_BOARD_UPDATE:-}" ]; then
        if [ -e "$named" ]; then cat "$named"; return; fi
        version=$(mesa_kept "$1")
        if [ -n "$version" ]; then echo "$version"; return; fi
    fi
    with_lock apt-mesa mesa_update || exit $?
    version=$(mesa_apt apt-cache madison "$MESA_PACKAGE" | tr -d ' ' |
        awk -F '|' -v wanted="$1" -v suite="${MESA_SUITES[$1]:-}" '
            suite != "" ? index($3, "debian" suite "/main") : index($2, wanted) == 1 {print $2; exit}')
    [ -n "$version" ] || unavailable "Debian has no Mesa $1 now; there are: $(mesa_apt apt-cache madison "$MESA_PACKAGE" |
        awk -F '|' '{print $2}' | sort -u | tr -d '\n')"
    if [ -n "${MESA_SUITES[$1]:-}" ]; then
        mkdir -p "$CACHE_DIR/mesa"
        echo "$version" >"$named"
    fi
    echo "$version"
}

# mesa_kept VERSION: the newest kept package's whole version that starts so, if there is one.
mesa_kept() {
    find "$CACHE_DIR/debs" -name "${MESA_PACKAGE}_$1*_arm64.deb" -printf '%f\n' 2>/dev/null | sort -V | tail -n 1 | cut -d _ -f 2
}

# mesa_package VERSION: the path of the package of that whole version, fetched when it is not kept.
mesa_package() {
    local kept=$CACHE_DIR/debs/${MESA_PACKAGE}_$1_arm64.deb
    if [ ! -e "$kept" ]; then
        mesa_update || exit $?
        say "fetching $MESA_PACKAGE $1"
        mkdir -p "$CACHE_DIR/debs"
        (cd "$CACHE_DIR/debs" && mesa_apt apt-get -qq download "$MESA_PACKAGE:arm64=$1" >&2) ||
            unavailable "$MESA_PACKAGE $1 cannot be fetched (no network?)"
    fi
    echo "$kept"
}

mesa_update() { mesa_apt debian_update || unavailable "the package lists of Mesa's suites cannot be read (no network?)"; }

# mesa_apt COMMAND ARG...: under a configuration that knows all suites, which a root file system must not be made from.
mesa_apt() (
    APT_DIR=$CACHE_DIR/apt/mesa APT_SUITES=("${MESA_SUITES[@]}") APT_ARCHITECTURE=arm64
    case $1 in apt-*) apt_private "$@" ;; *) "$@" ;; esac
)
