public import Configuration

/// What the daemon is to do, once its options and files have been read and found valid.
public struct EngineRequest: Sendable {
    public var configuration: DaemonConfiguration
    /// The file that the configuration came from; nil: flags alone.
    public var configurationPath: String?

    /// The flags that were given, which a reload judges again together with the file.
    public var flags: FlagValues

    public init(configuration: DaemonConfiguration, configurationPath: String?, flags: FlagValues) {
        self.configuration = configuration
        self.configurationPath = configurationPath
        self.flags = flags
    }
}

/// Why the daemon does not start. One line that names the place and the cure.
public struct StartError: Error, Sendable, CustomStringConvertible {
    public let description: String
    /// 1: refused or failed; 2: the command line asks for what cannot be.
    public let exitStatus: Int32

    public init(_ description: String, exitStatus: Int32 = 1) {
        self.description = description
        self.exitStatus = exitStatus
    }
}
