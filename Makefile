# The two promises of the README are `make demo` and `make test`; each does all
# set-up itself. `make help` lists the rest.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -o errexit -o nounset -o pipefail -c
.DEFAULT_GOAL := help

# One set of build settings for everything, so that one build cache serves the
# platform, the local Kubernetes and all tests. The binaries are static.
export CGO_ENABLED := 0
BIN := _output/bin
GOLANGCI_LINT_VERSION := v2.15.0
# The e2e and demo targets use a cluster of their own; CLUSTER=current installs
# into the current kubectl context instead.
CLUSTER ?= local

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: demo
demo: ## Set everything up, create a store and place an order in it
	CLUSTER=$(CLUSTER) hack/demo.sh

.PHONY: stop
stop: ## Stop the local cluster and remove all that it made
	@if [ -x $(BIN)/localcluster ]; then $(BIN)/localcluster stop; fi

.PHONY: test
test: packages verify-generate lint dashboard unit integration test-conformance ## Set everything up and run every test
	@# Stores mostly wait: the fuzz tests have what they leave of the processors.
	$(MAKE) --jobs=2 e2e fuzz

.PHONY: packages
packages:
	hack/packages.sh

.PHONY: unit
unit: test-storage ## Test the packages, the storage against a real PostgreSQL
	go test $$(go list ./... | grep -v /pkg/storage/postgres$$) ./test/rules/... ./test/storage/... ./test/internal/argocd ./examples/... ./hack/localcluster/...
	go test -count=1 ./test/faults

.PHONY: test-storage
test-storage: packages ## Test the storage with all tests of the API server, and count them
	go run ./test/storage

.PHONY: test-postgres-versions
test-postgres-versions: packages ## Test the storage on every version of PostgreSQL that it supports, fetched with npm
	hack/test-postgres-versions.sh

.PHONY: test-faults
test-faults: packages ## Check the storage under faults for long: a million operations, 100,000 sessions
	go test -count=1 -timeout=4h -run=TestFaults -v ./test/faults -args -faults.operations=1000000 -faults.sessions=100000

# For example FUZZTIME=10m FUZZ=FuzzSchema. `make unit` runs what is committed of the
# inputs, and looks for no more.
export FUZZTIME ?= 1m
export FUZZ ?= .*
.PHONY: fuzz
fuzz: ## Look for inputs that break what reads what others wrote: a minute for each fuzz test
	hack/fuzz.sh

.PHONY: integration
integration: packages build ## Test the API server behind a real kube-apiserver, and the benchmarks
	go test ./test/integration/... $$(go list ./test/bench/... | grep -v /api$$)
	go test -bench=. -benchtime=1x ./test/bench/api
	go test -count=1 ./test/crash

.PHONY: test-conformance
test-conformance: packages build $(BIN)/sample-apiserver ## Check the conventions of the Kubernetes API, beside kubernetes' sample-apiserver
	mkdir -p _output
	go test -count=1 -parallel=8 ./test/conformance -args -table=$(CURDIR)/_output/conformance.md
	cat _output/conformance.md

.PHONY: test-crash
test-crash: packages build ## Kill the provisioner and all around it a thousand times, at every request: half an hour
	go test -count=1 -timeout=40m -run=TestNeverAgain21 -v ./test/crash -args -crash.kills=1000

.PHONY: e2e
e2e: ## Test real stores on the local cluster, and that it leaves nothing behind
	hack/e2e.sh

# For example BENCH='-quick', or BENCH='-workloads create,get -rounds 5'. Without it,
# the results in the documentation are written anew.
BENCH ?=
.PHONY: bench-storage
bench-storage: packages $(BIN)/etcd $(BIN)/kine ## Compare the storage with etcd and kine: 20 minutes, or two with BENCH=-quick
	go run ./test/bench/storage -programs $(BIN) $(or $(BENCH),-output docs/benchmarks/storage.md)

.PHONY: bench-storage-history
bench-storage-history: ## See what the past costs to read, and writers while a million revisions are taken from the log: five minutes
	go test ./pkg/storage/postgres -run '^$$' -bench 'Past' -benchtime 5s -timeout 30m
	go test ./pkg/storage/postgres -run '^$$' -bench 'WritesDuringCut' -benchtime 3x -timeout 30m

.PHONY: bench-storage-growth
bench-storage-growth: packages ## See what operations cost on up to a million objects and ten million revisions: needs 15 GB of disk
	go run ./test/bench/storage -growth docs/images/storage-growth.svg $(or $(BENCH),-output docs/benchmarks/storage-growth.md)

.PHONY: bench-provision
bench-provision: packages $(BIN)/etcd $(BIN)/helm-controller $(BIN)/kwok ## Provision 100 and 1,000 stores beside Flux's helm-controller, and 10,000 alone: half an hour, or BENCH='-stores 100'
	go run ./test/bench/provision $(or $(BENCH),-stores 100,1000,10000 -on-node 100,1000 -output docs/benchmarks/provision.md)

.PHONY: bench-api
bench-api: packages build $(BIN)/sample-apiserver ## See what requests through a cluster cost, beside its own resources and kubernetes' sample-apiserver: four minutes
	go test -run='^$$' -bench=. -benchtime=3s -count=3 -timeout=30m ./test/bench/api

$(BIN)/etcd:
	mkdir -p $(@D)
	go build -ldflags='-s -w' -o $@ ./hack/localcluster/cmd/etcd

# What benchmarks and tests compare with or need, each from a module of its own.
$(BIN)/kine: PACKAGE := github.com/k3s-io/kine
$(BIN)/helm-controller: PACKAGE := github.com/fluxcd/helm-controller
$(BIN)/kwok: PACKAGE := sigs.k8s.io/kwok/cmd/kwok
$(BIN)/sample-apiserver: PACKAGE := k8s.io/sample-apiserver
$(BIN)/kine $(BIN)/helm-controller $(BIN)/kwok $(BIN)/sample-apiserver: $(BIN)/%: hack/%/go.mod
	mkdir -p $(@D)
	cd hack/$* && GOWORK=off go build -ldflags='-s -w' -o ../../$@ $(PACKAGE)
	touch $@

.PHONY: build
build: ## Build all binaries into _output/bin
	hack/build.sh

.PHONY: krew
krew: ## Build the kubectl plugin for all platforms, and the manifest by which krew installs it, into _output/krew
	hack/krew.sh

.PHONY: dashboard
dashboard: ## Check, test and build the dashboard's pages into dashboard/dist
	hack/dashboard.sh

.PHONY: images
images: ## Build all container images into _output/images, without a container engine
	artifacts/images/build.sh all

.PHONY: generate
generate: ## Write what is generated from the API types
	hack/update-codegen.sh

.PHONY: verify-generate
verify-generate: generate ## Fail if generated files are not up to date
	git diff --exit-code -- pkg/apis pkg/generated docs/api hack/api-violations.list
	@test -z "$$(git ls-files --others --exclude-standard pkg/apis pkg/generated docs/api)" || { git ls-files --others --exclude-standard pkg/apis pkg/generated docs/api; exit 1; }

.PHONY: lint
lint: $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION) ## Check the code and the import rules
	$< run ./... ./test/... ./examples/...
	$< run ./hack/localcluster/internal/... ./hack/localcluster/cmd/{localcluster,image,pause}

$(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOWORK=off GOBIN=$(CURDIR)/$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@
