# The delegate's tests on the board, part of tests/board/test.
# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: MIT

# Also a model of which parts stay with TFLite.
DELEGATED=("${MODELS[@]}" model:mobilenet_v2_1.0_224_quant model:traffic_model)

# delegate_on DIR DRIVER NODE SIMULATOR ARG... : LiteRT with our delegate in the guest, byte for byte
# against `ferrite run` on the simulator here. Leaves the share for more to be judged.
delegate_on() {
    local dir=$1 driver=$2 node=$3 simulator=$4; shift 4
    cp "$programs/libferrite_delegate.so" "$dir/"
    board --driver "$driver" --icount --cpus 1 --share "$dir" --stats "$dir/stats.json" "$@" -- \
        env FERRITE_DEVICE="$node" \
        python3 delegate_check.py cases.json ./libferrite_delegate.so --outputs outputs >"$dir/results" 2>"$dir/errors" ||
        fail "status $?: $(tail -n 3 "$dir/errors" | tr '\n' ' ')"
    python3 "$BOARD_DIR/lib/same_outputs.py" "$host_programs/ferrite" "$simulator" "$dir/cases.json" "$dir/outputs" || exit 1
}

# On the RK3588 also against plain TFLite's reference outputs.
delegate_on_rk3588() {
    local dir=$1 driver=$2
    cases "$dir" "${DELEGATED[@]}"
    delegate_on "$dir" "$driver" /dev/accel/accel0 sim:rk3588
    python3 "$BOARD_DIR/lib/judge.py" --steps "$STEPS" --stats "$dir/stats.json" \
        "$dir/cases.json" "$dir/results"
}

test_delegate_rocket() { delegate_on_rk3588 "$1" rocket; }
test_delegate_ferrite() { delegate_on_rk3588 "$1" ferrite; }

test_delegate_etnaviv() {
    cases "$1" "${MODELS[@]}"
    delegate_on "$1" etnaviv /dev/dri/renderD128 sim:a311d --soc a311d
    python3 "$BOARD_DIR/lib/judge.py" --stats "$1/stats.json"
}

# delegate_fails DIR CHECK OPTION... : guest/delegate_failures.py, whose line a check is kept; on $node.
delegate_fails() {
    local dir=$1 check=$2; shift 2
    board --icount --cpus 1 --share "$dir" "$@" -- env NODE="${node:-/dev/accel/accel0}" \
        python3 delegate_failures.py cases.json ./libferrite_delegate.so "$check" >"$dir/$check" 2>"$dir/errors" ||
        fail "$check ($*): status $?: $(cat "$dir/$check") $(tail -n 3 "$dir/errors" | tr '\n' ' ')"
}

# No node, no permission, hung jobs, and jobs that memory fails.
test_delegate_failures() {
    local dir=$1 driver next wrong check said=()
    cases "$dir" model:mobilenet_v1_0.25_128_quant
    cp "$programs/libferrite_delegate.so" "$dir/"
    delegate_fails "$dir" absent --driver none
    delegate_fails "$dir" forbidden --driver ferrite
    # A kick of the third inference, of a task each or of a chain; twice that is behind the fourth, also where the driver
    # kicks for itself after an error.
    for driver in rocket ferrite; do
        delegate_fails "$dir" works --cores 1 --driver "$driver" --stats "$dir/stats.json"
        next=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["cores"][0]["kicks"] * 5 // 2 + 1)' "$dir/stats.json")
        for wrong in hang dma-errors; do
            # Mainline's driver does not look at them.
            [ "$driver $wrong" != "rocket dma-errors" ] || continue
            for check in fail cpu; do
                delegate_fails "$dir" $check --cores 1 --driver "$driver" "--$wrong" "$next"
            done
            said+=("$driver, $wrong: $(cat "$dir/fail")")
        done
    done
    printf '%s; ' "${said[@]}"
}

# On the A311D: in the middle of the third inference a job hangs, or its MMU finds no page.
test_delegate_failures_etnaviv() {
    local dir=$1 node=/dev/dri/renderD128 etnaviv=(--soc a311d --driver etnaviv) middle wrong check said=()
    cases "$dir" model:mobilenet_v1_0.25_128_quant
    cp "$programs/libferrite_delegate.so" "$dir/"
    delegate_fails "$dir" works "${etnaviv[@]}" --stats "$dir/stats.json"
    middle=$(python3 -c 'import json, sys
core = json.load(open(sys.argv[1]))["cores"][0]
print(5 * (core["nn_jobs"] + core["tp_jobs"]) // 2)' "$dir/stats.json")
    for wrong in hang dma-errors; do
        for check in fail cpu; do
            delegate_fails "$dir" $check "${etnaviv[@]}" "--$wrong" "$middle"
        done
        said+=("$wrong: $(cat "$dir/fail")")
    done
    printf '%s; ' "${said[@]}"
}

# Three interpreters of one model in a process: on our driver they share what they can, and have a core each.
test_delegate_in_flight() {
    local dir=$1 driver
    cases "$dir" model:mobilenet_v1_1.0_224_quant_embedding_extractor
    cp "$programs/libferrite_delegate.so" "$dir/"
    for driver in rocket ferrite; do
        board --driver "$driver" --cores 3 --share "$dir" --stats "$dir/$driver.json" -- \
            python3 in_flight.py cases.json ./libferrite_delegate.so 3 8 >"$dir/report.$driver" 2>"$dir/errors" ||
            fail "$driver: status $?: $(cat "$dir/report.$driver" "$dir/errors" | tail -n 3 | tr '\n' ' ')"
    done
    python3 "$BOARD_DIR/lib/in_flight.py" "$dir/report.ferrite" "$dir/ferrite.json" 2>&1 || exit 1
}

# What delegates cost the host, in instructions and calls: ours beside Mesa's, at most a tenth of
# Mesa's to prepare a model and a quarter to run it. On mainline's driver it takes most of a tenth by
# itself to prepare the smallest model, so that there preparing is not judged.
test_delegate_costs() {
    local dir=$1 pair driver pairs=() limits
    cases "$dir" "${MODELS[@]}"
    cp "$programs/libferrite_delegate.so" "$dir/"
    for pair in mobilenet_v1_0.25_128_quant:128 mobilenet_v1_0.5_160_quant:160 \
        mobilenet_v1_1.0_224_quant_embedding_extractor:224; do
        pairs+=("${pair%:*}.tflite:inputs_cat_${pair#*:}x${pair#*:}x3_uint8.npy")
    done
    for driver in rocket ferrite; do
        board --driver "$driver" --icount --cpus 1 --share "$dir" -- \
            sh ./delegate_costs "$TEFLON" ./libferrite_delegate.so "${pairs[@]}" >"$dir/figures" 2>"$dir/errors" ||
            fail "$driver: status $?: $(tail -n 3 "$dir/errors" | tr '\n' ' ')"
        limits=(--run 0.25)
        [ "$driver" = rocket ] || limits+=(--prepare 0.1)
        echo "$driver:"
        python3 "$BOARD_DIR/lib/costs.py" "${limits[@]}" "$dir/figures" || exit 1
    done
}
