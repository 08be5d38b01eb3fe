import Glibc

/// Why a file could not be read. The description fits after the file's name.
enum FileReadingError: Error, Equatable, CustomStringConvertible {
    case system(Int32)
    case notRegular
    case tooLarge(limit: Int)

    var description: String {
        switch self {
        case .system(let code): "cannot be read: \(unsafe String(cString: strerror(code)))"
        case .notRegular: "is not a regular file"
        case .tooLarge(let limit): "is larger than \(SizeText.render(limit))"
        }
    }
}

/// The contents of a file and who may read it.
struct FileContents {
    var bytes: [UInt8]
    /// The permission bits.
    var mode: UInt32

    /// Reads a regular file of at most `limit` bytes. A pipe or a device is refused rather than waited for: what was
    /// read from it could not be read again at a reload.
    init(ofFile path: String, limit: Int) throws(FileReadingError) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw .system(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular }
        mode = status.st_mode & 0o7777
        bytes = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            // Files of /proc have no size, so the end is found by reading.
            let count = unsafe read(descriptor, &chunk, chunk.count)
            guard count >= 0 else {
                let code = errno
                if code == EINTR { continue }
                throw .system(code)
            }
            if count == 0 { return }
            bytes += chunk[..<count]
            if bytes.count > limit { throw .tooLarge(limit: limit) }
        }
    }
}
