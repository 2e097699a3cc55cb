# The two commands a newcomer needs are `make try` and `make test`.

CARGO ?= cargo
BUILT := $(or $(CARGO_TARGET_DIR),target)/debug
ENDPOINT ?=

ONLY ?=
SEED ?=
TRIALS ?=
TRIAL ?=

.PHONY: help try test prove lint packages

help: ## what there is
	@sed -n 's/^\([a-z]*\): ## /  make \1	/p' $(MAKEFILE_LIST)

# `dialtone` ends with 0 when the endpoint answers, 1 when it named a cause and 3 when it could not tell: all three are verdicts.
try: ## why can I not connect? asks about this machine, or about ENDPOINT=http://host:9200
	@echo "Building dialtone, then diagnosing $(if $(ENDPOINT),'$(ENDPOINT)',every engine on this machine); nothing is changed on it." >&2
	@$(CARGO) build --locked --package controller-ctl --bin dialtone
	@$(BUILT)/dialtone diagnose $(if $(ENDPOINT),'$(ENDPOINT)'); \
	status=$$?; case $$status in 0|1|3) ;; *) exit $$status ;; esac

test: ## install what the tests need (as root), then run every check and every test
	tests/prepare
	deploy/prepare
	$(CARGO) xtask ci

prove: ## what the remedy loop promises, tried thousands of times (as root); ONLY="I1 I3" SEED=7 TRIALS=50 TRIAL=12
	$(CARGO) build --locked --bins --package agent --package agent-act --package controller --package controller-ctl --package tests-prove
	$(BUILT)/prove $(ONLY) $(if $(SEED),--seed $(SEED)) $(if $(TRIALS),--trials $(TRIALS)) $(if $(TRIAL),--trial $(TRIAL))

lint: ## the checks that need no test run
	$(CARGO) xtask tidy
	$(CARGO) xtask deps
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

packages: ## dist/*.deb and dist/*.rpm
	deploy/prepare
	$(CARGO) xtask packages
