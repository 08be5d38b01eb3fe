public import Addressing
import CLinux
import Glibc

/// A listening Unix socket and its file. Descriptors are plain numbers; whoever holds one closes it.
public enum UnixListener {
    /// What a socket's file is to be.
    public struct Owner: Sendable, Equatable {
        /// Permission bits.
        public var mode: UInt32
        /// nil: whoever makes it.
        public var user: UInt32?
        public var group: UInt32?

        public init(mode: UInt32, user: UInt32?, group: UInt32?) {
            self.mode = mode
            self.user = user
            self.group = group
        }
    }

    /// Binds and listens, in the place of a file behind which nobody listens any more. The file has its owner and its
    /// permissions before anybody can connect.
    /// - Returns: the socket, non-blocking and not close-on-exec, and its file; nil: its name is abstract.
    public static func open(
        _ path: UnixPath, _ owner: Owner
    ) throws(SystemError) -> (descriptor: Int32, file: PathEntry?) {
        let action = "listen on \(path)"
        if !path.isAbstract { try removeStale(path) }
        let descriptor: Int32
        switch UnixSocket.open(isBlocking: false, isInherited: true) {
        case .success(let value): descriptor = value
        case .failure(let error): throw SystemError(action, error)
        }
        var isBound = false
        do throws(Errno) {
            // Linux takes the permissions of the file from the unbound socket; until it listens nobody gets in.
            if fchmod(descriptor, mode_t(path.isAbstract ? 0o600 : owner.mode & 0o600)) != 0 { throw Errno.last }
            if SocketAddress(path).withPointer({ bind(descriptor, $0, $1) }) != 0 { throw Errno.last }
            isBound = true
            let file = path.isAbstract ? nil : try give(path, to: owner)
            if listen(descriptor, StreamSocket.backlog) != 0 { throw Errno.last }
            return (descriptor, file)
        } catch {
            if isBound, !path.isAbstract { _ = PathEntry.remove(path.name) }
            Descriptor.close(descriptor)
            throw SystemError(isBound && error == .notPermitted ? "give \(path) its owner and group" : action, error)
        }
    }

    /// Gives a socket's file its permissions and then its owner. Who may write the directory can put something else in its
    /// place at any time, and nothing is touched but a socket of this process's own user.
    /// - Returns: the file as it is then.
    static func give(_ path: UnixPath, to owner: Owner) throws(Errno) -> PathEntry {
        let file = try PinnedFile(path: path.name)
        let entry = try file.look().get()
        guard entry.kind == .socket, entry.uid == geteuid() else { throw .exists }
        if let error = file.changePermissions(owner.mode) { throw error }
        if owner.user != nil || owner.group != nil {
            if let error = file.changeOwner(uid: owner.user ?? .max, gid: owner.group ?? .max) { throw error }
        }
        return try file.look().get()
    }

    /// Whether ``open(_:_:)`` would find the place free: nobody listens there, and what is there is a socket's file.
    public static func check(_ path: UnixPath) throws(SystemError) {
        guard path.isAbstract else {
            _ = try isStale(path)
            let parent = path.name.dropLast(path.name.reversed().firstIndex(of: "/").map { $0 + 1 } ?? 0)
            let directory = parent.isEmpty ? "/" : String(parent)
            if access(directory, W_OK | X_OK) != 0 { throw SystemError("listen on \(path)", .last) }
            return
        }
        if isListenedTo(path) == nil { throw SystemError("listen on \(path)", .addressInUse) }
    }

    /// Removes the file of a socket that is closed, or about to be, unless another has taken its place.
    public static func remove(_ path: UnixPath, _ file: PathEntry) {
        guard case .success(let now) = PathEntry.look(at: path.name), now.kind == .socket, now.isSameFile(as: file)
        else { return }
        _ = PathEntry.remove(path.name)
    }

    private static func removeStale(_ path: UnixPath) throws(SystemError) {
        guard let found = try isStale(path) else { return }
        // Another daemon that starts now may have replaced it already: that one is not stale.
        if case .success(let now) = PathEntry.look(at: path.name), !now.isSameFile(as: found) {
            throw SystemError("listen on \(path)", .addressInUse)
        }
        if let error = PathEntry.remove(path.name), error != .noSuchFile {
            throw SystemError("remove the file that is left of \(path)", error)
        }
    }

    /// The file that is left of a socket that nobody listens on; nil: there is none.
    private static func isStale(_ path: UnixPath) throws(SystemError) -> PathEntry? {
        let found: PathEntry
        switch PathEntry.look(at: path.name) {
        case .failure(.noSuchFile): return nil
        case .failure(let error): throw SystemError("listen on \(path)", error)
        case .success(let entry):
            guard entry.kind == .socket else { throw SystemError("listen on \(path)", .exists) }
            found = entry
        }
        switch isListenedTo(path) {
        case nil: throw SystemError("listen on \(path)", .addressInUse)
        case .connectionRefused?: return found
        case let error?: throw SystemError("tell whether somebody listens on \(path)", error)
        }
    }

    /// nil: somebody listens there; a process that is stopped, or that never accepts, still does.
    private static func isListenedTo(_ path: UnixPath) -> Errno? {
        switch UnixSocket.connected(to: path) {
        case .success(let probe):
            Descriptor.close(probe)
            return nil
        case .failure(.wouldBlock): return nil
        case .failure(let error): return error
        }
    }
}
