import Glibc

/// Descriptors 0, 1 and 2.
enum StandardDescriptors {
    /// Opens /dev/null as each one that the caller has closed: the next file or socket would get its number, and the log
    /// would be written into a client's connection. Call before anything is opened.
    /// - Returns: false where that cannot be done.
    static func fill() -> Bool {
        while true {
            let descriptor = open("/dev/null", O_RDWR)
            if descriptor < 0 { return false }
            if descriptor > STDERR_FILENO {
                close(descriptor)
                return true
            }
        }
    }
}
