# `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help run test bench fuzz kernel dtbs board clean licences ferrite

# rustup's default place, for shells that have not been told of it.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 23

run: ## classify handwritten digits on the simulated RK3588 NPU
	@tools/setup build
	@cargo run --quiet --release -p ferrite-digits

# Tests run with a user's settings and state that would change what they see.
POISONED := $(abspath $(or $(CARGO_TARGET_DIR),target))/poisoned
POISON := XDG_STATE_HOME=$(POISONED)/state FERRITE_CACHE_DIR=$(POISONED)/cache \
	FERRITE_EVIDENCE=inferred FERRITE_ON_ERROR=cpu FERRITE_LOG=trace
test: licences ## run every check and test
	@tools/setup test
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	tests/poison make $(POISONED)
	$(POISON) cargo nextest run --workspace
	$(POISON) cargo test --workspace --doc
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps
	$(POISON) tests/delegate/test
	$(if $(wildcard tests/board/test),$(POISON) tests/board/test)
	tests/poison check $(POISONED)

bench: ferrite ## time the simulator beside TFLite on this machine
	@tests/bench/run

FUZZ_SECONDS ?= 60
FUZZ_MODELS ?= 20000
fuzz: ## try FUZZ_MODELS (20000) hostile models, fuzz each target in tests/fuzz for FUZZ_SECONDS (60)
	@tools/setup fuzz
	cargo run --quiet --release -p ferrite-hostile -- run 0 $(FUZZ_MODELS)
	@for target in $$(cargo +nightly fuzz list --fuzz-dir tests/fuzz); do \
		echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
		cargo +nightly fuzz run --fuzz-dir tests/fuzz $$target -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit; \
	done

kernel: ## build the kernel module against the kernel tree KDIR
	$(MAKE) -C kernel $(if $(KDIR),KDIR=$(abspath $(KDIR)))

dtbs: ## compile the device tree overlays into target/dtbs, warnings being errors
	@tools/setup dtbs
	$(MAKE) -C dts OUT=$(abspath target/dtbs)

board: ## build the virtual board: QEMU plugin, kernels, root file systems
	@tools/setup build
	tests/board/build all

RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
ferrite:
	@tools/setup build
	cargo build --release -p ferrite-cli

clean: ## remove everything that was built
	cargo clean
	$(if $(wildcard tests/fuzz/target),cargo clean --manifest-path tests/fuzz/Cargo.toml)

licences: # the source trees that others build from carry their licence in each file
	@tools/check-licences

include packaging/install.mk
