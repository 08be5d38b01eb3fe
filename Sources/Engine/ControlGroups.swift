import Configuration
import Control
import Linux

/// The groups that the configuration lets in at the control socket, by number. They lie in the document, so that no engine
/// has to ask the user database.
struct ControlGroups: Codable, Sendable, Equatable {
    /// nil: the daemon's own.
    var read: UInt32?
    /// nil: there is none.
    var admin: UInt32?

    init() {}

    /// Looks the groups up.
    init(_ configuration: DaemonConfiguration) throws(StartError) {
        read = try ControlGroups.number(configuration.controlReadGroup, ConfigurationKeys.controlReadGroup)
        admin = try ControlGroups.number(configuration.controlAdminGroup, ConfigurationKeys.controlAdminGroup)
    }

    private static func number(_ text: String?, _ key: ConfigurationKey) throws(StartError) -> UInt32? {
        guard let text else { return nil }
        if text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            // The highest number stands for none in the kernel's calls.
            guard let number = UInt32(text), number != .max else {
                throw StartError("\(key.name): \(text) is no number of a group")
            }
            return number
        }
        guard let number = Account.group(named: text) else {
            throw StartError(
                "\(key.name): group \"\(text)\" does not exist; make it (groupadd --system \(text)) or name another")
        }
        return number
    }

    /// Those that the configuration names. The directory of the daemon's own group is its owner's affair.
    private var named: [UInt32] { [read, admin].compactMap { $0 } }

    /// Who may do what.
    /// - Parameter user: that the daemon runs as.
    func policy(user: UInt32, _ socket: ControlSocket) -> AccessPolicy {
        AccessPolicy(user: user, group: read ?? socket.group, adminGroup: admin)
    }

    /// Lets these groups connect, and no others. In its place at a start, at a reload, and when an engine begins.
    /// - Returns: why some cannot all the same.
    func admit(at socket: ControlSocket, user: UInt32) throws(StartError) -> [String] {
        do throws(ControlSocketError) {
            return try socket.admit(policy(user: user, socket).groups, passing: named, user: user)
        } catch {
            throw StartError("\(error)")
        }
    }

    /// Finds out whether ``admit(at:user:)`` will do, by doing it for these and the former ones together, who so lose
    /// nothing meanwhile.
    func tryToAdmit(besides former: ControlGroups, at socket: ControlSocket, user: UInt32) throws(StartError)
        -> [String]
    {
        do throws(ControlSocketError) {
            let all = former.policy(user: user, socket).groups + policy(user: user, socket).groups
            return try socket.admit(
                all.enumerated().filter { all.firstIndex(of: $1) == $0 }.map(\.element), passing: named, user: user)
        } catch {
            throw StartError("\(error)")
        }
    }
}
