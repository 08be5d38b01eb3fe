#include "build.h"

#include "version.h"

/// A source archive has a file with the revision that it was made of, see etc/package/dist.sh.
#if __has_include("revision.h")
#include "revision.h"
#endif

#ifndef LIMPET_VERSION
#define LIMPET_VERSION LIMPET_RELEASE
#endif
#ifndef LIMPET_REVISION
#define LIMPET_REVISION ""
#endif
#ifndef LIMPET_RUNSTATEDIR
#define LIMPET_RUNSTATEDIR "/run"
#endif
#ifndef LIMPET_LOCALSTATEDIR
#define LIMPET_LOCALSTATEDIR "/var"
#endif

// Running daemons ask newer versions for theirs, and take no longer one.
_Static_assert(sizeof LIMPET_VERSION <= 32, "the version is too long");

const char *limpet_build_version(void) { return LIMPET_VERSION; }

const char *limpet_build_revision(void) { return LIMPET_REVISION; }

const char *limpet_build_runstatedir(void) { return LIMPET_RUNSTATEDIR; }

const char *limpet_build_localstatedir(void) { return LIMPET_LOCALSTATEDIR; }
