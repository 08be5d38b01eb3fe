internal import CLinux
internal import Glibc

/// The program that a process runs, as a descriptor: what is executed through it is this very file, whatever its path has
/// come to mean.
public enum Executable {
    /// That of this process; nil where /proc is not there. Not close-on-exec.
    public static func openOwn() -> Int32? {
        let descriptor = open("/proc/self/exe", Int32(LIMPET_O_PATH))
        return descriptor < 0 ? nil : descriptor
    }

    /// Where that of this process lay when it was started, with no link in it; nil where it cannot be told. Once it has
    /// been removed or replaced, the kernel adds a word to the path: ask early.
    public static var ownPath: String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            let count = readlink("/proc/self/exe", buffer.baseAddress!, buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}
