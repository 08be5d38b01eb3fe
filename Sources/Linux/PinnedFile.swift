internal import CLinux
internal import Glibc

/// A file or directory held by its inode (O_PATH, open(2)): what is looked at, given away and opened to others through
/// this is one and the same thing, whatever its name is made to mean in between. For a process with more rights than the
/// owner of the directory has. A symbolic link at the end of the path is not followed. Any thread may use it.
public struct PinnedFile: ~Copyable, Sendable {
    private let descriptor: Int32

    public init(path: String) throws(Errno) {
        descriptor = open(path, Int32(LIMPET_O_PATH) | O_NOFOLLOW | O_CLOEXEC)
        if descriptor < 0 { throw .last }
    }

    /// What has this name in a directory, see openat(2). `..` is the directory above, any other name is one of its entries.
    public init(name: String, in directory: borrowing PinnedFile) throws(Errno) {
        descriptor = openat(directory.descriptor, name, Int32(LIMPET_O_PATH) | O_NOFOLLOW | O_CLOEXEC)
        if descriptor < 0 { throw .last }
    }

    deinit {
        Descriptor.close(descriptor)
    }

    /// Gives the descriptor to whoever closes it from now on. It cannot be read or written, only looked at, opened by way
    /// of /proc, and executed; it is close-on-exec.
    public consuming func take() -> Int32 {
        let taken = descriptor
        discard self
        return taken
    }

    /// Where a symbolic link leads, see readlinkat(2).
    public func target() -> Result<String, Errno> {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(PATH_MAX)) { buffer in
            let count = buffer.withMemoryRebound(to: CChar.self) {
                readlinkat(descriptor, "", $0.baseAddress!, $0.count)
            }
            guard count >= 0 else { return .failure(.last) }
            return .success(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }

    /// fstat(2).
    public func look() -> Result<PathEntry, Errno> {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? .success(PathEntry(status)) : .failure(.last)
    }

    /// fchownat(2). nil: done.
    public func changeOwner(uid: UInt32, gid: UInt32) -> Errno? {
        fchownat(descriptor, "", uid, gid, Int32(LIMPET_AT_EMPTY_PATH)) == 0 ? nil : .last
    }

    /// chmod(2), by way of /proc, as fchmod(2) does not take such a descriptor. nil: done.
    public func changePermissions(_ permissions: UInt32) -> Errno? {
        chmod(ownPath, mode_t(permissions)) == 0 ? nil : .last
    }

    /// Gives it to a group, and leaves its owner. nil: done.
    public func changeGroup(_ gid: UInt32) -> Errno? { changeOwner(uid: .max, gid: gid) }

    /// A path that leads to the inode and nowhere else, for calls that do not take such a descriptor.
    var ownPath: String { "/proc/self/fd/\(descriptor)" }
}
