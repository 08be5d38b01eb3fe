// swift-tools-version: 6.2
import PackageDescription

/// LIMPET_LAYOUT=1 builds the daemon as it was before the last change of the record's layout, for the test of an upgrade
/// from it.
let isPreviousLayout = Context.environment["LIMPET_LAYOUT"] == "1"
let layout: [CSetting] = isPreviousLayout ? [.define("LIMPET_LAYOUT", to: "1")] : []

/// LIMPET_FUZZ, the path of libFuzzer without a main of its own, builds limpet-fuzz instead of the tests, see `make fuzz`.
let fuzzer = Context.environment["LIMPET_FUZZ"]

/// Every target of ours is built with these.
let common: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (Context.environment["LIMPET_WARNINGS_AS_ERRORS"] == "1" ? [.treatAllWarnings(as: .error)] : [])
    + (isPreviousLayout ? [.define("LIMPET_LAYOUT_1"), .unsafeFlags(["-Xcc", "-DLIMPET_LAYOUT=1"])] : [])
    + (fuzzer == nil
        ? []
        : [
            .unsafeFlags([
                "-enable-testing", "-sanitize=address",
                "-sanitize-coverage=edge,indirect-calls,trace-cmp,inline-8bit-counters,pc-table",
            ])
        ])

/// Debug builds can be told to die at labelled points, see Tests/IntegrationTests; release builds have none of it.
let injecting: [CSetting] = [.define("LIMPET_INJECT", .when(configuration: .debug))]

/// What the Makefile says of this build: see CBuild.
let facts: [CSetting] = ["LIMPET_VERSION", "LIMPET_REVISION", "LIMPET_RUNSTATEDIR", "LIMPET_LOCALSTATEDIR"].compactMap {
    name in Context.environment[name].map { .define(name, to: "\"\($0)\"") }
}

/// The pure modules do no I/O and say `unsafe` wherever they leave memory safety.
let pure: [SwiftSetting] = common + [.strictMemorySafety()]

/// An archive of the sources has those of the packages in it, and the Makefile says where: see etc/package/dist.sh.
let needed: (String, Version) -> Package.Dependency = { url, version in
    guard let directory = Context.environment["LIMPET_DEPENDENCIES"] else { return .package(url: url, from: version) }
    return .package(path: directory + "/" + url.split(separator: "/").last!)
}

let nio: (String) -> Target.Dependency = { .product(name: $0, package: "swift-nio") }

