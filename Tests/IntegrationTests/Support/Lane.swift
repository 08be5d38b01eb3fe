import Foundation
import Testing

/// A daemon with one service in front of one backend, which the test plays itself.
final class Lane: Sendable {
    let listener: Listener
    let daemon: Daemon

    /// - Parameter receiveBuffer: SO_RCVBUF of the backend's sockets, so that little is enough to fill them.
    init(_ arguments: [String] = [], host: String = "127.0.0.1", receiveBuffer: Int32? = nil) throws {
        listener = try Listener(host, receiveBuffer: receiveBuffer)
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.arguments = arguments
        daemon = try Daemon(setup)
    }

    /// - Parameter settings: lines of the service's table in the configuration file.
    init(settings: String, receiveBuffer: Int32? = nil) throws {
        listener = try Listener(receiveBuffer: receiveBuffer)
        var setup = Daemon.Setup()
        setup.file = """
            [[service]]
            name = "default"
            listen = ["127.0.0.1:0"]
            health = "off"
            \(settings)

            [[service.backend]]
            name = "b1"
            address = "\(listener.address)"
            """
        daemon = try Daemon(setup)
    }

    /// A client and the backend's end of its connection.
    func open(from source: String? = nil, receiveBuffer: Int32? = nil) throws -> Pair {
        let client = try TCPSocket.connect(to: daemon.address, from: source, receiveBuffer: receiveBuffer)
        let backend = try listener.accept()
        if !client.local.isUnix { client.set(IPPROTO_TCP, TCP_NODELAY, 1) }
        if !backend.local.isUnix { backend.set(IPPROTO_TCP, TCP_NODELAY, 1) }
        return Pair(client: client, backend: backend)
    }

    /// Sends until everything on the way to a receiver that does not read is full.
    func fill(_ sender: TCPSocket) throws {
        let block = [UInt8](repeating: 9, count: 1 << 18)
        while try becomes(within: .milliseconds(300), { sender.ready(POLLOUT) }) {
            _ = try block.withUnsafeBytes { try sender.trySend($0) }
        }
    }

    /// Waits until no connection is left, then ends the daemon.
    func finish(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try daemon.waitUntilIdle()
        try daemon.stop(sourceLocation: sourceLocation)
    }
}

/// Both ends of one connection through the daemon.
struct Pair: Sendable {
    var client: TCPSocket
    var backend: TCPSocket

    /// The end that sends in a direction, and the end that receives.
    func ends(_ way: Way) -> (sender: TCPSocket, receiver: TCPSocket) {
        way == .upstream ? (client, backend) : (backend, client)
    }

    func close() {
        client.close()
        backend.close()
    }
}

/// A direction, for tests that hold for both.
enum Way: CaseIterable, Sendable {
    /// Client to backend.
    case upstream
    /// Backend to client.
    case downstream
}

extension Daemon {
    /// Waits until it has no connection any more.
    func waitUntilIdle() throws {
        try eventually("the daemon has no connection left") { try ctl.status().connections == 0 }
    }

    /// Waits until it has exactly so many connections, and says which.
    func connections(_ count: Int) throws -> [ConnectionRow] {
        var rows: [ConnectionRow] = []
        try eventually("the daemon has \(count) connections") {
            rows = try ctl.connections()
            return rows.count == count
        }
        return rows
    }

    /// The first of the loopback addresses, from `start` on, whose order of preference is as wanted.
    func source(from start: Int = 0, where isWanted: ([String]) -> Bool) throws -> String {
        for number in start..<start + 200 where isWanted(try ctl.locate(clientHost(number)).preference.map(\.backend)) {
            return clientHost(number)
        }
        throw SocketFailure(call: "a client with the wanted order of preference", code: ENOENT)
    }

    /// A client whose first choice is the given backend.
    func source(preferring backend: String, from start: Int = 0) throws -> String {
        try source(from: start) { $0.first == backend }
    }
}
