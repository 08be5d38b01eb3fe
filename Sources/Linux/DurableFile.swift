internal import CLinux
internal import Glibc

/// Small files that are read and replaced as a whole, and whose content outlives the machine's power: whoever looks after
/// a crash finds the old content or the new one. Calls wait for the disk. Any thread may make them, one at a time for one
/// path.
public enum DurableFile {
    /// Reads a regular file. A symbolic link at the end of the path is not followed, and nothing that is no regular file
    /// is waited for.
    /// - Parameter limit: bytes that it may have.
    /// - Returns: nil where there is no such file.
    /// - Throws: EFBIG (``Errno/fileTooLarge``) past the limit.
    public static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        if descriptor < 0 {
            let error = Errno.last
            if error == .noSuchFile { return nil }
            throw SystemError("read \(path)", error)
        }
        defer { Descriptor.close(descriptor) }
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw SystemError("read \(path)", .last) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError("read \(path)", .invalidArgument) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &part, part.count)
            if count < 0 {
                let error = Errno.last
                if error == .interrupted { continue }
                throw SystemError("read \(path)", error)
            }
            if count == 0 { return bytes }
            bytes += part.prefix(count)
            if bytes.count > limit { throw SystemError("read \(path)", .fileTooLarge) }
        }
    }

    /// Replaces the file, or makes it: written beside it under its name with `.new`, brought to the disk, renamed, and
    /// the directory brought to the disk too. Ours alone to read and write (0600). nil: done.
    public static func replace(_ path: String, with bytes: [UInt8]) -> SystemError? {
        let beside = path + ".new"
        // What a death in the middle has left.
        if let error = PathEntry.remove(beside), error != .noSuchFile { return SystemError("remove \(beside)", error) }
        let descriptor = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        if descriptor < 0 { return SystemError("make \(beside)", .last) }
        let failure = fill(descriptor, bytes)
        Descriptor.close(descriptor)
        if let failure {
            _ = PathEntry.remove(beside)
            return SystemError("write \(beside)", failure)
        }
        if let error = PathEntry.rename(beside, to: path) { return SystemError("replace \(path)", error) }
        return synchronizeDirectory(of: path)
    }

    private static func fill(_ descriptor: Int32, _ bytes: [UInt8]) -> Errno? {
        // Whatever the umask has taken.
        if fchmod(descriptor, 0o600) != 0 { return .last }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, bytes.count - done) }
            if count < 0 {
                let error = Errno.last
                if error == .interrupted { continue }
                return error
            }
            done += count
        }
        return fsync(descriptor) == 0 ? nil : .last
    }

    private static func synchronizeDirectory(of path: String) -> SystemError? {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { return SystemError("open \(directory)", .last) }
        defer { Descriptor.close(descriptor) }
        if fsync(descriptor) == 0 { return nil }
        let error = Errno.last
        // A file system that has no such call for directories needs none.
        return error == .invalidArgument ? nil : SystemError("write \(directory)", error)
    }
}
