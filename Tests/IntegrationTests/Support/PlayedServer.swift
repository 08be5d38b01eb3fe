import Foundation
import Synchronization

/// A server whose every connection is played by the test, each on a thread of its own, until the object goes.
final class PlayedServer: Sendable {
    let address: SocketAddress
    private let listener: Listener
    private let ended = Atomic(false)
    private let accepted = Atomic(0)
    private let open = Atomic(0)

    /// - Parameter play: returns when the connection is to be closed; what it throws ends the connection alone.
    init(on host: String = "127.0.0.1", _ play: @escaping @Sendable (TCPSocket) throws -> Void) throws {
        let listener = try Listener(host)
        self.listener = listener
        address = listener.address
        Thread.detachNewThread { [weak self] in
            while let server = self, !server.ended.load(ordering: .acquiring) {
                guard let socket = try? listener.acceptNow() else {
                    usleep(2_000)
                    continue
                }
                server.accepted.add(1, ordering: .relaxed)
                server.open.add(1, ordering: .relaxed)
                Thread.detachNewThread {
                    try? play(socket)
                    socket.close()
                    server.open.subtract(1, ordering: .relaxed)
                }
            }
        }
    }

    deinit { ended.store(true, ordering: .releasing) }

    /// Connections so far, and those that are open.
    var count: Int { accepted.load(ordering: .relaxed) }
    var openCount: Int { open.load(ordering: .relaxed) }
}
