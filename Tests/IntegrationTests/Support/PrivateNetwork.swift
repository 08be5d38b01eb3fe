import Foundation

/// A network namespace with nothing but a loopback interface, for one thread of the test and what it starts. For root.
enum PrivateNetwork {
    /// unshare(2), which the Glibc import lacks.
    private static let unshare = unsafeBitCast(
        dlsym(nil, "unshare"), to: (@convention(c) (Int32) -> Int32).self)
    private static let newNetwork: Int32 = 0x4000_0000

    /// Moves the calling thread, for good. Threads that it starts afterwards are in it as well.
    static func enter() throws {
        guard unshare(newNetwork) == 0 else { throw SocketFailure(call: "unshare", code: errno) }
        let outcome = try run(["ip", "link", "set", "lo", "up"])
        guard outcome.status == 0 else { throw SocketFailure(call: "ip link set lo up: \(outcome)", code: EINVAL) }
    }

    /// The ports that the kernel chooses from when a socket has none. A child writes them: /proc/sys/net shows the namespace
    /// of the thread that opens it.
    static func setLocalPorts(_ range: ClosedRange<Int>) throws {
        let text = "\(range.lowerBound) \(range.upperBound)"
        let outcome = try run(["sh", "-c", "echo \(text) > /proc/sys/net/ipv4/ip_local_port_range"])
        guard outcome.status == 0 else { throw SocketFailure(call: "ip_local_port_range: \(outcome)", code: EINVAL) }
    }
}
