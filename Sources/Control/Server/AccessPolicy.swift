/// Who may do what over the control socket.
///
/// root and the user that the daemon runs as may change; members of the socket's group may read; others nothing. A pure
/// value.
public struct AccessPolicy: Sendable, Equatable {
    public enum Action: Sendable {
        case read, change
    }

    /// The user that the daemon runs as.
    public var user: UInt32
    /// The group of the socket file.
    public var group: UInt32

    public init(user: UInt32, group: UInt32) {
        self.user = user
        self.group = group
    }

    /// Whether the caller may change what it likes.
    public func mayChange(_ caller: Caller) -> Bool { caller.uid == 0 || caller.uid == user }

    /// Throws ``ControlError/Code/permission``, with the cure, where the caller may not.
    public func check(_ caller: Caller, _ action: Action) throws(ControlError) {
        if mayChange(caller) { return }
        let isMember = caller.gid == group || caller.groups.contains(group)
        switch (action, isMember) {
        case (.read, true): return
        case (.change, true):
            throw ControlError(
                .permission, "user \(caller.uid) may read but not change: only root and user \(user) may")
        case (_, false):
            throw ControlError(
                .permission,
                "user \(caller.uid) may not use the control socket: only root, user \(user) and members of group \(group)"
                    + " may")
        }
    }
}
