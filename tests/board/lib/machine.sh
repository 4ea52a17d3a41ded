# One run of the virtual machine. Its state is in the variables that `run` sets.
# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: MIT

QEMU=${FERRITE_QEMU:-qemu-system-aarch64}

# Makes the run's folder: what the guest gets (control/), and what it leaves behind.
machine_prepare() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/ferrite-board.XXXXXX")
    control=$work/control
    mkdir -p "$control/modules"
    trap 'machine_stop; rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    install -m 755 "$BOARD_DIR/guest/init" "$control/init"
    echo "SHARE=$([ -n "$share" ] && echo 1 || echo 0)" >"$control/config"
    ln "$mesa_delegate" "$control/libteflon.so" 2>/dev/null || cp "$mesa_delegate" "$control/libteflon.so"
    machine_modules
    {
        printf exec
        local word
        for word in "${command[@]}"; do printf " '%s'" "${word//\'/\'\\\'\'}"; done
        echo
    } >"$control/command"
    machine_dtb >"$work/board.dtb"
}

# Copies the driver's modules, and says in which order they are loaded.
machine_modules() {
    local modules=() file
    case $driver in
        none) ;;
        ferrite) modules=("$(driver_module "$tree")") || exit $? ;;
        rocket+ferrite) modules=(rocket "$(driver_module "$tree")") || exit $? ;;
        *) modules=("$driver") ;;
    esac
    : >"$control/modules/order"
    for file in "${modules[@]}"; do
        case $file in
            *.ko)
                local needed
                for needed in $(modinfo -F depends "$file" | tr , ' '); do kernel_module "$needed"; done
                cp "$file" "$control/modules/"
                basename "$file" >>"$control/modules/order"
                ;;
            *) kernel_module "$file" ;;
        esac
    done
    # The driver itself is the last.
    [ -z "$parameters" ] || sed -i "\$s/\$/ ${parameters//\//\\/}/" "$control/modules/order"
}

# One module of the kernel's own with all that it needs.
kernel_module() {
    local path
    while read -r path; do
        grep -qxF "$(basename "$path")" "$control/modules/order" && continue
        cp "$path" "$control/modules/"
        basename "$path" >>"$control/modules/order"
    done < <(modprobe -d "$tree/modules" -S "$(cat "$tree/include/config/kernel.release")" --show-depends "$1" |
        awk '$1 == "insmod" {print $2}')
    [ -e "$control/modules/$1.ko" ] || [ -e "$control/modules/${1//_/-}.ko" ] || die "the $kernel kernel has no module $1"
}

# The arguments that fix the machine, and with it the device tree that QEMU makes for it.
machine_kind() {
    printf '%s\n' -M "virt,gic-version=3$1" -cpu cortex-a76 -smp "$cpus" -m "$memory" -nic none -nodefaults -display none
}

