import CLinux
import Glibc

/// Questions about files.
public enum FileAccess {
    /// Opens the file for reading as the process's effective user, and closes it. nil: it can be read.
    public static func checkReadable(_ path: String) -> Errno? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0 { return .last }
        close(descriptor)
        return nil
    }
}
