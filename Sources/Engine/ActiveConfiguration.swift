import Addressing
import Configuration
import Continuity
import Control
import Forwarding
import FoundationEssentials
import Linux
import Stickiness

/// What an engine runs from, beside the shared region: the configuration that is active and what the slots of the region
/// mean by name. Kept in the shared document, so that a crash and an upgrade go on with what was active and not with what
/// a file says by then.
struct ActiveConfiguration: Codable, Sendable, Equatable {
    /// Of this text; another build reads it before it takes the daemon over.
    static let format = 1

    var format = ActiveConfiguration.format
    /// ``DaemonConfiguration/canonicalText``.
    var configuration: String
    /// The key's bytes: the file that they came from may be gone, or hold others.
    var hashKey: String
    /// The files of networks that it names, by path: they may be gone, too, or say something else. nil: it names none.
    var networks: [String: String]?
    /// The file that the configuration came from; nil: flags alone.
    var path: String?
    /// The flags beside it, as they were typed: a reload reads the file again, and the flags again with it.
    var flags: FlagValues
    var slots: SlotTables
    /// The last good answers about the names of backends; nil: none.
    var names: [KeptName]?
    var control: ControlSocket.File
    /// nil: an earlier version has written this, and knows of none.
    var controlGroups: ControlGroups?
    /// The directory of what outlives the daemon.
    var stateDirectory: String
    /// Whom the daemon runs as. Looked up once: the user database may be a server that does not answer.
    var user: String
    var program: Program

    /// What an upgrade needs to know of the start.
    struct Program: Codable, Sendable, Equatable {
        /// Where the executable lay; what lies there now may be another. nil: it cannot be told.
        var path: String?
        /// The user that started the daemon, and whose own executables it trusts beside root's.
        var startedBy: UInt32
    }

    init(
        _ configuration: DaemonConfiguration, path: String?, flags: FlagValues, slots: SlotTables,
        control: ControlSocket.File, controlGroups: ControlGroups = ControlGroups(), stateDirectory: String,
        user: String, program: Program
    ) {
        self.program = program
        self.configuration = configuration.canonicalText
        hashKey = configuration.hashKey.hexadecimal
        networks = configuration.networkFiles.isEmpty ? nil : configuration.networkFiles.mapValues(NetworkFile.text)
        self.path = path
        self.flags = flags
        self.slots = slots
        self.control = control
        self.controlGroups = controlGroups
        self.stateDirectory = stateDirectory
        self.user = user
    }

    /// Goes over to what is known of names by now. The text of the configuration stays as it is, byte for byte: after an
    /// upgrade the version before has written it, and must be able to read it again.
    mutating func take(_ names: NameFacts, _ slots: SlotTables) {
        self.names = names.kept
        self.slots = slots
    }

    /// Goes over to another configuration. What belongs to the daemon stays.
    mutating func take(
        _ configuration: DaemonConfiguration, _ slots: SlotTables, _ names: NameFacts, _ groups: ControlGroups
    ) {
        controlGroups = groups
        self.names = names.kept
        self.configuration = configuration.canonicalText
        hashKey = configuration.hashKey.hexadecimal
        networks = configuration.networkFiles.isEmpty ? nil : configuration.networkFiles.mapValues(NetworkFile.text)
        self.slots = slots
    }

    /// The configuration, with its key.
    func parsed() throws(StartError) -> DaemonConfiguration {
        do throws(ConfigurationFailure) {
            var configuration = try ConfigurationLoader.parse(self.configuration, source: "active configuration")
                .configuration
            guard let key = HashKey(hexadecimal: hashKey) else {
                throw ConfigurationFailure(
                    .configuration,
                    [ConfigurationError(source: "active configuration", problem: "the hash key is damaged")])
            }
            configuration.hashKey = key
            if let networks { configuration.networkFiles = networks.mapValues(NetworkFile.parse) }
            return configuration
        } catch {
            throw StartError("\(error)")
        }
    }

    var facts: NameFacts { NameFacts(names ?? []) }

    /// Makes it the one that counts.
    func publish(in document: SharedDocument) throws(StartError) {
        do {
            try document.publish([UInt8](JSONEncoder().encode(self)))
        } catch {
            throw StartError("\(error)")
        }
    }

    /// The text of the one that counts.
    static func text(_ region: SharedRegion) throws(StartError) -> [UInt8] {
        do throws(SystemError) {
            return try SharedDocument(region: region).read()
        } catch {
            throw StartError("\(error)")
        }
    }

    /// What a text says, wherever it was read.
    static func decode(_ text: [UInt8]) throws(StartError) -> ActiveConfiguration {
        do {
            return try JSONDecoder().decode(ActiveConfiguration.self, from: Data(text))
        } catch {
            throw StartError("the active configuration in the shared region cannot be read: \(error)")
        }
    }
}
