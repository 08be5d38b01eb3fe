import Foundation

/// Three machines in a row: clients, the balancer, backends, each a network namespace. The balancer is the calling thread's
/// own; its interfaces are eth0 towards the clients and eth1 towards the backends, which send everything back through it. For
/// root.
final class RoutedNetwork {
    /// The addresses: of IPv4 and of IPv6.
    static let balancer = ["198.51.100.1", "2001:db8:1::1"]
    static let backend = ["203.0.113.2", "2001:db8:2::2"]
    /// Clients have more of them: the last number may be anything up to 250.
    static let client = ["198.51.100.2", "2001:db8:1::2"]

    let clients: Namespace
    let backends: Namespace

    /// Makes a namespace for the calling thread, and the two others.
    init() throws {
        try PrivateNetwork.enter()
        clients = try Namespace()
        backends = try Namespace()
        try RoutedNetwork.ip("link add eth0 type veth peer name eth0 netns \(clients.pid)")
        try RoutedNetwork.ip("link add eth1 type veth peer name eth0 netns \(backends.pid)")
        for (interface, addresses) in [
            ("eth0", ["198.51.100.1/24", "2001:db8:1::1/64"]), ("eth1", ["203.0.113.1/24", "2001:db8:2::1/64"]),
        ] {
            for address in addresses { try RoutedNetwork.ip("address add \(address) dev \(interface) nodad") }
            try RoutedNetwork.ip("link set \(interface) up")
        }
        try clients.setUp(["198.51.100.2/24", "2001:db8:1::2/64"], ["198.51.100.1", "2001:db8:1::1"])
        try backends.setUp(["203.0.113.2/24", "2001:db8:2::2/64"], ["203.0.113.1", "2001:db8:2::1"])
        for number in 3...20 {
            try clients.ip("address add 198.51.100.\(number)/24 dev eth0")
            try clients.ip("address add 2001:db8:1::\(number)/64 dev eth0 nodad")
        }
    }

    static func ip(_ arguments: String) throws { try shell("ip \(arguments)") }

    /// Runs a script in the balancer's namespace; it must not fail.
    static func shell(_ script: String) throws {
        let outcome = try run(["sh", "-e", "-c", script])
        guard outcome.status == 0 else { throw SocketFailure(call: "\(script): \(outcome)", code: EINVAL) }
    }

    /// Another machine.
    final class Namespace {
        /// setns(2), which the Glibc import lacks.
        private static let setns = unsafeBitCast(
            dlsym(nil, "setns"), to: (@convention(c) (Int32, Int32) -> Int32).self)

        /// Keeps it.
        private let holder: ChildProcess
        var pid: pid_t { holder.pid }

        fileprivate init() throws {
            holder = try ChildProcess(["unshare", "--net", "--", "sleep", "1000"])
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self/ns/net")
            let path = "/proc/\(pid)/ns/net"
            try eventually("the namespace is there") {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) ?? own != own
            }
        }

        fileprivate func setUp(_ addresses: [String], _ gateways: [String]) throws {
            try ip("link set lo up")
            for address in addresses { try ip("address add \(address) dev eth0 nodad") }
            try ip("link set eth0 up")
            try ip("route add default via \(gateways[0])")
            try ip("-6 route add default via \(gateways[1])")
        }

        func ip(_ arguments: String) throws {
            try RoutedNetwork.shell("nsenter --net=/proc/\(pid)/ns/net -- ip \(arguments)")
        }

        /// Does something there: sockets that are made, and threads that are started, belong to that machine.
        func inside<Result>(_ body: () throws -> Result) throws -> Result {
            let home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
            let there = open("/proc/\(pid)/ns/net", O_RDONLY | O_CLOEXEC)
            defer {
                close(home)
                close(there)
            }
            guard home >= 0, there >= 0, Namespace.setns(there, 0) == 0 else {
                throw SocketFailure(call: "setns", code: errno)
            }
            defer { precondition(Namespace.setns(home, 0) == 0, "no way back") }
            return try body()
        }
    }
}
