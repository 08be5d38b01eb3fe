internal import Glibc

/// Small files, as a whole.
public enum TextFile {
    /// Makes a file that must not exist yet. nil: done.
    /// - Parameter permissions: whatever the umask is.
    public static func create(_ path: String, _ text: String, permissions: UInt32) -> Errno? {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode_t(permissions))
        if descriptor < 0 { return .last }
        defer { Descriptor.close(descriptor) }
        if fchmod(descriptor, mode_t(permissions)) != 0 { return .last }
        let bytes = Array(text.utf8)
        return write(descriptor, bytes, bytes.count) == bytes.count ? nil : .last
    }

    /// The start of a regular file; nil where it cannot be read or is not UTF-8.
    /// - Parameter limit: bytes that are read at most.
    public static func read(_ path: String, limit: Int) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        if descriptor < 0 { return nil }
        defer { Descriptor.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = Glibc.read(descriptor, &bytes, limit)
        return count < 0 ? nil : String(validating: bytes.prefix(count), as: UTF8.self)
    }
}
