public import Linux

/// The control socket's file and its listening descriptor.
///
/// Made early, while the process may still write to the directory; handed to ``ControlServer/start(on:)`` later. Clients
/// that connect in between wait in the kernel's queue. A plain value; whoever calls ``remove()`` or ``close()`` last owns
/// it. Its descriptor survives an exec.
public struct ControlSocket: Sendable {
    public let descriptor: Int32
    public let path: String
    /// Group of the socket file when it was made: that of the daemon.
    public let group: UInt32
    private let entry: PathEntry

    /// What another process has to know of the file to tell it from one that has taken its place.
    public struct File: Codable, Sendable, Equatable {
        public var path: String
        public var group: UInt32
        public var device: UInt64
        public var inode: UInt64
        public var modified: Int64
    }

    public var file: File {
        File(path: path, group: group, device: entry.device, inode: entry.inode, modified: entry.modified)
    }

    /// The same socket in another process.
    public init(adopting descriptor: Int32, file: File) {
        self.descriptor = descriptor
        path = file.path
        group = file.group
        entry = PathEntry(socketOnDevice: file.device, inode: file.inode, modified: file.modified, gid: file.group)
    }

    private init(descriptor: Int32, path: String, entry: PathEntry) {
        self.descriptor = descriptor
        self.path = path
        group = entry.gid
        self.entry = entry
    }

    /// Makes the directory (0750) if it is missing, replaces a stale socket file, binds (0660) and listens.
    /// - Parameters:
    ///   - path: at most 107 bytes.
    ///   - owner: user and group to give the file, and a directory that was made; nil: leave them to the caller's own.
    /// - Throws: ``ControlSocketError``.
    public static func prepare(
        path: String, owner: (user: UInt32, group: UInt32)?
    ) throws(ControlSocketError) -> ControlSocket {
        guard path.utf8.count <= UnixSocket.maximumPathLength else { throw .tooLong(path: path) }
        try makeDirectory(of: path, owner: owner)
        try removeStale(path)

        let descriptor: Int32
        switch UnixSocket.open(isInherited: true) {
        case .success(let value): descriptor = value
        case .failure(let error): throw .failed(path: path, SystemError("open a socket", error))
        }
        do throws(ControlSocketError) {
            return try listen(descriptor, path: path, owner: owner)
        } catch {
            Descriptor.close(descriptor)
            throw error
        }
    }

    /// Removes the file, if it is still the one that was made.
    public func remove() {
        guard case .success(let now) = PathEntry.look(at: path), now.isSameFile(as: entry) else { return }
        _ = PathEntry.remove(path)
    }

    /// Lets the members of some groups connect, and of no others. The file goes to the first of them where it may be given
    /// to that group; the others are let in by an access control list. May be called again, by the daemon's user.
    /// - Parameters:
    ///   - groups: at least one.
    ///   - passing: those that are let pass the directory, too, where it is the daemon's.
    ///   - user: the one that the daemon runs as, or will.
    /// - Returns: why some of `passing` cannot connect all the same, a line each.
    /// - Throws: ``ControlSocketError``, with nothing changed.
    public func admit(
        _ groups: [UInt32], passing: [UInt32], user: UInt32
    ) throws(ControlSocketError) -> [String] {
        do throws(Errno) {
            let file = try PinnedFile(path: path)
            var made = try file.look().get()
            // Somebody has removed it, or put another in its place: that one is none of ours.
            guard made.isSameFile(as: entry) else { return [] }
            if made.gid != groups[0], file.changeGroup(groups[0]) == nil { made = try file.look().get() }
            let others = groups.filter { $0 != made.gid }
            if let error = file.admit(groups: others, rights: 0o6) { throw error }
        } catch {
            if error == .noSuchFile { return [] }
            throw .notAdmitted(path: path, groups, error)
        }
        return directoryProblems(passing, user)
    }

    /// Why members of some groups cannot pass the directory. What is not the daemon's own stays as it is.
    private func directoryProblems(_ groups: [UInt32], _ user: UInt32) -> [String] {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex else { return [] }
        let directory = String(path[..<slash])
        guard let made = try? PinnedFile(path: directory), case .success(let entry) = made.look(),
            entry.kind == .directory, entry.permissions & 0o001 == 0
        else { return [] }
        let admitted = (try? made.admittedGroups().get()) ?? []
        let outside = groups.filter { group in
            !admitted.contains(group) && !(group == entry.gid && entry.permissions & 0o010 != 0)
        }
        guard !outside.isEmpty else { return [] }
        let error = entry.uid == user ? made.admit(groups: outside, rights: 0o1, keepingOthers: true) : .notPermitted
        guard let error else { return [] }
        return outside.map { group in
            "members of group \(group) cannot pass \(directory) to the control socket: \(error); let them (setfacl -m "
                + "g:\(group):x \(directory))"
        }
    }

    /// Closes the descriptor of a socket that never got a server.
    public func close() {
        Descriptor.close(descriptor)
    }

