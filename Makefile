# Limpet. `make help` says what there is. GNU make; variables may be set on the command line.

prefix        = /usr/local
exec_prefix   = $(prefix)
bindir        = $(exec_prefix)/bin
sbindir       = $(exec_prefix)/sbin
sysconfdir    = $(prefix)/etc
datarootdir   = $(prefix)/share
mandir        = $(datarootdir)/man
docdir        = $(datarootdir)/doc/limpet
bashcompdir   = $(datarootdir)/bash-completion/completions
zshcompdir    = $(datarootdir)/zsh/vendor-completions
fishcompdir   = $(datarootdir)/fish/vendor_completions.d
libdir        = $(exec_prefix)/lib
# systemd looks there below /usr and /usr/local, whatever libdir is.
unitdir       = $(prefix)/lib/systemd/system
sysusersdir   = $(prefix)/lib/sysusers.d
tmpfilesdir   = $(prefix)/lib/tmpfiles.d
# What the daemon keeps where is built in: say these to `make` and to `make install` alike. Not below prefix, as
# systemd makes such directories in /run and /var alone.
localstatedir = /var
runstatedir   = /run
DESTDIR       =

SHELL           = /bin/sh
SWIFT           = swift
SWIFTFLAGS      =
PYTHON          = python3
MANDOC          = mandoc
INSTALL         = install
INSTALL_PROGRAM = $(INSTALL) -m 755
INSTALL_DATA    = $(INSTALL) -m 644
STRIP           = strip

# Everything that is built lies in directories that git ignores.
RELEASE = .build-release
CHECK   = .build-check
VENV    = .build-venv
BENCH   = .build-bench
STAMPS  = .build-stamps

