import Configuration
import Linux

/// Whom the daemon runs as once it has bound its addresses.
enum Identity: Sendable, Equatable {
    /// An ordinary user started it: nothing to drop.
    case unchanged
    /// Started as root and told to stay so, in this group; nil: in its own.
    case root(gid: UInt32?)
    /// Started as root: becomes this user and this group.
    case account(Account, gid: UInt32)

    /// Finds out, from what was configured and who we are. Reads the user database.
    static func resolve(user: String?, group: String?) throws(StartError) -> Identity {
        guard Account.effectiveUID == 0 else { return try resolveUnprivileged(user: user, group: group) }
        let name = user ?? "limpet"
        guard let account = Account.named(name) else {
            if user == nil {
                throw StartError(
                    "started as root, and there is no user \"limpet\" to run as; make one (useradd --system limpet), name"
                        + " another with --user, or stay root with --user root", exitStatus: 2)
            }
            throw StartError(
                "user \"\(name)\" does not exist; make it (useradd --system \(name)) or name another with --user")
        }
        var asked: UInt32?
        if let group {
            guard let number = Account.group(named: group) else {
                throw StartError(
                    "group \"\(group)\" does not exist; make it (groupadd --system \(group)) or name another with --group"
                )
            }
            asked = number
        }
        return account.uid == 0 ? .root(gid: asked) : .account(account, gid: asked ?? account.gid)
    }

    private static func resolveUnprivileged(user: String?, group: String?) throws(StartError) -> Identity {
        if let user, Account.named(user)?.uid != Account.effectiveUID {
            throw StartError("only root can run as user \"\(user)\"; start limpetd as root, or leave out --user")
        }
        if let group, Account.group(named: group) != Account.effectiveGID {
            throw StartError("only root can take the group \"\(group)\"; start limpetd as root, or leave out --group")
        }
        return .unchanged
    }

    /// Owner of the files that are made before the drop; nil: they stay with whoever makes them.
    var owner: (user: UInt32, group: UInt32)? {
        switch self {
        case .unchanged: nil
        case .root(let gid): gid.map { (0, $0) }
        case .account(let account, let gid): (account.uid, gid)
        }
    }

    /// Becomes that user, keeping these capabilities; stays who it is with no more than these; or stays root, in that group.
    /// No exec gives any of them more. Before the first thread.
    /// - Returns: why there is more left than is needed; nil: there is not.
    func assume(keeping capabilities: [Int32]) throws(StartError) -> SystemError? {
        do throws(SystemError) {
            var problem: SystemError?
            switch self {
            case .unchanged: problem = Privileges.reduce(to: capabilities)
            case .root(let gid): if let gid { try Privileges.become(group: gid) }
            case .account(let account, let gid):
                try Privileges.drop(to: account, gid: gid, keep: capabilities)
            }
            try Privileges.setNoNewPrivileges()
            return problem
        } catch {
            throw StartError("\(error); run limpetd with the capabilities SETUID, SETGID and SETPCAP, or as that user")
        }
    }

    /// What a daemon keeps that is not root: to bind what a reload may bring, and what the configuration needs.
    static func capabilities(of configuration: DaemonConfiguration) -> [Int32] {
        [Privileges.bindService] + SourceNeeds.capabilities(of: configuration)
    }

    /// Who we are now, for the log.
    static var summary: String {
        let uid = Account.effectiveUID
        let name = Account.numbered(uid)?.name ?? "\(uid)"
        let capabilities = Privileges.names
        let held =
            uid == 0 && capabilities.count > 20
            ? "all of root's capabilities"
            : capabilities.isEmpty ? "no capabilities" : capabilities.joined(separator: ", ")
        return "running as user \(name) with \(held)" + (Privileges.noNewPrivileges ? ", no_new_privs" : "")
    }
}