    private static func listen(
        _ descriptor: Int32, path: String, owner: (user: UInt32, group: UInt32)?
    ) throws(ControlSocketError) -> ControlSocket {
        if let error = UnixSocket.bind(descriptor, path: path, permissions: 0o660) {
            if error == .addressInUse { throw .live(path: path) }
            throw .failed(path: path, SystemError("listen", error))
        }
        // From here on by the inode: whoever may write to the directory could put something else in its place.
        do throws(Errno) {
            let file = try PinnedFile(path: path)
            let made = try file.look().get()
            guard made.kind == .socket, made.uid == Account.effectiveUID, made.linkCount == 1 else {
                throw .exists
            }
            // The umask has had its way with it; connect(2) needs the permission to write.
            if made.permissions != 0o660, let error = file.changePermissions(0o660) { throw error }
            if let owner, let error = file.changeOwner(uid: owner.user, gid: owner.group) { throw error }
            if let error = UnixSocket.listen(descriptor) { throw error }
            let entry = try file.look().get()
            return ControlSocket(descriptor: descriptor, path: path, entry: entry)
        } catch {
            _ = PathEntry.remove(path)
            let owner = owner.map { " and give it to user \($0.user), group \($0.group)" } ?? ""
            throw .failed(path: path, SystemError("make it" + owner, error))
        }
    }

    private static func makeDirectory(
        of path: String, owner: (user: UInt32, group: UInt32)?
    ) throws(ControlSocketError) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex else { return }
        let directory = String(path[..<slash])
        if case .success = PathEntry.look(at: directory) { return }
        if let error = PathEntry.makeDirectory(directory, permissions: 0o750) {
            if error == .exists { return }
            throw .failed(path: path, SystemError("make the directory \(directory)", error))
        }
        do throws(Errno) {
            let made = try PinnedFile(path: directory)
            let entry = try made.look().get()
            guard entry.kind == .directory, entry.uid == Account.effectiveUID else { throw .exists }
            // The group may pass whatever the umask, or it could not read.
            if entry.permissions & 0o750 != 0o750, let error = made.changePermissions(0o750) { throw error }
            if let owner, let error = made.changeOwner(uid: owner.user, gid: owner.group) { throw error }
        } catch {
            throw .failed(path: path, SystemError("set the owner and permissions of \(directory)", error))
        }
    }

    /// A socket file that nobody listens on is what a daemon leaves that was killed.
    private static func removeStale(_ path: String) throws(ControlSocketError) {
        let found: PathEntry
        switch PathEntry.look(at: path) {
        case .failure(.noSuchFile): return
        case .failure(let error): throw .failed(path: path, SystemError("look at it", error))
        case .success(let entry):
            guard entry.kind == .socket else { throw .notASocket(path: path) }
            found = entry
        }
        // Without waiting: a process that is stopped, or that never accepts, still listens.
        let probe: Int32
        switch UnixSocket.open(isBlocking: false) {
        case .success(let value): probe = value
        case .failure(let error): throw .failed(path: path, SystemError("open a socket", error))
        }
        defer { Descriptor.close(probe) }
        switch UnixSocket.connect(probe, path: path) {
        case .none, .some(.wouldBlock): throw .live(path: path)
        case .some(.connectionRefused):
            // Another daemon that starts now may have replaced it already: that one is not stale.
            if case .success(let now) = PathEntry.look(at: path), !now.isSameFile(as: found) {
                throw .live(path: path)
            }
            if let error = PathEntry.remove(path), error != .noSuchFile {
                throw .failed(path: path, SystemError("remove the stale socket file", error))
            }
        case .some(let error): throw .failed(path: path, SystemError("tell whether it is in use", error))
        }
    }
}

/// Why there is no control socket. Each text names the path and the cure.
public enum ControlSocketError: Error, Sendable, CustomStringConvertible {
    case tooLong(path: String)
    case live(path: String)
    case notASocket(path: String)
    case failed(path: String, SystemError)
    case notAdmitted(path: String, [UInt32], Errno)

    public var description: String {
        switch self {
        case .tooLong(let path):
            "control socket \(path): the path has \(path.utf8.count) bytes, and a Unix socket's may have "
                + "\(UnixSocket.maximumPathLength) at most; name a shorter one with --control"
        case .live(let path):
            "control socket \(path): another process listens there, probably a limpetd; end that one, or name another "
                + "path with --control"
        case .notASocket(let path):
            "control socket \(path): a file of this name exists and is not a socket; remove it, or name another path "
                + "with --control"
        case .notAdmitted(let path, let groups, let error):
            "control socket \(path): cannot let in the members of group"
                + (groups.count == 1 ? " \(groups[0])" : "s \(groups.map { "\($0)" }.joined(separator: " and "))")
                + ": \(error); one of them can be the daemon's own group, and on a file system with access control lists "
                + "there may be others"
        case .failed(let path, let error):
            "control socket \(path): \(error); name a path in a directory that this user may write to with --control"
        }
    }
}
