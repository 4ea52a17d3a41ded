# Packages of Debian suites that this machine need not use itself, through a private apt
# configuration: own source list, state and cache; the mirror is the machine's own.
# shellcheck shell=bash
# SPDX-License-Identifier: MIT

# What the functions below work on; a caller with other needs has its own.
APT_DIR=$CACHE_DIR/apt
APT_SUITES=(trixie trixie-backports)
APT_ARCHITECTURE=
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror of the machine's own apt sources, or FERRITE_DEBIAN_MIRROR.
debian_mirror() {
    if [ -n "${FERRITE_DEBIAN_MIRROR:-}" ]; then
        echo "$FERRITE_DEBIAN_MIRROR"
        return
    fi
    have apt-get || unavailable "the virtual board needs Debian's apt (tested on Debian 12 and 13)"
    local uri
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -E '/debian/?$' | sort | uniq -c | sort -rn | awk 'NR==1 {print $2}')
    [ -n "$uri" ] || unavailable "no Debian mirror in this machine's apt sources; set FERRITE_DEBIAN_MIRROR"
    echo "${uri%/}"
}

# debian_sources: the one-line entries for the suites.
debian_sources() {
    local mirror suite
    mirror=$(debian_mirror) || exit $?
    for suite in "${APT_SUITES[@]}"; do
        echo "deb [signed-by=$KEYRING] $mirror $suite main"
    done
}

# apt_private ARG... : an apt tool under the private configuration.
apt_private() {
    local tool=$1; shift
    "$tool" -c "$APT_DIR/apt.conf" "$@"
}

# Prepares the private configuration and refreshes its lists (at most once a day).
debian_update() {
    mkdir -p "$APT_DIR"/{state/lists/partial,cache/archives/partial,empty}
    debian_sources >"$APT_DIR/sources.list" || exit $?
    # The machine's hooks are for its own cache: one of them may delete archives another apt is using.
    cat >"$APT_DIR/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::Etc::SourceList "$APT_DIR/sources.list";
Dir::Etc::SourceParts "$APT_DIR/empty";
Dir::State "$APT_DIR/state";
Dir::State::status "/dev/null";
Dir::Cache "$APT_DIR/cache";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    [ -z "$APT_ARCHITECTURE" ] ||
        echo "APT::Architecture \"$APT_ARCHITECTURE\"; APT::Architectures {\"$APT_ARCHITECTURE\";};" >>"$APT_DIR/apt.conf"
    local stamp=$APT_DIR/updated
    if [ ! -e "$stamp" ] || [ -n "$(find "$stamp" -mmin +1440)" ]; then
        say "reading the package lists of ${APT_SUITES[*]}"
        apt_private apt-get -qq update >&2 || return 1
        touch "$stamp"
    fi
}

# fetch_deb PACKAGE: prints the path of the package, fetched when no version of it is kept yet
# (FERRITE_BOARD_UPDATE=1 asks for the newest).
fetch_deb() {
    local package=$1 kept
    mkdir -p "$CACHE_DIR/debs"
    kept=$(find "$CACHE_DIR/debs" -name "${package}_*.deb" -printf '%T@ %p\n' | sort -rn | awk 'NR==1 {print $2}')
    if [ -z "$kept" ] || [ -n "${FERRITE_BOARD_UPDATE:-}" ]; then
        with_lock apt debian_update || unavailable "the package lists of trixie-backports cannot be read (no network?)"
        say "fetching $package"
        (cd "$CACHE_DIR/debs" && apt_private apt-get -qq download -t trixie-backports "$package" >&2) ||
            unavailable "$package cannot be fetched from trixie-backports (no network?)"
        kept=$(find "$CACHE_DIR/debs" -name "${package}_*.deb" -printf '%T@ %p\n' | sort -rn | awk 'NR==1 {print $2}')
    fi
    echo "$kept"
}
