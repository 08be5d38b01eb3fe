internal import CLinux
internal import Glibc

/// What a path names, without following a symbolic link at its end (lstat(2)), and the calls that make, own and remove
/// such an entry.
public struct PathEntry: Equatable, Sendable {
    public enum Kind: Sendable {
        case directory, socket, other
    }

    public let kind: Kind
    public let device: UInt64
    public let inode: UInt64
    /// Last change of the content, in nanoseconds since 1970; of a socket: when it was made.
    public let modified: Int64
    public let uid: UInt32
    public let gid: UInt32

    /// Whether both are the same file, whatever its owner has become, and its content was not changed between. An inode
    /// alone does not tell: the number of a removed file is given to the next one.
    public func isSameFile(as other: PathEntry) -> Bool {
        (device, inode, modified) == (other.device, other.inode, other.modified)
    }

    /// lstat(2).
    public static func look(at path: String) -> Result<PathEntry, Errno> {
        var status = stat()
        guard lstat(path, &status) == 0 else { return .failure(.last) }
        let kind: Kind =
            switch status.st_mode & S_IFMT {
            case S_IFDIR: .directory
            case S_IFSOCK: .socket
            default: .other
            }
        return .success(
            PathEntry(
                kind: kind, device: UInt64(status.st_dev), inode: UInt64(status.st_ino),
                modified: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec),
                uid: status.st_uid, gid: status.st_gid))
    }

    /// mkdir(2), less the umask. nil: done.
    public static func makeDirectory(_ path: String, permissions: UInt32) -> Errno? {
        mkdir(path, mode_t(permissions)) == 0 ? nil : .last
    }

    /// lchown(2). nil: done.
    public static func changeOwner(of path: String, uid: UInt32, gid: UInt32) -> Errno? {
        lchown(path, uid, gid) == 0 ? nil : .last
    }

    /// unlink(2). nil: done.
    public static func remove(_ path: String) -> Errno? {
        unlink(path) == 0 ? nil : .last
    }
}
