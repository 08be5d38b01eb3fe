/// Who may do what over the control socket.
///
/// root, the user that the daemon runs as and the members of the administrators' group may change; members of the readers'
/// group may read; others nothing. A pure value.
public struct AccessPolicy: Sendable, Equatable {
    public enum Action: Sendable {
        case read, change
    }

    public enum Role: Sendable, Comparable {
        case stranger, reader, administrator
    }

    /// The user that the daemon runs as.
    public var user: UInt32
    /// Whose members may read.
    public var group: UInt32
    /// Whose members may change; nil: there is no such group.
    public var adminGroup: UInt32?

    public init(user: UInt32, group: UInt32, adminGroup: UInt32? = nil) {
        self.user = user
        self.group = group
        self.adminGroup = adminGroup
    }

    public func role(of caller: Caller) -> Role {
        if caller.uid == 0 || caller.uid == user { return .administrator }
        if let adminGroup, caller.isMember(of: adminGroup) { return .administrator }
        return caller.isMember(of: group) ? .reader : .stranger
    }

    /// Throws ``ControlError/Code/permission``, with the cure, where the caller may not.
    public func check(_ caller: Caller, _ action: Action) throws(ControlError) {
        switch (action, role(of: caller)) {
        case (_, .administrator), (.read, .reader): return
        case (.change, .reader):
            throw ControlError(
                .permission,
                "user \(caller.uid) may read but not change: only root"
                    + (adminGroup.map { ", user \(user) and members of group \($0) may" } ?? " and user \(user) may"))
        case (_, .stranger):
            let groups = adminGroup.map { "members of groups \(group) and \($0)" } ?? "members of group \(group)"
            throw ControlError(
                .permission,
                "user \(caller.uid) may not use the control socket: only root, user \(user) and \(groups) may")
        }
    }

    /// The groups whose members have to be able to connect.
    public var groups: [UInt32] { [group] + (adminGroup.map { [$0] } ?? []) }
}

extension Caller {
    fileprivate func isMember(of group: UInt32) -> Bool { gid == group || groups.contains(group) }
}

/// The policy that is in force, for all who ask; a reload may put another in its place. Lives on the control event loop.
final class CurrentPolicy {
    var value: AccessPolicy

    init(_ value: AccessPolicy) {
        self.value = value
    }
}
