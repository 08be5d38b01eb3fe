import ArgumentParser
import NIOCore
import NIOPosix

/// `limpet-echo serve`: one WebSocket echo server.
struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run one WebSocket echo server until SIGTERM or SIGINT.",
        discussion: """
            Greets each WebSocket with the text `hello from NAME`, echoes text, binary messages and pings, and answers \
            a plain HTTP GET with its name. Once it listens it prints its address, alone on a line.
            """)

    @Option(help: "What the server calls itself.")
    var name = "echo"

    @Option(help: "Address to listen on; port 0 lets the kernel choose.")
    var listen = "127.0.0.1:0"

    func run() throws {
        let signals = StopSignals()
        let address = try SocketAddress(numeric: listen)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = WebSocketServer(name: name, group: group)
        let bound: SocketAddress
        do {
            bound = try server.start(on: address)
        } catch {
            throw EchoError("cannot listen on \(listen): \(error)")
        }
        writeLine(bound.text)
        _ = signals.wait()
        try group.syncShutdownGracefully()
    }
}

extension SocketAddress {
    /// - Parameter numeric: `127.0.0.1:80` or `[::1]:80`; no names.
    /// - Throws: ``EchoError``.
    init(numeric text: String) throws {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw EchoError("\"\(text)\" is not ADDRESS:PORT")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        }
        do {
            self = try SocketAddress(ipAddress: String(host), port: Int(port))
        } catch {
            throw EchoError("\"\(host)\" is not an IP address")
        }
    }

    /// The form that ``init(numeric:)`` reads.
    var text: String {
        let host = ipAddress ?? "?"
        return "\(host.contains(":") ? "[\(host)]" : host):\(port ?? 0)"
    }
}
