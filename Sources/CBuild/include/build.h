/// What this build is: its version, the revision of its sources, and the directories that it keeps its files in.
///
/// In C, because a change of these compiles one small file: the Makefile says them anew for each build (LIMPET_REVISION
/// and so on in the environment, see Package.swift).
#ifndef LIMPET_BUILD_H
#define LIMPET_BUILD_H

/// As in "0.1.0"; fewer than 32 printable characters, none of them a space.
const char *limpet_build_version(void);

/// Of the sources, abbreviated, with "-modified" where they were changed since; empty where nobody has said it.
const char *limpet_build_revision(void);

/// Where directories for sockets are made, as in "/run".
const char *limpet_build_runstatedir(void);

/// Where directories for what is to last are made, as in "/var"; they lie in its lib.
const char *limpet_build_localstatedir(void);

#endif
