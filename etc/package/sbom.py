"""What the programs are made of, as an SPDX 2.3 document, on standard output.

The Swift packages and their versions come from Package.resolved (an archive of the sources has it in Dependencies), what
they carry within themselves and the system's libraries from their own headers, and licences from the table below: a
package that it does not have is an error, so that a new dependency cannot come in without somebody looking at its terms.
The same sources give the same document.
"""

import argparse
import datetime
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNTIME_EXCEPTION = "Apache-2.0 WITH Swift-exception"
# identity: (licence, copyright)
PACKAGES = {
    "swift-argument-parser": (RUNTIME_EXCEPTION, "Apple Inc. and the Swift project authors"),
    "swift-atomics": (RUNTIME_EXCEPTION, "Apple Inc. and the Swift project authors"),
    "swift-collections": (RUNTIME_EXCEPTION, "Apple Inc. and the Swift project authors"),
    "swift-system": (RUNTIME_EXCEPTION, "Apple Inc. and the Swift System project authors"),
    "swift-log": ("Apache-2.0", "Apple Inc. and the Swift Logging API project authors"),
    "swift-nio": ("Apache-2.0", "Apple Inc. and the SwiftNIO project authors"),
    "tomlkit": ("MIT", "2024 Jeff Lebrun"),
}


def defined(text, name):
    return int(re.search(rf"#\s*define\s+{name}\s+(\d+)", text).group(1))


def preprocessed(header):
    """The macros that a system header defines, wherever the compiler finds it."""
    for compiler in ("cc", "clang", "gcc"):
        try:
            return subprocess.run(
                [compiler, "-E", "-dM", "-x", "c", "-"], input=f"#include <{header}>\n", text=True, check=True,
                capture_output=True).stdout
        except FileNotFoundError:
            continue
    sys.exit("sbom: no C compiler")


def command(*words):
    return subprocess.run(words, cwd=ROOT, text=True, check=True, capture_output=True).stdout.strip()


class Document:
    def __init__(self):
        self.packages = []
        self.relationships = []

    def package(self, name, version, location, licence, owner, purl=None, notes=None):
        """Adds one, and returns its identifier."""
        identifier = "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)
        entry = {
            "SPDXID": identifier,
            "name": name,
            "versionInfo": version,
            "supplier": "NOASSERTION",
            "downloadLocation": location,
            "filesAnalyzed": False,
            "licenseConcluded": licence,
            "licenseDeclared": licence,
            "copyrightText": owner,
        }
        if notes:
            entry["comment"] = notes
        if purl:
            entry["externalRefs"] = [{
                "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl,
            }]
        self.packages.append(entry)
        return identifier

    def relate(self, one, relation, other):
        self.relationships.append(
            {"spdxElementId": one, "relationshipType": relation, "relatedSpdxElement": other})


def add_swift_packages(document, limpet, checkouts):
    resolved = next(path for path in (ROOT / "Dependencies/Package.resolved", ROOT / "Package.resolved") if path.exists())
    pins = json.loads(resolved.read_text())["pins"]
    for pin in sorted(pins, key=lambda pin: pin["identity"]):
        identity, state = pin["identity"], pin["state"]
        if identity not in PACKAGES:
            sys.exit(f"sbom: Package.resolved has {identity}, of which etc/package/sbom.py does not know the licence")
        licence, owner = PACKAGES[identity]
        location = pin["location"].removesuffix(".git")
        path = location.removeprefix("https://")
        package = document.package(
            identity, state["version"], f"git+{location}@{state['revision']}", licence, owner,
            f"pkg:swift/{path}@{state['version']}")
        document.relate(limpet, "STATIC_LINK", package)
        if identity == "swift-nio":
            header = (checkouts / "swift-nio/Sources/CNIOLLHTTP/include/c_nio_llhttp.h").read_text()
            version = ".".join(str(defined(header, f"LLHTTP_VERSION_{part}")) for part in ("MAJOR", "MINOR", "PATCH"))
            inner = document.package(
                "llhttp", version, "https://github.com/nodejs/llhttp", "MIT", "2018 Fedor Indutny",
                f"pkg:github/nodejs/llhttp@v{version}", "Its source lies in swift-nio.")
            document.relate(package, "CONTAINS", inner)
        if identity == "tomlkit":
            header = (checkouts / "TOMLKit/Sources/CTOML/Sources/toml.hpp").read_text()
            version = re.search(r"toml\+\+ v([0-9.]+)", header).group(1)
            inner = document.package(
                "tomlplusplus", version, "https://github.com/marzer/tomlplusplus", "MIT", "Mark Gillard",
                f"pkg:github/marzer/tomlplusplus@v{version}", "Its source lies in TOMLKit.")
            document.relate(package, "CONTAINS", inner)


def add_libraries(document, limpet, swift):
    version = re.search(r"Swift version (\S+)", command(swift, "--version")).group(1)
    for name, where in (
        ("swift-runtime", "https://github.com/swiftlang/swift"),
        ("swift-foundation-essentials", "https://github.com/swiftlang/swift-foundation"),
    ):
        runtime = document.package(
            name, version, where, RUNTIME_EXCEPTION, "Apple Inc. and the Swift project authors",
            f"pkg:github/{where.removeprefix('https://github.com/')}@swift-{version}-RELEASE")
        document.relate(limpet, "STATIC_LINK", runtime)

    version = re.search(r'ARES_VERSION_STR "([^"]+)"', preprocessed("ares_version.h")).group(1)
    cares = document.package(
        "c-ares", version, "https://c-ares.org", "MIT AND ISC",
        "1998, 2000 Massachusetts Institute of Technology; Daniel Stenberg and contributors; "
        "1996 Internet Software Consortium", f"pkg:github/c-ares/c-ares@cares-{version.replace('.', '_')}",
        "The distribution's build.")
    document.relate(limpet, "STATIC_LINK", cares)

    macros = preprocessed("sys/capability.h")
    version = f"{defined(macros, 'LIBCAP_MAJOR')}.{defined(macros, 'LIBCAP_MINOR')}"
    libcap = document.package(
        "libcap", version, "https://git.kernel.org/pub/scm/libs/libcap/libcap.git",
        "BSD-3-Clause OR GPL-2.0-only", "Andrew G. Morgan", None,
        "The system's, at run time; the version is that of the build.")
    document.relate(limpet, "DYNAMIC_LINK", libcap)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", required=True)
    parser.add_argument("--swift", default="swift")
    parser.add_argument("--checkouts", type=pathlib.Path, required=True, help="of SwiftPM, with the packages' sources")
    arguments = parser.parse_args()

    revision = command("sh", "etc/package/revision.sh", "revision") or "unknown"
    date = int(command("sh", "etc/package/revision.sh", "date") or 0)
    document = Document()
    limpet = document.package(
        "limpet", arguments.version, "NOASSERTION", "Apache-2.0", "The Limpet contributors", None,
        f"Built from revision {revision}.")
    document.relate("SPDXRef-DOCUMENT", "DESCRIBES", limpet)
    add_swift_packages(document, limpet, arguments.checkouts)
    add_libraries(document, limpet, arguments.swift)
    json.dump(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"limpet-{arguments.version}",
            "documentNamespace": f"https://spdx.org/spdxdocs/limpet-{arguments.version}-{revision}",
            "creationInfo": {
                "created": datetime.datetime.fromtimestamp(date, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "creators": [f"Tool: limpet-sbom-{arguments.version}"],
            },
            "packages": document.packages,
            "relationships": document.relationships,
        }, sys.stdout, indent=2, ensure_ascii=False)
    print()


main()
