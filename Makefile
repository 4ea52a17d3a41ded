# `make help` lists the targets.
.PHONY: help test
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

test: ## run everything
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo nextest run --workspace --no-tests=warn
