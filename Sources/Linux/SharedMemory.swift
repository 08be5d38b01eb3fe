import CLinux
import Glibc

/// A memfd, mapped shared and read-write: it outlives the process through its descriptor. Pages that were never touched
/// cost nothing.
public struct SharedMemory: Sendable {
    public let descriptor: Int32
    public nonisolated(unsafe) let base: UnsafeMutableRawPointer
    public let size: Int

    /// - Parameter size: bytes; all zero at first.
    public init(name: String, size: Int) throws(SystemError) {
        descriptor = memfd_create(name, UInt32(LIMPET_MFD_CLOEXEC))
        if descriptor < 0 { throw SystemError("create the shared region", .last) }
        if ftruncate(descriptor, size) != 0 { throw SystemError("size the shared region", .last) }
        let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        if address == MAP_FAILED { throw SystemError("map the shared region", .last) }
        base = address!
        self.size = size
    }
}
