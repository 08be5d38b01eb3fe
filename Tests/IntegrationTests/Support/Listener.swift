import Foundation

/// A listening socket in the test whose connections the test accepts and drives itself.
final class Listener: Sendable {
    let socket: TCPSocket
    let address: SocketAddress

    /// - Parameters:
    ///   - backlog: connections that the kernel completes before anyone accepts; nil: bound and not listening, so
    ///   that the kernel refuses connections while the port stays ours.
    ///   - port: 0: one that the kernel chooses.
    ///   - host: an address, or `unix:` and a path at which there is nothing yet.
    init(
        _ host: String = "127.0.0.1", port: UInt16 = 0, backlog: Int32? = 1024, receiveBuffer: Int32? = nil
    ) throws {
        let wanted = SocketAddress(host, port)
        socket = try TCPSocket(for: wanted)
        if let receiveBuffer { socket.set(SOL_SOCKET, SO_RCVBUF, receiveBuffer) }
        // What the kernel keeps of former connections is in nobody's way.
        if port != 0 { socket.set(SOL_SOCKET, SO_REUSEADDR, 1) }
        let fd = socket.fd
        guard wanted.withSockaddr({ bind(fd, $0, $1) }) == 0 else {
            throw SocketFailure(call: "bind to \(host)", code: errno)
        }
        if let backlog, listen(fd, backlog) != 0 { throw SocketFailure(call: "listen", code: errno) }
        address = socket.local
    }

    /// A port that refuses: nobody else can get it, and nobody listens.
    static func refusing(_ host: String = "127.0.0.1") throws -> Listener { try Listener(host, backlog: nil) }

    /// From now on connections are accepted by the kernel.
    func startListening() throws {
        guard listen(socket.fd, 1024) == 0 else { throw SocketFailure(call: "listen", code: errno) }
    }

    /// The next connection.
    func accept(within limit: Duration = patience) throws -> TCPSocket {
        var result: TCPSocket?
        try eventually("a connection to \(address)", within: limit) {
            result = try acceptNow()
            return result != nil
        }
        return result!
    }

    /// A connection that is there already; nil: none is.
    func acceptNow() throws -> TCPSocket? {
        let fd = Glibc.accept(socket.fd, nil, nil)
        if fd >= 0 {
            _ = fcntl(fd, F_SETFL, O_NONBLOCK)
            return TCPSocket(owning: fd)
        }
        let code = errno
        guard code == EAGAIN || code == ECONNABORTED else { throw SocketFailure(call: "accept", code: code) }
        return nil
    }

    /// True when a connection waits to be accepted.
    var hasWaiting: Bool { socket.ready(POLLIN) }

    func close() { socket.close() }
}

/// A port on which connecting hangs: its queue is full, and the kernel drops every further SYN.
final class HangingListener: Sendable {
    private let listener: Listener
    private let fillers: [TCPSocket]
    private let fillerPorts: Set<UInt16>

    var address: SocketAddress { listener.address }

    init(_ host: String = "127.0.0.1") throws {
        listener = try Listener(host, backlog: 0)
        var fillers: [TCPSocket] = []
        // A queue of length 0 takes one connection; a connect that is not done at once shows that it is full.
        while true {
            let filler = try TCPSocket(for: listener.address)
            try filler.startConnecting(to: listener.address)
            fillers.append(filler)
            if !filler.ready(POLLOUT) { break }
        }
        self.fillers = fillers
        fillerPorts = Set(fillers.map(\.local.port))
    }

    /// Makes room and waits for a connection that is not our own filler's: the kernel repeats the SYN after a second or
    /// two.
    func acceptOther() throws -> TCPSocket {
        while true {
            let socket = try listener.accept()
            if let peer = socket.peer, !fillerPorts.contains(peer.port) { return socket }
        }
    }
}