# Directories are listed too: their times change when a file comes or goes.
SOURCES := Package.swift $(shell find Sources Benchmarks/hashpick -type d -o -type f 2>/dev/null)
PAGES   := $(wildcard man/*.[1-9])
SCRIPTS := $(wildcard .ci/* etc/package/*.sh etc/package/debian/p[or]*) Tests/Fuzz/run
SCENES  := $(wildcard Tests/Scenes/*.py Tests/Mutations/*.py Tests/Package/*.py Tests/Storm/*.py Tests/*.py Benchmarks/*/*.py etc/package/*.py)

BIN      = $(RELEASE)/release
DEMO     = $(BIN)/limpet-echo demo --limpetd $(BIN)/limpetd --limpetctl $(BIN)/limpetctl

.PHONY: all deps check check-all test sanitize hotpath fuzz storm coverage soak browser upgrade-layouts systemd-filter soak-mutations bench bench-continuity bench-drain bench-table bench-ports bench-health bench-abuse lint demo run clean help
.SUFFIXES:
.DELETE_ON_ERROR:

all: $(STAMPS)/release

# ---- What must be there first ----

# Both lists are looked through once and then remembered, until the script that holds them changes.
deps: $(STAMPS)/deps-build $(STAMPS)/deps-check

$(STAMPS)/deps-%: .ci/deps
	@SWIFT="$(SWIFT)" PYTHON="$(PYTHON)" MANDOC="$(MANDOC)" sh .ci/deps $*
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/venv: Tests/Scenes/requirements.txt $(STAMPS)/deps-check
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip --quiet --disable-pip-version-check install -r Tests/Scenes/requirements.txt
	@touch $@

# ---- Building ----

# An archive of the sources has those of the Swift packages with it, and needs no git; see etc/package/dist.sh.
ifneq ($(wildcard Dependencies/Package.resolved),)
CHECKOUTS = Dependencies
export LIMPET_DEPENDENCIES   = Dependencies
export SWIFTCI_USE_LOCAL_DEPS = 1
else
CHECKOUTS = $(RELEASE)/checkouts
endif

# No trace of the directory that it is built in, neither in what is linked nor as a place to look for libraries.
# The packages bear the same names wherever they are. Of two that fit, clang takes the last and swiftc the first.
HERE     = $(CURDIR)=.
PACKAGES = $(CURDIR)/$(RELEASE)/checkouts=./Dependencies
PLAIN = --disable-local-rpath -Xswiftc -file-prefix-map -Xswiftc $(PACKAGES) -Xswiftc -file-prefix-map -Xswiftc $(HERE) \
    $(foreach language,-Xcc -Xcxx,$(language) -ffile-prefix-map=$(HERE) $(language) -ffile-prefix-map=$(PACKAGES))

# swift build looks at every file and every dependency, which takes seconds: it is not asked when nothing has changed.
# The stamp bears the time of the beginning, so that a file saved during a build is built by the next.
$(STAMPS)/release: $(SOURCES) $(STAMPS)/deps-build $(STAMPS)/facts
	@mkdir -p $(STAMPS)
	@touch $@.begun
	set -a && . $(STAMPS)/facts && set +a && \
	    $(SWIFT) build -c release --static-swift-stdlib --scratch-path $(RELEASE) $(PLAIN) $(SWIFTFLAGS)
	@mv $@.begun $@

# ---- Checking ----

# One after the other, whatever -j says: the summary of the tests comes last.
check: $(STAMPS)/deps-build $(STAMPS)/deps-check $(STAMPS)/venv
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test

# Warnings are errors here. The same environment for both commands, or the second would build again.
test: export LIMPET_WARNINGS_AS_ERRORS = 1
test: export LIMPET_PYTHON = $(CURDIR)/$(VENV)/bin/python
test: export LIMPET_LOAD = $(CURDIR)/$(BENCH)/load
test: $(STAMPS)/deps-build $(STAMPS)/deps-check $(STAMPS)/venv $(BENCH)/load
	$(SWIFT) build --build-tests --scratch-path $(CHECK) $(SWIFTFLAGS)
	$(SWIFT) test --skip-build --scratch-path $(CHECK) $(if $(FILTER),--filter '$(FILTER)') $(SWIFTFLAGS)

check-all: check
	@$(MAKE) --no-print-directory sanitize
	@$(MAKE) --no-print-directory hotpath
	@$(MAKE) --no-print-directory fuzz
	@$(MAKE) --no-print-directory storm
	@$(MAKE) --no-print-directory coverage
	@$(MAKE) --no-print-directory soak
	@$(MAKE) --no-print-directory upgrade-layouts
	@$(MAKE) --no-print-directory systemd-filter
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory distcheck
	@$(MAKE) --no-print-directory reproducible
	@$(MAKE) --no-print-directory check-package

# What the tests do in seconds, for longer: a reader that stops for a minute, thousands of random connections, and then
# engines that are killed, die at labelled points, are upgraded and reloaded under a load of which every byte is counted.
soak: export LIMPET_WARNINGS_AS_ERRORS = 1
soak: $(STAMPS)/deps-build $(STAMPS)/deps-check
	$(SWIFT) build --build-tests --scratch-path $(CHECK) $(SWIFTFLAGS)
	LIMPET_STALL_SECONDS=60 LIMPET_ROUNDS=800 $(SWIFT) test --skip-build --scratch-path $(CHECK) \
	    --filter '^IntegrationTests[.](BulkTests/backpressure|RandomTests)' $(SWIFTFLAGS)
	LIMPET_SOAK=1 $(SWIFT) test --skip-build --scratch-path $(CHECK) \
	    --filter '^IntegrationTests[.]ContinuitySoakTests' $(SWIFTFLAGS)

# The status page in a real browser. Its pictures stay in $(PICTURES).
BROWSER  = chromium
PICTURES = .build-browser
browser: export LIMPET_WARNINGS_AS_ERRORS = 1
browser: $(STAMPS)/deps-build $(STAMPS)/deps-check $(STAMPS)/deps-browser $(STAMPS)/venv
	$(SWIFT) build --build-tests --scratch-path $(CHECK) $(SWIFTFLAGS)
	$(VENV)/bin/python Tests/Scenes/status_page_scene.py --limpetd $(CHECK)/debug/limpetd \
	    --limpetctl $(CHECK)/debug/limpetctl --browser $(BROWSER) --pictures $(PICTURES)

# The daemon of the tests under the system-call filters of its unit. Who changes the user, or gives files away, is not among
# them: a unit's daemon does neither.
FILTERED = (Forwarding|Stream|UrgentData|Pipe|Failover|Dialling|Drain|Reload|ReloadContinuity|Health|Agent|Name|Affinity|AcceptProxy|SendProxy|ConnectionTable|KernelView|Metrics|WebMetrics|AccessLog|Keeper|KeeperEnding|Upgrade|UpgradeFailure|StateFile|Source|UnixBackend|SocketActivation|ServiceManager)Tests
systemd-filter: export LIMPET_WARNINGS_AS_ERRORS = 1
systemd-filter: $(STAMPS)/deps-build $(STAMPS)/deps-check $(STAMPS)/venv
	$(SWIFT) build --build-tests --scratch-path $(CHECK) $(SWIFTFLAGS)
	LIMPET_UNIT=$(CURDIR)/etc/systemd/limpet.service.in LIMPET_PYTHON=$(CURDIR)/$(VENV)/bin/python \
	    $(SWIFT) test --skip-build --scratch-path $(CHECK) --filter '^IntegrationTests[.]$(FILTERED)' $(SWIFTFLAGS)

# An upgrade from a build that keeps its connections in the layout before, and the way back to it.
PREVIOUS = .build-previous
upgrade-layouts: export LIMPET_WARNINGS_AS_ERRORS = 1
upgrade-layouts: $(STAMPS)/deps-build
	LIMPET_LAYOUT=1 $(SWIFT) build --product limpetd --scratch-path $(PREVIOUS) $(SWIFTFLAGS)
	$(SWIFT) build --build-tests --scratch-path $(CHECK) $(SWIFTFLAGS)
	LIMPET_PREVIOUS=$(CURDIR)/$(PREVIOUS)/debug/limpetd $(SWIFT) test --skip-build --scratch-path $(CHECK) \
	    --filter '^IntegrationTests[.]UpgradeFromPreviousLayoutTests' $(SWIFTFLAGS)

# That the checker of that soak would notice: each Tests/Mutations/*.patch breaks one rule in a copy of the sources.
soak-mutations: $(STAMPS)/deps-build
	$(PYTHON) Tests/Mutations/mutations.py . .build-mutations

# Limpet beside a direct connection, HAProxy and nginx. A round of everything takes about eight minutes; ONLY and PROXIES
# take names and patterns, see docs/performance.md.
ROUNDS    = 7
SECONDS   = 2
WORKERS   = 1,2
ONLY      =
PROXIES   =
DIRECTION = down
bench: $(STAMPS)/release $(STAMPS)/deps-bench $(STAMPS)/venv $(BENCH)/load
	@$(PYTHON) Benchmarks/bench/bench.py --limpetd $(BIN)/limpetd --load $(BENCH)/load --json $(BENCH)/bench.json \
	    --hashpick $(BIN)/limpet-hashpick --python $(VENV)/bin/python --rounds $(ROUNDS) --seconds $(SECONDS) \
	    --workers '$(WORKERS)' --only '$(ONLY)' --proxies '$(PROXIES)' --direction $(DIRECTION)

# Swift brings clang; a cc there need not be.
COMPILER = $(firstword $(shell command -v $(CC)) $(shell command -v clang) $(CC))
LOAD    := $(wildcard Benchmarks/load/*)
$(BENCH)/load: $(LOAD)
	@mkdir -p $(BENCH)
	$(COMPILER) -O2 -Wall -Wextra -Werror -o $@ $(filter %.c,$(LOAD))

# What a death and an upgrade cost the clients, by the number of connections.
bench-continuity: $(STAMPS)/release
	$(PYTHON) Benchmarks/continuity/continuity.py $(BIN)

# One of five servers drained under 2,000 WebSocket clients that connect again.
bench-drain: $(STAMPS)/release $(STAMPS)/venv
	$(VENV)/bin/python Benchmarks/drain/drain.py $(BIN)

# What it costs to list 9,000 connections, and what it costs those who are connected.
bench-table: $(STAMPS)/release
	$(PYTHON) Benchmarks/table/table.py $(BIN)

# What it costs to run out of local ports. For root.
bench-ports: $(STAMPS)/release
	$(PYTHON) Benchmarks/ports/ports.py $(BIN)

# What health checks cost the engine: 1,000 backends, by each type.
bench-health: $(STAMPS)/release
	for type in off tcp http; do $(PYTHON) Benchmarks/health/checks.py --limpetd $(BIN)/limpetd \
	    --limpetctl $(BIN)/limpetctl --type $$type || exit 1; done

# The unit tests once more, watched by each sanitizer. Those that start limpetctl are left out: a process that exits at
# once leaks what it holds, and says so in place of its exit status. ThreadSanitizer makes a fork of every vfork, and the
# canary's failures come by the memory that a vfork shares.
UNIT_TESTS = --filter '^(Addressing|Stickiness|Backends|Configuration|Forwarding|Continuity|Health|Observability|Engine|Control|Names)Tests[.]' \
    --skip LimpetctlTests
sanitize: $(STAMPS)/deps-build
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize=address --scratch-path .build-asan $(UNIT_TESTS) $(SWIFTFLAGS)
	TSAN_OPTIONS=suppressions=$(CURDIR)/Tests/thread-sanitizer.txt \
	    $(SWIFT) test --sanitize=thread --scratch-path .build-tsan $(UNIT_TESTS) --skip CanaryTests $(SWIFTFLAGS)

# That a message costs no allocation and no reference counting: counted in a dynamically linked release build, because a
# static one leaves nothing to count.
HOTPATH = .build-hotpath
hotpath: $(STAMPS)/deps-build $(STAMPS)/deps-check
	$(SWIFT) build -c release --scratch-path $(HOTPATH) $(SWIFTFLAGS)
	$(CC) -shared -fPIC -O2 -Wall -Werror -o $(HOTPATH)/count.so Benchmarks/hotpath/count.c -ldl
	$(PYTHON) Benchmarks/hotpath/hotpath.py $(HOTPATH)/release/limpetd $(HOTPATH)/release/limpetctl $(HOTPATH)/count.so

# Every parser that reads bytes from outside under libFuzzer, each for so long, several at once; FUZZ=name: that one alone. What
# they find lies in $(FUZZING)/found afterwards; what they have learnt is where they begin the next time.
FUZZING      = .build-fuzz
FUZZ         = proxy configuration flags networks texts pattern checks dns state document canary control web
FUZZ_SECONDS = 60
FUZZ_JOBS    = 2
FUZZER       = $(dir $(realpath $(shell command -v $(SWIFT))))../lib/swift/clang/lib/linux/libclang_rt.fuzzer_no_main-$(shell uname -m).a
fuzz: $(STAMPS)/deps-build
	LIMPET_FUZZ=$(abspath $(FUZZER)) $(SWIFT) build -c release --sanitize=address --product limpet-fuzz \
	    --scratch-path $(FUZZING) $(SWIFTFLAGS)
	printf '%s\n' $(FUZZ) | SECONDS_EACH=$(FUZZ_SECONDS) xargs -P $(FUZZ_JOBS) -n 1 \
	    sh Tests/Fuzz/run $(FUZZING)/release/limpet-fuzz $(FUZZING)

# A million spoilt requests at a release build: no crash, no leak, and nobody else waits long. What each reader is sent is what its
# fuzzer begins with.
STORM_REQUESTS = 1000000
STORM_SECONDS  = 600
storm: $(STAMPS)/release $(BENCH)/load $(BENCH)/storm
	$(PYTHON) Tests/Storm/storm.py $(BIN) $(BENCH)/load $(BENCH)/storm --requests $(STORM_REQUESTS) --seconds $(STORM_SECONDS)

$(BENCH)/storm: $(wildcard Tests/Storm/*.c Tests/Storm/*.h)
	@mkdir -p $(BENCH)
	$(COMPILER) -O2 -Wall -Wextra -Werror -o $@ $(filter %.c,$^)

# What abuse costs the others: floods, clients that stand still, no descriptors, no memory. For root.
bench-abuse: $(STAMPS)/release $(BENCH)/load
	$(PYTHON) Benchmarks/abuse/abuse.py $(BIN) $(BENCH)/load --only '$(ONLY)'

# Which lines the unit tests run. A report to be looked through, not a mark to be reached.
COVERAGE = .build-coverage
coverage: $(STAMPS)/deps-build
	@mkdir -p $(COVERAGE)
	$(SWIFT) test --enable-code-coverage --scratch-path $(COVERAGE) $(UNIT_TESTS) $(SWIFTFLAGS)
	$(PYTHON) Tests/coverage.py $(COVERAGE) > $(COVERAGE)/report.txt
	@cat $(COVERAGE)/report.txt

lint: $(STAMPS)/deps-check
	$(SWIFT) format lint --strict --parallel --recursive --configuration .swift-format Package.swift Sources Tests \
	    Benchmarks
	$(if $(PAGES),$(MANDOC) -T lint -W warning $(PAGES))
	for script in $(SCRIPTS); do sh -n $$script || exit 1; done
	if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); fi
	$(PYTHON) -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]' $(SCENES)
	if command -v node >/dev/null; then for scene in Tests/Scenes/*.mjs; do node --check $$scene || exit 1; done; fi

# ---- Showing ----

demo: all
	@$(DEMO)

run: all
	@$(DEMO) --stay

# ---- Installing ----

include etc/package/package.mk

clean:
	rm -rf .build .build-*

help:
	@echo 'make             limpetd, limpetctl and limpet-echo, release, in $(BIN)'
	@echo 'make deps        what building and checking need; as root: installs what is missing'
	@echo 'make check       lint, then all tests: unit, manual pages, the real daemon on real sockets'
	@echo 'make check-all   check, then the unit tests under AddressSanitizer and ThreadSanitizer, hotpath, fuzz, storm, coverage,'
	@echo '                 soak, upgrade-layouts, systemd-filter, browser, distcheck, reproducible, check-package'
	@echo 'make hotpath     counts what a forwarded message costs in allocations: nothing'
	@echo 'make fuzz        every parser of bytes from outside under libFuzzer; FUZZ_SECONDS=60 FUZZ=proxy FUZZ_JOBS=2'
	@echo 'make storm       a million spoilt requests at the daemon; STORM_REQUESTS=1000000 STORM_SECONDS=600'
	@echo 'make coverage    which lines the unit tests run; the report is $(COVERAGE)/report.txt'
	@echo 'make soak        stalled readers, random connections, engines that die and are upgraded, for minutes'
	@echo 'make systemd-filter'
	@echo '                 tests of the real daemon under the system-call filters of its unit'
	@echo 'make upgrade-layouts'
	@echo '                 upgrades from a build with the previous layout of records, and back'
	@echo 'make browser     the status page in chromium; screenshots in $(PICTURES)'
	@echo 'make soak-mutations'
	@echo '                 breaks the rules of continuity one by one and sees that the checker notices'
	@echo 'make bench       Limpet beside a direct connection, HAProxy and nginx: throughput, latency, CPU time, memory;'
	@echo '                 ROUNDS=7 SECONDS=2 ONLY=bulk16,pingpong64x100 PROXIES=limpetd,haproxy* WORKERS=1,2'
	@echo 'make bench-continuity'
	@echo '                 what a death and an upgrade cost 1,000, 4,000 and 9,000 connections'
	@echo 'make bench-drain drains one of five servers under 2,000 WebSocket clients that connect again'
	@echo 'make bench-ports runs out of local ports on 4 addresses, and goes on refusing'
	@echo 'make bench-table lists 9,000 connections, beside somebody who asks and is answered in turn'
	@echo 'make bench-health'
	@echo '                 what checks of 1,000 backends cost'
	@echo 'make bench-abuse what floods, clients that stand still and lack of memory cost everybody else'
	@echo 'make test        the tests alone, or with FILTER=REGEX some of them'
	@echo 'make lint        the form of sources, manual pages and scripts'
	@echo 'make demo        shows in a minute what Limpet does, on real connections'
	@echo 'make run         leaves the same set-up running, to play with'
	@echo 'make install     to $(prefix), or prefix=DIR; with DESTDIR=DIR below that directory;'
	@echo '                 install-strip without symbols; uninstall takes it all away again'
	@echo 'make dist        the sources as $(ARCHIVE); distcheck tries it'
	@echo 'make deb         a package for Debian; MAINTAINER="NAME <ADDRESS>"'
	@echo 'make sbom        what the programs are made of, as SPDX 2.3'
	@echo 'make check-package'
	@echo '                 installs, upgrades and removes the package in a bare Debian; for root'
	@echo 'make reproducible'
	@echo '                 builds the archive twice, elsewhere, and compares'
	@echo 'make clean       removes all that was built'
