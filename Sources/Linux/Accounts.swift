import CLinux
import Glibc

/// A user of the system, from the password database.
public struct Account: Sendable, Equatable {
    public let name: String
    public let uid: UInt32
    public let gid: UInt32

    /// getpwnam_r(3); nil: there is no such user.
    public static func named(_ name: String) -> Account? {
        lookUp { entry, buffer, size, result in getpwnam_r(name, entry, buffer, size, result) }
    }

    /// getpwuid_r(3); nil: the number has no name.
    public static func numbered(_ uid: UInt32) -> Account? {
        lookUp { entry, buffer, size, result in getpwuid_r(uid, entry, buffer, size, result) }
    }

    private static func lookUp(
        _ call: (
            UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
            UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
        ) -> Int32
    ) -> Account? {
        var entry = passwd()
        var result: UnsafeMutablePointer<passwd>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16384) { buffer in
            guard call(&entry, buffer.baseAddress!, buffer.count, &result) == 0, result != nil else { return nil }
            return Account(name: String(cString: entry.pw_name), uid: entry.pw_uid, gid: entry.pw_gid)
        }
    }

    /// getgrnam_r(3): the number of a group; nil: there is no such group.
    public static func group(named name: String) -> UInt32? {
        var entry = GroupEntry()
        var result: UnsafeMutablePointer<GroupEntry>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65536) { buffer in
            guard getgrnam_r(name, &entry, buffer.baseAddress!, buffer.count, &result) == 0, result != nil else {
                return nil
            }
            return entry.gr_gid
        }
    }

    /// The user that the process acts as.
    public static var effectiveUID: UInt32 { geteuid() }
    /// The group that the process acts as.
    public static var effectiveGID: UInt32 { getegid() }

    private typealias GroupEntry = Glibc.group
}

/// What a process may do beyond its user's rights.
public enum Privileges {
    /// The capability that Limpet always keeps: binding ports below ip_unprivileged_port_start, for listeners that are
    /// added later.
    public static let bindService: Int32 = 10
    /// CAP_NET_ADMIN and CAP_NET_RAW: for connections from addresses of others, and for marks.
    public static let networkAdministration: Int32 = 12
    public static let rawNetwork: Int32 = 13

    /// Becomes an ordinary user for good: supplementary groups of that user, all three user and group ids, every
    /// capability gone from every set but `keep`.
    ///
    /// Ids and capabilities belong to a thread: call before the first one is started.
    public static func drop(to account: Account, gid: UInt32, keep: [Int32]) throws(SystemError) {
        let kept = keep.filter { limpet_has_capability($0) == 1 }
        if limpet_bound_capabilities(kept, Int32(kept.count)) != 0 {
            throw SystemError("empty the capability bounding set", .last)
        }
        if limpet_keep_capabilities() != 0 { throw SystemError("keep capabilities over the change of user", .last) }
        if initgroups(account.name, gid) != 0 { throw SystemError("take the groups of user \(account.name)", .last) }
        if setresgid(gid, gid, gid) != 0 { throw SystemError("become group \(gid)", .last) }
        if setresuid(account.uid, account.uid, account.uid) != 0 {
            throw SystemError("become user \(account.name)", .last)
        }
        if limpet_reduce_capabilities(kept, Int32(kept.count)) != 0 {
            throw SystemError("reduce the capabilities", .last)
        }
    }

    /// Gives up every capability but those of `keep` that the thread has, and keeps these over an exec, whatever the file
    /// says that is executed. The bounding set stays as it is. Call it before the first thread is started, or for the
    /// calling thread and those that it starts.
    /// - Returns: what was in the way; nil: nothing.
    public static func reduce(to keep: [Int32]) -> SystemError? {
        let kept = keep.filter { limpet_has_capability($0) == 1 }
        // Where there is nothing to give up nobody is asked: a service manager may have forbidden it.
        if limpet_capabilities_are(kept, Int32(kept.count)) == 1 { return nil }
        return limpet_reduce_capabilities(kept, Int32(kept.count)) == 0
            ? nil : SystemError("give up the capabilities that nothing needs", .last)
    }

    /// No exec gives this process more than it has, for good, see PR_SET_NO_NEW_PRIVS in prctl(2). Call it before the first
    /// thread is started.
    public static func setNoNewPrivileges() throws(SystemError) {
        if limpet_no_new_privileges() != 0 { throw SystemError("set no_new_privs", .last) }
    }

    /// Stays who it is, in another group: all three group ids. Call it before the first thread is started.
    public static func become(group gid: UInt32) throws(SystemError) {
        if setresgid(gid, gid, gid) != 0 { throw SystemError("become group \(gid)", .last) }
    }

    /// Whether the calling thread has the capability (a number of capabilities(7)) in its effective set.
    public static func has(_ capability: Int32) -> Bool { limpet_has_capability(capability) == 1 }

    /// Whether no_new_privs is set, see prctl(2).
    public static var noNewPrivileges: Bool { limpet_is_no_new_privileges() == 1 }

    /// The name of a capability, in upper case.
    public static func name(of capability: Int32) -> String {
        guard let name = limpet_capability_name(capability) else { return "capability \(capability)" }
        defer { limpet_capability_name_free(name) }
        return String(cString: name).uppercased()
    }

    /// The names of the effective capabilities, upper case, in the order of their numbers.
    public static var names: [String] {
        var names: [String] = []
        var number: Int32 = 0
        while let name = limpet_capability_name(number) {
            if limpet_has_capability(number) == 1 { names.append(String(cString: name).uppercased()) }
            limpet_capability_name_free(name)
            number += 1
        }
        return names
    }
}
