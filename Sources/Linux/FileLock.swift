import CLinux
import Glibc

/// An advisory lock on a file, held as long as the descriptor is open, see flock(2). The kernel lets go of it when the
/// last process that shares the descriptor ends, however it ends. Not close-on-exec: an upgrade inherits it.
public struct FileLock: Sendable {
    public let descriptor: Int32

    /// Opens (making it 0600 where it is missing) and locks without waiting.
    /// - Parameter owner: user and group to give it to. A file that has another name somewhere stays whose it is: whoever
    ///   may write to the directory could have put it there to be given it.
    /// - Throws: `.wouldBlock` where another process holds it.
    public init(path: String, owner: (user: UInt32, group: UInt32)? = nil) throws(Errno) {
        descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        if descriptor < 0 { throw .last }
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let error = Errno.last
            close(descriptor)
            throw error
        }
        var status = stat()
        if let owner, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 {
            _ = fchown(descriptor, owner.user, owner.group)
        }
    }
}