# The machine's device tree with our overlay on it; cores beyond the number asked for are disabled.
machine_dtb() {
    local kind core node
    mapfile -t kind < <(machine_kind ",dumpdtb=$work/virt.dtb")
    "$QEMU" "${kind[@]}" >/dev/null 2>"$work/qemu.log" || die "QEMU does not start: $(cat "$work/qemu.log")"
    dtc -q -@ -I dts -O dtb -o "$work/overlay.dtbo" "$REPO_DIR/dts/virtual-$soc.dtso" || die "the overlay is wrong"
    fdtoverlay -i "$work/virt.dtb" -o "$work/merged.dtb" "$work/overlay.dtbo" || die "the overlay does not fit"
    if [ "$soc" = rk3588 ]; then
        local nodes=(npu@fdab0000:iommu@fdab9000 npu@fdac0000:iommu@fdaca000 npu@fdad0000:iommu@fdada000)
        for ((core = cores; core < 3; core++)); do
            for node in ${nodes[core]//:/ }; do
                fdtput -t s "$work/merged.dtb" "/$node" status disabled || die "no node $node in the overlay"
            done
        done
    fi
    cat "$work/merged.dtb"
}

# Commas separate options; one that is meant is doubled.
escape() { printf %s "${1//,/,,}"; }

machine_run() {
    local kind console=$work/console.log options
    mapfile -t kind < <(machine_kind "")
    mkfifo "$work/out" "$work/err"
    cat <"$work/out" &
    local readers=($!)
    cat <"$work/err" >&2 &
    readers+=($!)

    options="soc=$soc,cores=$cores,log=$(escape "$work/npu.log"),stats=$(escape "$work/stats.json")"
    [ -n "$trace" ] && options+=",trace=$(escape "$work/trace")"
    [ -n "$dma_errors" ] && options+=",dma-errors=$dma_errors"
    [ -n "$iommu_errors" ] && options+=",iommu-errors=$iommu_errors"
    [ -n "$hang" ] && options+=",hang=$hang"
    [ -n "$evidence" ] && options+=",evidence=$evidence"
    local arguments=(
        "${kind[@]}"
        -kernel "$tree/arch/arm64/boot/Image" -dtb "$work/board.dtb"
        -append "console=ttyAMA0 root=/dev/vda ro rootfstype=squashfs init=/init loglevel=$([ "$kernel" = debug ] && echo 7 || echo 5) panic=-1 oops=panic"
        -serial "file:$console" -no-reboot
        -drive "if=none,id=root,format=raw,readonly=on,file=$(escape "$image")" -device virtio-blk-device,drive=root
        -fsdev "local,id=board,security_model=none,path=$(escape "$control")"
        -device virtio-9p-device,fsdev=board,mount_tag=board
        -device virtio-serial-device
        -chardev "file,id=out,path=$(escape "$work/out")" -device virtserialport,chardev=out,name=out
        -chardev "file,id=err,path=$(escape "$work/err")" -device virtserialport,chardev=err,name=err
        -chardev "file,id=status,path=$(escape "$work/status")" -device virtserialport,chardev=status,name=status
    )
    [ -n "$share" ] && arguments+=(
        -fsdev "local,id=share,security_model=none,multidevs=remap,path=$(escape "$(realpath "$share")")"
        -device virtio-9p-device,fsdev=share,mount_tag=share)
    if ((icount)); then
        arguments+=(-icount shift=0,sleep=off)
        options+=,icount=on
    fi
    arguments+=(-plugin "$(escape "$plugin"),$options")

    timeout -k 5 "$timeout" "$QEMU" "${arguments[@]}" >"$work/qemu.log" 2>&1 </dev/null &
    qemu=$!
    local ended=0
    wait "$qemu" || ended=$?
    qemu=
    wait "${readers[@]}" || true
    machine_report "$ended"
}

machine_stop() { [ -z "${qemu:-}" ] || kill "$qemu" 2>/dev/null || true; }

# Lines of the console that a healthy kernel never prints.
SPLAT='BUG:|WARNING: |KASAN:|UBSAN:|Oops|Kernel panic|possible circular locking|inconsistent lock state|DMA-API: [^ ]+ [^ ]+: |unreferenced object|refcount_t:|rcu: INFO: rcu_.* detected stalls|ODEBUG:'

# Hands over what was asked for, and ends with the right status.
machine_report() {
    local ended=$1 status=125 kept
    [ -z "$stats" ] || [ ! -e "$work/stats.json" ] || cp "$work/stats.json" "$stats"
    [ -z "$trace" ] || [ ! -e "$work/trace" ] || cp "$work/trace" "$trace"
    if [ "$ended" = 124 ] || [ "$ended" = 137 ]; then
        status=124
        say "the run was ended after $timeout s"
    elif [ -s "$work/status" ]; then
        status=$(cat "$work/status")
    elif [ -s "$control/status" ]; then
        # The guest did not get as far as its ports.
        status=$(cat "$control/status")
    else
        say "the guest ended without a status (QEMU: $ended)"
        tail -n 5 "$work/qemu.log" >&2
    fi
    # The plain kernel is not watched, but for the test of the watching.
    if { [ "$kernel" = debug ] || [ -n "${FERRITE_BOARD_SPLAT:-}" ]; } && grep -qE "$SPLAT" "$work/console.log"; then
        say "the kernel complained: $(grep -cE "$SPLAT" "$work/console.log") lines, the first: $(grep -m 1 -E "$SPLAT" "$work/console.log" | tr -d '\r')"
        status=126
    fi
    if [ "$status" != 0 ]; then
        kept=$(mktemp -d "${TMPDIR:-/tmp}/ferrite-board-failed.XXXXXX")
        for name in console.log npu.log qemu.log; do
            [ -e "$work/$name" ] && tr -d '\r' <"$work/$name" >"$kept/$name"
        done
        say "console log: $kept/console.log (NPU: $kept/npu.log)"
    fi
    exit "$status"
}
