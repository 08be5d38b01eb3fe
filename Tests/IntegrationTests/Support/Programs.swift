import Foundation

/// The programs under test, as built in the same configuration as the tests.
enum Programs {
    static let limpetd = find("limpetd")
    static let limpetctl = find("limpetctl")
    static let checker = find("limpet-checker")

    /// Whether they were built with what makes them fail on purpose.
    static let isDebug: Bool = {
        #if DEBUG
            return ProcessInfo.processInfo.environment["LIMPET_BIN_DIR"] == nil
        #else
            return false
        #endif
    }()

    /// `$LIMPET_BIN_DIR`, else the directory of the test bundle.
    private static func find(_ name: String) -> String {
        // Thousands of sockets, in the test and in the daemon that inherits the limit.
        _ = raisedLimit
        var places: [String] = []
        if let directory = ProcessInfo.processInfo.environment["LIMPET_BIN_DIR"] { places.append(directory) }
        for argument in CommandLine.arguments + ["/proc/self/exe"] {
            let path = URL(fileURLWithPath: argument).resolvingSymlinksInPath()
            places.append(path.deletingLastPathComponent().path)
        }
        places.append(Bundle.main.bundlePath)
        for place in places where FileManager.default.isExecutableFile(atPath: "\(place)/\(name)") {
            return "\(place)/\(name)"
        }
        fatalError("\(name) is in none of \(places): build it first, or set LIMPET_BIN_DIR")
    }

    /// The descriptor limit of this process, raised from soft to hard.
    static let raisedLimit: Int = {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_cur)
    }()
}

/// Whether the tests run as root: some things only root can arrange.
let isRoot = geteuid() == 0
