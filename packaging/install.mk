# Installation and packages. Included by the Makefile.
.PHONY: install uninstall install-teflon deb wheel

PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
UDEVDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/udev/rules.d,/etc/udev/rules.d)
MODPROBEDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/modprobe.d,/etc/modprobe.d)
# Empty for the machine's own target, else a Rust target such as aarch64-unknown-linux-gnu.
CARGO_TARGET ?=

built = $(or $(CARGO_TARGET_DIR),target)/$(if $(CARGO_TARGET),$(CARGO_TARGET)/)release

install: ## install library, command, manual, completions and udev rule (PREFIX, DESTDIR)
	@tools/setup build
	cargo build --release -p ferrite-delegate -p ferrite-cli $(if $(CARGO_TARGET),--target $(CARGO_TARGET))
	packaging/install --built "$(built)" --prefix "$(DESTDIR)$(PREFIX)" --libdir "$(DESTDIR)$(LIBDIR)" --udevdir "$(DESTDIR)$(UDEVDIR)" --modprobedir "$(DESTDIR)$(MODPROBEDIR)"

uninstall: ## remove what `make install` put there
	packaging/install --remove --prefix "$(DESTDIR)$(PREFIX)" --libdir "$(DESTDIR)$(LIBDIR)" --udevdir "$(DESTDIR)$(UDEVDIR)" --modprobedir "$(DESTDIR)$(MODPROBEDIR)"

# Frigate's detector `teflon_tfl` loads this path and no other.
install-teflon: ## put the installed library where Frigate looks for Mesa's
	install -d "$(DESTDIR)/usr/lib/teflon"
	@if [ -e "$(DESTDIR)/usr/lib/teflon/libteflon.so" ] && [ ! -L "$(DESTDIR)/usr/lib/teflon/libteflon.so" ]; then \
		echo "/usr/lib/teflon/libteflon.so is Mesa's; use the package ferrite-teflon (make deb), which moves it aside" >&2; exit 1; fi
	ln -sfn "$(LIBDIR)/libferrite_delegate.so" "$(DESTDIR)/usr/lib/teflon/libteflon.so"

deb: ## build the packages ferrite and ferrite-teflon into target/debian
	packaging/deb

wheel: ## build the Python package ferrite-npu into target/wheels
	@tools/setup build
	cargo build --release -p ferrite-delegate -p ferrite-cli $(if $(CARGO_TARGET),--target $(CARGO_TARGET))
	packaging/wheel --built "$(built)" --out "$(or $(CARGO_TARGET_DIR),target)/wheels" $(if $(CARGO_TARGET),--machine $(firstword $(subst -, ,$(CARGO_TARGET))))
