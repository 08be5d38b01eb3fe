public import Linux

/// The control socket's file and its listening descriptor.
///
/// Made early, while the process may still write to the directory; handed to ``ControlServer/start(on:)`` later. Clients
/// that connect in between wait in the kernel's queue. A plain value; whoever calls ``remove()`` or ``close()`` last owns
/// it.
public struct ControlSocket: Sendable {
    public let descriptor: Int32
    public let path: String
    /// Group of the socket file, for ``AccessPolicy``.
    public let group: UInt32
    private let entry: PathEntry

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
        switch UnixSocket.open() {
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

    /// Closes the descriptor of a socket that never got a server.
    public func close() {
        Descriptor.close(descriptor)
    }

    private static func listen(
        _ descriptor: Int32, path: String, owner: (user: UInt32, group: UInt32)?
    ) throws(ControlSocketError) -> ControlSocket {
        if let error = UnixSocket.listen(descriptor, path: path, permissions: 0o660) {
            if error == .addressInUse { throw .live(path: path) }
            throw .failed(path: path, SystemError("listen", error))
        }
        if let owner, let error = PathEntry.changeOwner(of: path, uid: owner.user, gid: owner.group) {
            _ = PathEntry.remove(path)
            throw .failed(path: path, SystemError("give it to user \(owner.user), group \(owner.group)", error))
        }
        switch PathEntry.look(at: path) {
        case .success(let entry):
            return ControlSocket(descriptor: descriptor, path: path, group: entry.gid, entry: entry)
        case .failure(let error):
            throw .failed(path: path, SystemError("find it again", error))
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
        if let owner, let error = PathEntry.changeOwner(of: directory, uid: owner.user, gid: owner.group) {
            throw .failed(path: path, SystemError("give \(directory) to user \(owner.user)", error))
        }
    }

    /// A socket file that nobody listens on is what a daemon leaves that was killed.
    private static func removeStale(_ path: String) throws(ControlSocketError) {
        switch PathEntry.look(at: path) {
        case .failure(.noSuchFile): return
        case .failure(let error): throw .failed(path: path, SystemError("look at it", error))
        case .success(let entry):
            guard entry.kind == .socket else { throw .notASocket(path: path) }
        }
        let probe: Int32
        switch UnixSocket.open() {
        case .success(let value): probe = value
        case .failure(let error): throw .failed(path: path, SystemError("open a socket", error))
        }
        defer { Descriptor.close(probe) }
        switch UnixSocket.connect(probe, path: path) {
        case .none: throw .live(path: path)
        case .some(.connectionRefused):
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
        case .failed(let path, let error):
            "control socket \(path): \(error); name a path in a directory that this user may write to with --control"
        }
    }
}
