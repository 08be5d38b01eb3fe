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

    /// From now on everything that is sent is lost, and nobody is told.
    static func takeDown() throws {
        let outcome = try run(["ip", "link", "set", "lo", "down"])
        guard outcome.status == 0 else { throw SocketFailure(call: "ip link set lo down: \(outcome)", code: EINVAL) }
    }

    /// Changes a sysctl of the namespace. A child does it: /proc/sys/net shows the namespace of the thread that opens it.
    static func setting(_ name: String, _ value: String) throws {
        let path = "/proc/sys/" + name.replacingOccurrences(of: ".", with: "/")
        let outcome = try run(["sh", "-c", "echo \(value) > \(path)"])
        guard outcome.status == 0 else { throw SocketFailure(call: "\(name): \(outcome)", code: EINVAL) }
    }
}
