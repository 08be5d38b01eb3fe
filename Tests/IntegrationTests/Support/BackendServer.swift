import Foundation
import Synchronization

/// Serves many connections on one thread, until the object goes.
final class BackendServer: Sendable {
    enum Manner: Sendable, Equatable {
        /// Sends everything back; the FIN too, after the last byte.
        case echo
        /// Sends `NAME ADDRESS:PORT` and a line feed, with the client's address as it sees it, then echoes.
        case greet(String)
        /// Reads and forgets.
        case sink
        /// Closes as soon as it has accepted.
        case closeAtOnce
        /// Resets as soon as it has accepted.
        case resetAtOnce
    }

    struct Counts: Sendable, Equatable {
        var accepted = 0
        var open = 0
        /// Ended by a FIN from the other side.
        var finished = 0
        /// Ended by a reset from the other side.
        var reset = 0
        var bytes = 0
    }

    let address: SocketAddress
    private let loop: ServerLoop

    /// - Parameter port: 0: one that the kernel chooses.
    init(_ manner: Manner, on host: String = "127.0.0.1", port: UInt16 = 0) throws {
        let listener = try Listener(host, port: port, backlog: 8192)
        address = listener.address
        let loop = ServerLoop(listener, manner)
        self.loop = loop
        Thread.detachNewThread { loop.run() }
    }

    deinit { loop.end() }

    var counts: Counts { loop.counts.withLock { $0 } }

    /// Closes the listening port and every connection, and returns when they are closed.
    func stop() throws {
        loop.end()
        try eventually("the backend's thread ends") { loop.hasEnded }
    }
}

/// The thread of a ``BackendServer``.
private final class ServerLoop: Sendable {
    let counts = Mutex(BackendServer.Counts())
    private let listener: Listener
    private let manner: BackendServer.Manner
    private let wakeUp: (read: Int32, write: Int32)
    private let ended = Atomic(false)

    init(_ listener: Listener, _ manner: BackendServer.Manner) {
        self.listener = listener
        self.manner = manner
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "no pipe")
        wakeUp = (ends[0], ends[1])
    }

    deinit {
        close(wakeUp.read)
        close(wakeUp.write)
    }

    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    func end() { write(wakeUp.write, "!", 1) }

    func run() {
        var entries = [
            pollfd(fd: wakeUp.read, events: Int16(POLLIN), revents: 0),
            pollfd(fd: listener.socket.fd, events: Int16(POLLIN), revents: 0),
        ]
        // Of the same length as what follows the first two entries.
        var served: [Served] = []
        while poll(&entries, nfds_t(entries.count), -1) >= 0 && entries[0].revents == 0 {
            for index in served.indices.reversed() where entries[index + 2].revents != 0 {
                if serve(served[index]) {
                    entries[index + 2].events = Int16(served[index].waiting.isEmpty ? POLLIN : POLLOUT)
                } else {
                    served.swapAt(index, served.count - 1)
                    served.removeLast()
                    entries.swapAt(index + 2, entries.count - 1)
                    entries.removeLast()
                    counts.withLock { $0.open -= 1 }
                }
            }
            if entries[1].revents != 0 {
                while let socket = try? listener.acceptNow() {
                    guard let connection = welcome(socket) else { continue }
                    served.append(connection)
                    let events = connection.waiting.isEmpty ? POLLIN : POLLOUT
                    entries.append(pollfd(fd: socket.fd, events: Int16(events), revents: 0))
                }
            }
        }
        served.removeAll()
        listener.close()
        counts.withLock { $0.open = 0 }
        ended.store(true, ordering: .releasing)
    }

    private func welcome(_ socket: TCPSocket) -> Served? {
        counts.withLock { $0.accepted += 1 }
        let served = Served(socket)
        switch manner {
        case .closeAtOnce: return nil
        case .resetAtOnce:
            socket.reset()
            return nil
        case .greet(let name): served.waiting = Array("\(name) \(socket.peer.map(\.description) ?? "gone")\n".utf8)
        case .echo, .sink: break
        }
        counts.withLock { $0.open += 1 }
        return served
    }

    /// Reads or writes once; false when the connection is over. While something waits to be sent nothing is read: the
    /// sender is held up, as by a real server.
    private func serve(_ served: Served) -> Bool {
        do {
            if served.waiting.isEmpty {
                served.waiting = try served.socket.receive(atMost: 65_536)
                if served.waiting.isEmpty {
                    counts.withLock { $0.finished += 1 }
                    return false
                }
                counts.withLock { $0.bytes += served.waiting.count }
                if manner == .sink { served.waiting = [] }
            }
            let sent = try served.waiting.withUnsafeBytes { $0.isEmpty ? 0 : try served.socket.trySend($0) }
            served.waiting.removeFirst(sent)
            return true
        } catch {
            counts.withLock { $0.reset += 1 }
            return false
        }
    }
}

/// One connection of a ``ServerLoop``; only its thread touches it.
private final class Served {
    let socket: TCPSocket
    var waiting: [UInt8] = []

    init(_ socket: TCPSocket) { self.socket = socket }
}
