import Foundation
import Linux
import Testing

struct SharedMemoryTests {
    /// A dump would touch every page of it, and hold what clients have sent. See proc(5), smaps: "dd".
    @Test func noCoreDumpHoldsIt() throws {
        let made = try SharedMemory(name: "test", size: 1 << 20)
        defer { Descriptor.close(made.descriptor) }
        let adopted = try SharedMemory(adopting: made.descriptor)
        let file = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
        let maps = String(decoding: try #require(try file.readToEnd()), as: UTF8.self).components(separatedBy: "\n")
        for memory in [made, adopted] {
            let start = String(UInt(bitPattern: memory.base), radix: 16)
            let first = try #require(maps.firstIndex { $0.hasPrefix(start + "-") })
            let flags = try #require(maps[first...].first { $0.hasPrefix("VmFlags:") })
            #expect(flags.split(separator: " ").contains("dd"))
            memory.unmap()
        }
    }
}
