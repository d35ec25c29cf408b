# Leafwall. `make demo` runs the main job; `make test` passes all tests. Both install what they need with apt (as root) and say what they do.
SUITES := unit tools kernel cluster lab fuzz
SOAKS := fabric controller firewall sonic
.PHONY: help demo test bench $(SOAKS:%=soak-%) lint setup $(SUITES:%=test-%)

help: ## these lines
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

setup: ## install missing packages with apt
	@scripts/setup

demo: setup ## the example fabric from intents to packets, in namespaces or a small virtual machine
	@scripts/demo

test: setup ## every suite, each closing with its counts
	@status=0; for suite in $(SUITES); do scripts/suite $$suite || status=1; done; exit $$status

$(SUITES:%=test-%): test-%: setup
	@scripts/suite $*

bench: setup ## measure what the issues name, peers in the same run; target/bench/report.json
	@scripts/bench

soak-fabric: setup ## every scenario of fra1: the matrix, failures with their gaps, attacks (half an hour under emulation)
	@scripts/soak fabric

soak-controller: setup ## fra1 with agents: 20 changes timed, 100 changes without loss, 50 deaths, faults, drift (hours under emulation)
	@scripts/soak controller

soak-firewall: setup ## random rules, signed and of clusters, and tens of thousands of real packets through a kernel (as root)
	@scripts/soak firewall

soak-sonic: setup ## random fabrics of SONiC switches, and every step from one to the next, under SONiC's own models
	@scripts/soak sonic

lint: setup ## formatting, clippy, dependencies
	@cargo fmt --check && cargo clippy --workspace --all-targets -- -D warnings && scripts/deny
