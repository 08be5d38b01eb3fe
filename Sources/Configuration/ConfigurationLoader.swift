import Addressing
import Stickiness

/// A configuration that may be used, and what its owner should know all the same.
public struct LoadedConfiguration: Sendable, Equatable {
    public var configuration: DaemonConfiguration
    /// One line each, with the place.
    public var warnings: [String]

    public init(configuration: DaemonConfiguration, warnings: [String]) {
        self.configuration = configuration
        self.warnings = warnings
    }
}

/// Makes a configuration of a file, of flags, or of both. Reads files and nothing else; any thread may use it.
public enum ConfigurationLoader {
    /// Files of configuration may be this large, in bytes.
    public static let fileLimit = 1024 * 1024

    /// A file as it was read last and what came of it. Reading the same bytes again would cost memory: the TOML library
    /// never gives back the tables that it makes.
    public struct FileReading: Sendable {
        fileprivate let path: String
        fileprivate let bytes: [UInt8]
        fileprivate let outcome: Result<LoadedConfiguration, ConfigurationFailure>
    }

    /// Reads and checks everything, the hash key's file included.
    /// - Parameters:
    ///   - path: the configuration file; nil: the flags make one service, called `default`.
    ///   - flags: beside a file, the settings for the whole daemon among them override the file's, and the others
    ///     are refused.
    /// - Throws: everything that is wrong, at once; the command line is judged before the file is opened.
    public static func load(path: String?, flags: FlagValues) throws(ConfigurationFailure) -> LoadedConfiguration {
        var reading: FileReading?
        return try load(path: path, flags: flags, reading: &reading)
    }

    /// The same, for whoever does it again and again.
    /// - Parameter reading: of the last time; nil: none. Holds this one afterwards.
    public static func load(
        path: String?, flags: FlagValues, reading: inout FileReading?
    ) throws(ConfigurationFailure) -> LoadedConfiguration {
        let onLine = Findings(source: "limpetd")
        var loaded: LoadedConfiguration
        if let path {
            try check(flags, onLine)
            loaded = try parse(file: path, &reading)
            ConfigurationBuilder.readDaemon(flags.daemonReader(onLine), into: &loaded.configuration)
            if flags.settings[ConfigurationKeys.metrics.name] != nil {
                ConfigurationRules(form: .flags, findings: onLine).checkMetrics(loaded.configuration)
                guard onLine.errors.isEmpty else { throw ConfigurationFailure(.usage, onLine.errors) }
                loaded.warnings += onLine.warnings
            }
        } else {
            var configuration = ConfigurationBuilder(form: .flags, findings: onLine).build(flags)
            configuration.compileAccess()
            guard onLine.errors.isEmpty else { throw ConfigurationFailure(.usage, onLine.errors) }
            loaded = LoadedConfiguration(configuration: configuration, warnings: onLine.warnings)
        }
        if let file = loaded.configuration.hashKeyFile {
            loaded.configuration.hashKey = try hashKey(inFile: file, warnings: &loaded.warnings)
        }
        let paths = loaded.configuration.networkPaths
        if !paths.isEmpty { loaded.configuration.networkFiles = try networkFiles(paths) }
        return loaded
    }

    /// The networks in some files.
    private static func networkFiles(_ paths: Set<String>) throws(ConfigurationFailure) -> [String: [Prefix]] {
        var files: [String: [Prefix]] = [:]
        var errors: [ConfigurationError] = []
        for path in paths.sorted() {
            do throws(ConfigurationFailure) {
                files[path] = try NetworkFile.read(
                    try contents(ofFile: path, limit: NetworkFile.limit).bytes, path: path)
            } catch {
                errors += error.errors
            }
        }
        guard errors.isEmpty else { throw ConfigurationFailure(.configuration, errors) }
        return files
    }

    /// Checks a text alone, without reading any file: the key stays the published one, even where a file is named, and files
    /// of networks are empty.
    /// - Parameter source: what the errors call the text.
    public static func parse(_ text: String, source: String) throws(ConfigurationFailure) -> LoadedConfiguration {
        let findings = Findings(source: source)
        let nodes: [String: TOMLNode]
        do throws(TOMLNode.SyntaxError) {
            nodes = try TOMLNode.parse(text)
        } catch {
            let place = error.position.map { ["line \($0.line), column \($0.column)"] } ?? []
            findings.report(place, error.reason)
            throw ConfigurationFailure(.configuration, findings.errors)
        }
        var builder = ConfigurationBuilder(form: .file, findings: findings)
        var configuration = builder.build(nodes)
        configuration.compileAccess()
        guard findings.errors.isEmpty else { throw ConfigurationFailure(.configuration, findings.errors) }
        return LoadedConfiguration(configuration: configuration, warnings: findings.warnings)
    }

    /// Refuses the flags that cannot stand beside a file.
    private static func check(_ flags: FlagValues, _ findings: Findings) throws(ConfigurationFailure) {
        for key in flags.serviceKeys {
            findings.report(
                [],
                "--\(key.name) cannot be used together with --config: write \"\(key.name)\" in a service of the file")
        }
        var scratch = DaemonConfiguration(services: [])
        ConfigurationBuilder.readDaemon(flags.daemonReader(findings), into: &scratch)
        guard findings.errors.isEmpty else { throw ConfigurationFailure(.usage, findings.errors) }
    }

    private static func parse(
        file path: String, _ reading: inout FileReading?
    ) throws(ConfigurationFailure) -> LoadedConfiguration {
        let file = try contents(ofFile: path, limit: fileLimit)
        if let known = reading, known.path == path, known.bytes == file.bytes { return try known.outcome.get() }
        guard let text = String(validating: file.bytes, as: UTF8.self) else {
            throw failure(path, "is not UTF-8")
        }
        let outcome: Result<LoadedConfiguration, ConfigurationFailure>
        do throws(ConfigurationFailure) {
            outcome = .success(try parse(text, source: path))
        } catch {
            outcome = .failure(error)
        }
        reading = FileReading(path: path, bytes: file.bytes, outcome: outcome)
        return try outcome.get()
    }

    private static func hashKey(
        inFile path: String, warnings: inout [String]
    ) throws(ConfigurationFailure) -> HashKey {
        let file = try contents(ofFile: path, limit: 4096)
        // The bytes themselves stay out of the error: this is a secret, even a malformed one.
        guard let key = HashKey(hexadecimal: String(decoding: file.bytes, as: UTF8.self)) else {
            throw failure(
                path, "must hold 32 hexadecimal digits and nothing else (openssl rand -hex 16 makes a key)")
        }
        if file.mode & 0o004 != 0 {
            let mode = String(file.mode & 0o777, radix: 8)
            warnings.append("\(path): everybody can read the hash key (mode \(mode)): chmod o-r \(path)")
        }
        return key
    }

    private static func contents(ofFile path: String, limit: Int) throws(ConfigurationFailure) -> FileContents {
        do throws(FileReadingError) {
            return try FileContents(ofFile: path, limit: limit)
        } catch {
            throw failure(path, error.description)
        }
    }

    private static func failure(_ path: String, _ problem: String) -> ConfigurationFailure {
        ConfigurationFailure(.configuration, [ConfigurationError(source: path, problem: problem)])
    }
}
