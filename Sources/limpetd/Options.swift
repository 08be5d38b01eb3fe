import ArgumentParser
import Configuration
import Control

/// The command line of limpetd. Values stay texts here: the Configuration module checks them by the same registry as
/// those of a file, so that both are refused in the same words.
struct Options: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limpetd",
        abstract: "Forwards TCP connections; a client keeps its backend.",
        discussion: """
            Give a file with --config, or one service with --listen and --backend.
            Durations are a number and a unit: 500ms, 5s, 10m, 2h.

            Exit status: \(ExitStatus.done) done; \(ExitStatus.failed) refused or failed; \(ExitStatus.usage) usage; \
            \(ExitStatus.configuration) configuration invalid.
            """,
        version: "limpetd \(limpetVersionText)")

    @Option(name: [.customShort("c"), .long], help: ArgumentHelp("The configuration file.", valueName: "file"))
    var config: String?

    @Flag(name: .long, help: "Check the configuration, print it as it takes effect, and start nothing.")
    var check = false

    @OptionGroup(title: "One service")
    var service: ServiceOptions

    @OptionGroup(title: "The daemon (over the settings of the file)")
    var daemon: DaemonOptions

    /// The flags that have a key, ready to be judged.
    var flags: FlagValues {
        var flags = FlagValues(listen: service.listen, backends: service.backend)
        service.set(on: &flags)
        daemon.set(on: &flags)
        return flags
    }
}

/// Flags that make a service; they have no place beside a file.
struct ServiceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where clients arrive; may be repeated.", valueName: "addr:port[-port]|unix:path|fd:name[,option]"))
    var listen: [String] = []

    @Option(
        help: ArgumentHelp(
            "A backend; may be repeated. Without names they are b1, b2, and so on.",
            valueName: "[name=]addr:port|name:port|unix:path[,weight=w][,max-connections=n][,backup]"))
    var backend: [String] = []

    @Option(help: help(ConfigurationKeys.hashOn, "source|source-port"))
    var hashOn: String?

    @Option(name: .customLong("ipv4-prefix"), help: help(ConfigurationKeys.ipv4Prefix, "n"))
    var ipv4Prefix: String?

    @Option(name: .customLong("ipv6-prefix"), help: help(ConfigurationKeys.ipv6Prefix, "n"))
    var ipv6Prefix: String?

    @Option(help: help(ConfigurationKeys.connectTimeout, "duration"))
    var connectTimeout: String?

    @Option(help: help(ConfigurationKeys.connectAttempts, "n"))
    var connectAttempts: String?

    @Option(help: help(ConfigurationKeys.idleTimeout, "duration|off"))
    var idleTimeout: String?

    @Option(help: help(ConfigurationKeys.sendProxy, "v1|v2|off"))
    var sendProxy: String?

    @Option(help: help(ConfigurationKeys.acceptProxy, "cidr[,cidr]..."))
    var acceptProxy: String?

    @Option(help: help(ConfigurationKeys.health, "tcp|http:path|off"))
    var health: String?

    @Option(help: help(ConfigurationKeys.healthInterval, "duration"))
    var healthInterval: String?

    func set(on flags: inout FlagValues) {
        flags.set(ConfigurationKeys.hashOn, hashOn)
        flags.set(ConfigurationKeys.ipv4Prefix, ipv4Prefix)
        flags.set(ConfigurationKeys.ipv6Prefix, ipv6Prefix)
        flags.set(ConfigurationKeys.connectTimeout, connectTimeout)
        flags.set(ConfigurationKeys.connectAttempts, connectAttempts)
        flags.set(ConfigurationKeys.idleTimeout, idleTimeout)
        flags.set(ConfigurationKeys.sendProxy, sendProxy)
        flags.set(ConfigurationKeys.acceptProxy, acceptProxy)
        flags.set(ConfigurationKeys.health, health)
        flags.set(ConfigurationKeys.healthInterval, healthInterval)
    }
}

/// Flags for the whole daemon; beside a file they override it.
struct DaemonOptions: ParsableArguments {
    @Option(help: help(ConfigurationKeys.hashKeyFile, "file"))
    var hashKeyFile: String?

    @Option(help: help(ConfigurationKeys.workers, "n"))
    var workers: String?

    @Option(help: help(ConfigurationKeys.maxConnections, "n"))
    var maxConnections: String?

    @Option(help: help(ConfigurationKeys.shutdownDelay, "duration"))
    var shutdownDelay: String?

    @Option(help: help(ConfigurationKeys.shutdownDrain, "duration"))
    var shutdownDrain: String?

    @Option(help: help(ConfigurationKeys.control, "path"))
    var control: String?

    @Option(help: help(ConfigurationKeys.stateDirectory, "dir"))
    var stateDirectory: String?

    @Option(help: help(ConfigurationKeys.user, "name"))
    var user: String?

    @Option(help: help(ConfigurationKeys.group, "name"))
    var group: String?

    @Option(help: help(ConfigurationKeys.sandbox, "on|off"))
    var sandbox: String?

    @Option(help: help(ConfigurationKeys.logLevel, "level"))
    var logLevel: String?

    @Option(help: help(ConfigurationKeys.logFormat, "text|json"))
    var logFormat: String?

    @Option(help: help(ConfigurationKeys.accessLog, "off|end|both"))
    var accessLog: String?
    @Option(help: help(ConfigurationKeys.metrics, "[addr:]port|off"))
    var metrics: String?

    func set(on flags: inout FlagValues) {
        flags.set(ConfigurationKeys.metrics, metrics)
        flags.set(ConfigurationKeys.hashKeyFile, hashKeyFile)
        flags.set(ConfigurationKeys.workers, workers)
        flags.set(ConfigurationKeys.maxConnections, maxConnections)
        flags.set(ConfigurationKeys.shutdownDelay, shutdownDelay)
        flags.set(ConfigurationKeys.shutdownDrain, shutdownDrain)
        flags.set(ConfigurationKeys.control, control)
        flags.set(ConfigurationKeys.stateDirectory, stateDirectory)
        flags.set(ConfigurationKeys.user, user)
        flags.set(ConfigurationKeys.group, group)
        flags.set(ConfigurationKeys.sandbox, sandbox)
        flags.set(ConfigurationKeys.logLevel, logLevel)
        flags.set(ConfigurationKeys.logFormat, logFormat)
        flags.set(ConfigurationKeys.accessLog, accessLog)
    }
}

/// The help of a flag that has a key: the registry's sentence and default.
private func help(_ key: ConfigurationKey, _ valueName: String) -> ArgumentHelp {
    ArgumentHelp("\(key.summary) (default: \(key.defaultText ?? "none"))", valueName: valueName)
}
