# Installing and packing. Included by the Makefile, which has the directories and the programs' stamps.

VERSION := $(shell sed -n 's/^.define LIMPET_RELEASE "\(.*\)"$$/\1/p' Sources/CBuild/version.h)

DIST        = .build-dist
ARCHIVE     = $(DIST)/limpet-$(VERSION).tar.gz
PACKAGE     = .build-package
ARCHITECTURE = $(shell dpkg --print-architecture)
# Counts the packages of one version; whoever packs it writes a name and an address.
PACKAGE_REVISION = 1
MAINTAINER  = Limpet developers <limpet@example.org>
DEB         = $(PACKAGE)/limpet_$(VERSION)-$(PACKAGE_REVISION)_$(ARCHITECTURE).deb

.PHONY: install install-strip uninstall dist distcheck deb sbom check-package reproducible FORCE

# ---- What the build says of itself ----

# Looked at by each make that builds; newer only when it is another version, revision or directory.
$(STAMPS)/facts: FORCE
	@mkdir -p $(STAMPS)
	@VERSION='$(VERSION)' RUNSTATEDIR='$(runstatedir)' LOCALSTATEDIR='$(localstatedir)' sh etc/package/facts.sh $@

FORCE:

# ---- Installing ----

# Both programs are for the person who runs the machine: sbin, and section 8 of the manual. Nothing is written outside
# DESTDIR, no service is started or stopped, and a configuration that is there stays as it is.
INSTALLING = DESTDIR='$(DESTDIR)' prefix='$(prefix)' bindir='$(bindir)' sbindir='$(sbindir)' libdir='$(libdir)' \
    sysconfdir='$(sysconfdir)' runstatedir='$(runstatedir)' localstatedir='$(localstatedir)' mandir='$(mandir)' \
    docdir='$(docdir)' unitdir='$(unitdir)' sysusersdir='$(sysusersdir)' tmpfilesdir='$(tmpfilesdir)' \
    bashcompdir='$(bashcompdir)' zshcompdir='$(zshcompdir)' fishcompdir='$(fishcompdir)' INSTALL='$(INSTALL)' \
    INSTALL_PROGRAM='$(INSTALL_PROGRAM)' INSTALL_DATA='$(INSTALL_DATA)' BIN='$(BIN)' WORK='$(STAMPS)' \
    sh etc/package/install.sh

install: all
	@$(INSTALLING) install

install-strip: install
	$(STRIP) "$(DESTDIR)$(sbindir)/limpetd" "$(DESTDIR)$(sbindir)/limpetctl"

uninstall:
	@$(INSTALLING) uninstall

# ---- An archive of the sources ----

dist: $(STAMPS)/checkouts
	@sh etc/package/dist.sh limpet-$(VERSION) $(ARCHIVE) $(CHECKOUTS)
	@echo $(ARCHIVE)

# The sources of the packages, in the versions of Package.resolved.
$(STAMPS)/checkouts: Package.swift $(wildcard Package.resolved)
	@mkdir -p $(STAMPS)
	@test -e Dependencies || $(SWIFT) package --scratch-path $(RELEASE) resolve
	@touch $@

# That the archive is whole: it is unpacked, built and checked there, installed and uninstalled, and packed again, which
# has to give the same bytes. Lint and the unit tests are enough there: what the others need beyond files of the archive
# is the daemon, and that has been tested here.
distcheck: dist
	@sh etc/package/distcheck.sh limpet-$(VERSION) $(ARCHIVE) $(MAKE)

# ---- A package for Debian ----

# Everything below /usr, but for what is a matter of this machine. The same sources give the same bytes.
deb: $(STAMPS)/deps-package
	@test '$(runstatedir) $(localstatedir)' = '/run /var' || \
	    { echo 'deb: a package keeps its files in /run and /var' >&2; exit 1; }
	@$(MAKE) --no-print-directory $(STAMPS)/release
	@rm -rf $(PACKAGE)/stage $(PACKAGE)/stage-dbgsym
	@mkdir -p $(PACKAGE)/stage
	@$(MAKE) --no-print-directory install DESTDIR=$(CURDIR)/$(PACKAGE)/stage prefix=/usr exec_prefix=/usr \
	    sysconfdir=/etc unitdir=/lib/systemd/system
	@$(MAKE) --no-print-directory sbom
	@VERSION='$(VERSION)-$(PACKAGE_REVISION)' ARCHITECTURE='$(ARCHITECTURE)' MAINTAINER='$(MAINTAINER)' \
	    STAGE='$(PACKAGE)/stage' SBOM='$(SBOM)' STRIP='$(STRIP)' sh etc/package/deb.sh $(DEB)
	@echo $(DEB)

# What the package is made of, as SPDX 2.3: for whoever has to know whether a flaw elsewhere is one here.
SBOM = $(PACKAGE)/limpet-$(VERSION).spdx.json
sbom: $(STAMPS)/release
	@mkdir -p $(PACKAGE)
	@$(PYTHON) etc/package/sbom.py --version '$(VERSION)' --swift '$(SWIFT)' --checkouts $(CHECKOUTS) > $(SBOM).new
	@mv $(SBOM).new $(SBOM)
	@echo $(SBOM)

# ---- Tests of these, for check-all ----

# In a bare Debian of its own: installed, started, upgraded under open connections, removed and purged. For root.
SUITE  = bookworm
MIRROR = http://deb.debian.org/debian
NEXT   = $(VERSION)+next
check-package: $(STAMPS)/venv $(STAMPS)/deps-package
	@$(MAKE) --no-print-directory deb VERSION=$(NEXT)
	@$(MAKE) --no-print-directory deb
	lintian --fail-on error --tag-display-limit 0 $(DEB) $(subst /limpet_,/limpet-dbgsym_,$(DEB))
	@test -e $(PACKAGE)/$(SUITE)/complete || { rm -rf $(PACKAGE)/$(SUITE) && \
	    debootstrap --variant=minbase $(SUITE) $(PACKAGE)/$(SUITE) $(MIRROR) && touch $(PACKAGE)/$(SUITE)/complete; }
	$(VENV)/bin/python Tests/Package/package_test.py --debian $(PACKAGE)/$(SUITE) --package $(DEB) \
	    --next $(PACKAGE)/limpet_$(NEXT)-$(PACKAGE_REVISION)_$(ARCHITECTURE).deb

# That the sources alone decide what comes out: built here, and once more from the archive, elsewhere and otherwise.
reproducible: dist
	@$(MAKE) --no-print-directory deb
	@sh etc/package/reproducible.sh limpet-$(VERSION) $(ARCHIVE) $(MAKE)
