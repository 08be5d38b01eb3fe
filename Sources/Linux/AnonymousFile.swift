internal import CLinux
internal import Glibc

/// Files without a name, see memfd_create(2), read and written as a whole. Descriptors are plain numbers, not close-on-exec:
/// an upgrade inherits them. Any thread may use them, one at a time.
public enum AnonymousFile {
    public static func create(name: String) throws(SystemError) -> Int32 {
        let descriptor = memfd_create(name, 0)
        if descriptor < 0 { throw SystemError("create a file in memory", .last) }
        return descriptor
    }

    /// Writes `bytes` from the start and cuts what lay behind them. nil: done.
    public static func replace(_ descriptor: Int32, with bytes: [UInt8]) -> Errno? {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress! + done, bytes.count - done, off_t(done))
            }
            if count < 0 {
                let error = Errno.last
                if error == .interrupted { continue }
                return error
            }
            done += count
        }
        return ftruncate(descriptor, off_t(bytes.count)) == 0 ? nil : .last
    }

    /// Reads `count` bytes from the start.
    public static func read(_ descriptor: Int32, count: Int) throws(SystemError) -> [UInt8] {
        var failure: Errno?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(filled))
                if got > 0 {
                    filled += got
                    continue
                }
                let error = got == 0 ? Errno.invalidArgument : Errno.last
                if error == .interrupted { continue }
                failure = error
                return
            }
        }
        if let failure { throw SystemError("read a file in memory", failure) }
        return bytes
    }

    /// Reads all that there is.
    public static func readAll(_ descriptor: Int32) throws(SystemError) -> [UInt8] {
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw SystemError("look at a file in memory", .last) }
        return try read(descriptor, count: Int(status.st_size))
    }
}