let package = Package(
    name: "limpet",
    products: [
        .executable(name: "limpetd", targets: ["limpetd"]),
        .executable(name: "limpetctl", targets: ["limpetctl"]),
        .executable(name: "limpet-echo", targets: ["EchoBackend"]),
        .executable(name: "limpet-checker", targets: ["Checker"]),
        .executable(name: "limpet-hashpick", targets: ["HashPick"]),
    ],
    dependencies: [
        needed("https://github.com/apple/swift-argument-parser", "1.8.0"),
        needed("https://github.com/apple/swift-log", "1.16.0"),
        needed("https://github.com/apple/swift-nio", "2.101.0"),
        needed("https://github.com/LebJe/TOMLKit", "0.6.0"),
    ],
    targets: [
        // Pure modules.
        .target(name: "Addressing", swiftSettings: pure),
        .target(name: "Stickiness", dependencies: ["Addressing"], swiftSettings: pure),
        .target(name: "Backends", dependencies: ["Addressing", "Stickiness"], swiftSettings: pure),
        .target(
            name: "Configuration", dependencies: ["Addressing", "Stickiness", "Backends", "TOMLKit"],
            swiftSettings: pure),

        .target(name: "CBuild", cSettings: facts),

        // The kernel.
        .target(name: "CLinux", linkerSettings: [.linkedLibrary("cap")]),
        .target(name: "CLayout", cSettings: layout),
        .target(name: "CContinuity", dependencies: ["CLayout"], cSettings: injecting + layout),
        .target(name: "Linux", dependencies: ["CLinux", "Addressing"], swiftSettings: common),

        .target(name: "CCares", linkerSettings: [.linkedLibrary(":libcares.a")]),
        .target(name: "Names", dependencies: ["Linux", "CCares", "Addressing"], swiftSettings: common),

        // The work.
        .target(
            name: "Forwarding",
            dependencies: ["Linux", "CLinux", "CLayout", "CContinuity", "Addressing", "Stickiness", "Backends"],
            swiftSettings: common + [.define("LIMPET_INJECT", .when(configuration: .debug))]),
        .target(
            name: "Continuity",
            dependencies: [
                "Linux", "CLinux", "CLayout", "CContinuity", "Forwarding", "Addressing",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: common),
        .target(
            name: "Observability", dependencies: ["Linux", .product(name: "Logging", package: "swift-log")],
            swiftSettings: common),
        .target(
            name: "Control",
            dependencies: [
                "Addressing", "Backends", "CBuild", "Linux", nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"),
                nio("NIOFoundationEssentialsCompat"),
            ], swiftSettings: common),
        .target(
            name: "Health",
            dependencies: [
                "Addressing", "Backends", "Configuration", "Linux", nio("NIOCore"), nio("NIOPosix"),
            ], swiftSettings: common),
        .target(
            name: "Engine",
            dependencies: [
                "Addressing", "Stickiness", "Backends", "Configuration", "Linux", "CLayout", "CContinuity",
                "Forwarding", "Health", "Names",
                "Continuity", "Control", "Observability", nio("NIOCore"), nio("NIOPosix"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: common),

        // The programs.
        .executableTarget(
            name: "limpetd",
            dependencies: [
                "Engine", "Continuity", "Configuration", "Control", "Linux",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: common,
            // By which the symbols of a daemon that has died are found.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--build-id=sha1"])]),
        .executableTarget(
            name: "limpetctl",
            dependencies: [
                "Control", "Addressing", "Backends", "Linux",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: common),
        .executableTarget(
            name: "EchoBackend",
            dependencies: [
                nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"), nio("NIOWebSocket"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: common),

        // Benchmarks.
        .executableTarget(
            name: "HashPick", dependencies: ["Stickiness", "Addressing"], path: "Benchmarks/hashpick",
            swiftSettings: common),

        // Tests.
        .executableTarget(
            name: "Checker",
            dependencies: [
                "Linux", "CLinux", "Addressing", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "Tests/Checker", swiftSettings: common),
        .testTarget(name: "AddressingTests", dependencies: ["Addressing"], swiftSettings: common),
        .testTarget(
            name: "StickinessTests", dependencies: ["Stickiness", "Addressing"],
            resources: [.copy("Vectors")], swiftSettings: common),
        .testTarget(
            name: "BackendsTests", dependencies: ["Backends", "Stickiness"], swiftSettings: common),
        .testTarget(
            name: "ConfigurationTests", dependencies: ["Configuration", "Addressing", "Stickiness"],
            swiftSettings: common),
        .testTarget(
            name: "NamesTests", dependencies: ["Names", "Addressing", "Linux", "CCares"], swiftSettings: common),
        .testTarget(
            name: "ForwardingTests",
            dependencies: ["Forwarding", "Linux", "CLayout", "Addressing", "Stickiness", "Backends"],
            swiftSettings: common),
        .testTarget(
            name: "ContinuityTests",
            dependencies: ["Continuity", "Forwarding", "Linux", "CLayout", "CContinuity", "Addressing"],
            resources: [.copy("Fixtures")], swiftSettings: common),
        .testTarget(
            name: "HealthTests",
            dependencies: [
                "Health", "Backends", "Configuration", "Addressing", "Linux", nio("NIOCore"), nio("NIOPosix"),
            ],
            swiftSettings: common),
        .testTarget(
            name: "ObservabilityTests",
            dependencies: ["Observability", .product(name: "Logging", package: "swift-log")], swiftSettings: common),
        .testTarget(
            name: "EngineTests",
            dependencies: [
                "Engine", "Observability", "Configuration", "Addressing", "Backends", "CLayout", "Control",
                "Forwarding",
                "Linux", "Names", nio("NIOCore"), nio("NIOPosix"), .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: common),
        .testTarget(
            name: "ControlTests",
            dependencies: ["Control", "limpetctl", "Addressing", "Linux", nio("NIOCore"), nio("NIOPosix")],
            swiftSettings: common),
        .testTarget(
            name: "ManualTests",
            dependencies: ["Configuration", "Control", "Forwarding", "Observability", "limpetd", "limpetctl"],
            swiftSettings: common),
        .testTarget(
            name: "IntegrationTests", dependencies: ["limpetd", "limpetctl", "EchoBackend", "Checker"],
            swiftSettings: common),
    ],
    swiftLanguageModes: [.v6]
)

if let fuzzer {
    package.targets.removeAll { $0.type == .test }
    package.targets.append(
        .executableTarget(
            name: "limpet-fuzz",
            dependencies: [
                "Addressing", "Stickiness", "Backends", "Configuration", "Linux", "CCares", "Names", "Forwarding",
                "Continuity", "Control", "Health", "Engine", nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"),
                nio("NIOEmbedded"),
            ], path: "Tests/Fuzz", exclude: ["corpus", "dictionaries", "run"], swiftSettings: common,
            linkerSettings: [.unsafeFlags([fuzzer])]))
}
