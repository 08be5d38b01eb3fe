import Foundation

/// Limits that the running kernel sets.
enum KernelLimits {
    /// What the buffers on one way through the daemon can hold at most when the kernel tunes them: two sending and two
    /// receiving sockets, and a pipe.
    static func socketBuffers() throws -> Int {
        let largest = try ["rmem", "wmem"].map { name -> Int in
            let text = try String(contentsOfFile: "/proc/sys/net/ipv4/tcp_\(name)", encoding: .utf8)
            return text.split { $0 == "\t" || $0 == " " || $0 == "\n" }.last.flatMap { Int($0) } ?? 0
        }
        return 2 * largest.reduce(0, +) + (1 << 20)
    }
}
