import CLinux
import Glibc

/// A memfd, mapped shared and read-write: it outlives the process through its descriptor. Pages that were never touched
/// cost nothing.
public struct SharedMemory: Sendable {
    public let descriptor: Int32
    public nonisolated(unsafe) let base: UnsafeMutableRawPointer
    public let size: Int

    /// Not close-on-exec: an upgrade inherits it.
    /// - Parameter size: bytes; all zero at first.
    public init(name: String, size: Int) throws(SystemError) {
        descriptor = memfd_create(name, 0)
        if descriptor < 0 { throw SystemError("create the shared region", .last) }
        if ftruncate(descriptor, size) != 0 { throw SystemError("size the shared region", .last) }
        let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        if address == MAP_FAILED { throw SystemError("map the shared region", .last) }
        base = address!
        self.size = size
        leaveOutOfDumps()
    }

    /// Maps a memfd that another process has made, all of it. The descriptor stays open.
    public init(adopting descriptor: Int32) throws(SystemError) {
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw SystemError("look at the shared region", .last) }
        guard status.st_size > 0 else { throw SystemError("map the shared region", .invalidArgument) }
        let address = mmap(nil, Int(status.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        if address == MAP_FAILED { throw SystemError("map the shared region", .last) }
        base = address!
        size = Int(status.st_size)
        self.descriptor = descriptor
        leaveOutOfDumps()
    }

    /// A core dump would give every page that was never touched its memory, while whoever takes over waits; and it would
    /// hold what clients have sent.
    private func leaveOutOfDumps() {
        madvise(base, size, MADV_DONTDUMP)
    }

    /// Gives the addresses up; the descriptor stays open.
    public func unmap() {
        munmap(base, size)
    }

    /// The parts of `range` that have been written to, in order: what lies between them reads as zero, and costs a page
    /// for each that is looked at. See lseek(2), SEEK_DATA.
    public func extents(in range: Range<Int>) throws(SystemError) -> [Range<Int>] {
        var extents: [Range<Int>] = []
        var position = range.lowerBound
        while position < range.upperBound {
            let start = lseek(descriptor, off_t(position), Int32(LIMPET_SEEK_DATA))
            if start < 0 {
                let error = Errno.last
                if error == .noSuchAddress { break }
                throw SystemError("walk through the shared region", error)
            }
            guard start < range.upperBound else { break }
            let end = lseek(descriptor, start, Int32(LIMPET_SEEK_HOLE))
            if end < 0 { throw SystemError("walk through the shared region", .last) }
            extents.append(Int(start)..<min(Int(end), range.upperBound))
            position = Int(end)
        }
        return extents
    }
}
