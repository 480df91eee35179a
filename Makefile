# The only door: lint, test, demo. Everything a target needs it installs first.

SECONDS ?= 60

.PHONY: help lint test test-fast fuzz soak mutations demo bench bench-login bench-state bench-micro servers clean-servers

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | column -t -s @

lint: ## formatting and every lint, as CI does
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

# Last to run and last to print is the test runner: its closing lines are the verdict.
test: servers ## every test, those against real servers too
	@if command -v cargo-nextest >/dev/null; then \
		cargo nextest run --locked --no-fail-fast; \
	else \
		cargo test --locked --no-fail-fast; \
	fi

test-fast: ## the tests that need nothing installed
	cargo test --locked --lib --bins

# Finds go to fuzz/corpus, and what breaks to fuzz/artifacts.
fuzz: ## each fuzz target for SECONDS=60, guided by coverage: takes a nightly compiler and cargo-fuzz
	@for target in $$(cargo +nightly fuzz list); do \
		mkdir -p fuzz/corpus/$$target && \
		cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(SECONDS) -max_len=4096 || exit 1; \
	done

soak: ## random input for SECONDS=60, random scripts compared with the server's answers, failovers, fairness
	TIDEGATE_SOAK_SECONDS=$(SECONDS) cargo test --locked --test soak -- --nocapture
	TIDEGATE_REPLAY_SECONDS=$(SECONDS) cargo test --locked --test replay chance -- --nocapture
	TIDEGATE_FAILOVER_ROUNDS=$$(($(SECONDS) / 3 + 1)) cargo test --locked --test failover_rounds again -- --nocapture
	TIDEGATE_FAIRNESS_SECONDS=$(SECONDS) cargo test --locked --release --test fairness -- --nocapture --test-threads 1

mutations: servers ## does the replay notice a Tidegate that is wrong? Some ten minutes
	@tests/mutations/run.sh

# Without MySQL (it comes from Debian sid) the demo runs on MariaDB.
demo: ## 3,000 rude clients against max_connections=50, without and with Tidegate; a failover; KEEP=1 leaves it up
	@tests/servers/install.sh mysql || tests/servers/install.sh mariadb
	cargo build --locked --release --bin tidegate --example demo
	@"$$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"/release/examples/demo

# Without Router (it comes from Debian sid) the others are measured all the same. Thousands of clients
# need as many descriptors.
bench: ## Tidegate and its peers, some 25 minutes; QUICK=1 under three; ONLY=point_text,storm ROUNDS=5 SECONDS_EACH=3
	@tests/servers/install.sh mysql sysbench haproxy strace
	@tests/servers/install.sh router || true
	@ulimit -n "$$(ulimit -Hn)" && cargo bench --locked --bench peers

bench-login: ## from connecting to the first answer, with TLS and without; LOGINS=500
	@tests/servers/install.sh mysql || tests/servers/install.sh mariadb
	cargo build --locked --release --bin tidegate --example logins
	@"$$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"/release/examples/logins

bench-state: ## what it costs to restore a session's state; ROUNDS=5 SECONDS_EACH=3
	@tests/servers/install.sh mysql || tests/servers/install.sh mariadb
	cargo build --locked --release --bin tidegate --example state
	@"$$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"/release/examples/state

# What is checked or written down are instructions: the clock of a shared machine holds nothing.
bench-micro: ## the pure parts by time and by instructions; CHECK=1 holds the latter, UPDATE=1 notes them
	$(if $(CHECK)$(UPDATE),,cargo bench --locked --bench micro)
	cargo build --locked --release --example instructions
	@"$$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"/release/examples/instructions \
		$(if $(CHECK),--check) $(if $(UPDATE),--update)

servers: ## install the servers and drivers that the tests use
	@tests/servers/install.sh all

clean-servers: ## end servers that a killed test left, and drop their data
	@tests/servers/clean.sh
