import CLinux
import Glibc

/// An advisory lock on a file, held as long as the descriptor is open, see flock(2). The kernel lets go of it when the
/// process ends, however it ends.
public struct FileLock: Sendable {
    public let descriptor: Int32

    /// Opens (making it 0600 where it is missing) and locks without waiting.
    /// - Throws: `.wouldBlock` where another process holds it.
    public init(path: String) throws(Errno) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        if descriptor < 0 { throw .last }
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let error = Errno.last
            close(descriptor)
            throw error
        }
    }
}
