internal import CLinux
internal import Glibc

/// What a path names, without following a symbolic link at its end (lstat(2)), and the calls that make and remove
/// such an entry. See ``PinnedFile`` for what must not change between two calls.
public struct PathEntry: Equatable, Sendable {
    public enum Kind: Sendable {
        case directory, regular, link, socket, other
    }

    public let kind: Kind
    public let device: UInt64
    public let inode: UInt64
    /// Last change of the content, in nanoseconds since 1970; of a socket: when it was made.
    public let modified: Int64
    public let uid: UInt32
    public let gid: UInt32
    /// The permission bits, as in chmod(2).
    public let permissions: UInt32
    /// How many names it has; of a directory: no such number.
    public let linkCount: Int

    /// Whether both are the same file, whatever its owner has become, and its content was not changed between. An inode
    /// alone does not tell: the number of a removed file is given to the next one.
    public func isSameFile(as other: PathEntry) -> Bool {
        (device, inode, modified) == (other.device, other.inode, other.modified)
    }

    /// lstat(2).
    public static func look(at path: String) -> Result<PathEntry, Errno> {
        var status = stat()
        return lstat(path, &status) == 0 ? .success(PathEntry(status)) : .failure(.last)
    }

    /// A socket's entry as it was seen before: to be held against what is there now, see ``isSameFile(as:)``.
    public init(socketOnDevice device: UInt64, inode: UInt64, modified: Int64, gid: UInt32) {
        kind = .socket
        self.device = device
        self.inode = inode
        self.modified = modified
        self.gid = gid
        uid = 0
        permissions = 0
        linkCount = 1
    }

    init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFDIR: .directory
            case S_IFREG: .regular
            case S_IFLNK: .link
            case S_IFSOCK: .socket
            default: .other
            }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
        uid = status.st_uid
        gid = status.st_gid
        permissions = UInt32(status.st_mode & 0o7777)
        linkCount = Int(status.st_nlink)
    }

    /// mkdir(2), less the umask. nil: done.
    public static func makeDirectory(_ path: String, permissions: UInt32) -> Errno? {
        mkdir(path, mode_t(permissions)) == 0 ? nil : .last
    }

    /// unlink(2). nil: done.
    public static func remove(_ path: String) -> Errno? {
        unlink(path) == 0 ? nil : .last
    }

    /// rename(2). nil: done.
    public static func rename(_ path: String, to other: String) -> Errno? {
        Glibc.rename(path, other) == 0 ? nil : .last
    }
}
