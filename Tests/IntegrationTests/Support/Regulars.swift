import Foundation
import Synchronization

/// Clients that want to be connected: each connects again as soon as its connection has ended, from the same address.
final class Regulars {
    private final class Count: Sendable {
        let value = Atomic(0)
        let hasEnded = Flag()
    }

    private let count = Count()
    let number: Int

    /// As many as that whom a backend greets with this name.
    /// - Parameter daemon: its backends greet (``BackendServer/Manner/greet(_:)``).
    init(_ number: Int, of backend: String, at daemon: Daemon) throws {
        self.number = number
        var addresses: [String] = []
        var candidate = 1
        while addresses.count < number {
            guard candidate < 255 else {
                throw SocketFailure(call: "find \(number) clients of \(backend)", code: ENOENT)
            }
            let address = "127.8.0.\(candidate)"
            let socket = try daemon.connect(from: address)
            if try socket.receiveLine().hasPrefix("\(backend) ") { addresses.append(address) }
            socket.close()
            candidate += 1
        }
        for address in addresses {
            Thread.detachNewThread { [count, port = daemon.address] in Regulars.stay(count, at: port, from: address) }
        }
    }

    deinit { count.hasEnded.set() }

    private static func stay(_ count: Count, at port: SocketAddress, from address: String) {
        while !count.hasEnded.isSet {
            guard let socket = try? TCPSocket.connect(to: port, from: address), (try? socket.receiveLine()) != nil
            else {
                usleep(20_000)
                continue
            }
            count.value.add(1, ordering: .relaxed)
            _ = try? socket.receiveToEnd(within: .seconds(600))
            count.value.subtract(1, ordering: .relaxed)
        }
    }

    /// Returns when each of them has been greeted and is connected.
    func gather() throws {
        try eventually("\(number) clients are connected") { count.value.load(ordering: .relaxed) == number }
    }

    /// From now on nobody connects again.
    func leave() { count.hasEnded.set() }
}
