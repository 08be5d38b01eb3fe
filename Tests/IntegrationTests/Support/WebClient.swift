import Foundation
import Testing

/// A client of the HTTP port that speaks as little HTTP as it takes.
struct WebClient {
    let address: SocketAddress

    /// - Parameter daemon: started with `--metrics`.
    init(_ daemon: Daemon) throws {
        let text = try #require(try daemon.ctl.status().metrics)
        address = try #require(SocketAddress(text))
    }

    struct Response {
        var status: Int
        /// By lower-case name.
        var headers: [String: String]
        var body: String
    }

    func get(_ path: String, method: String = "GET", _ headers: String...) throws -> Response {
        let lines = ["\(method) \(path) HTTP/1.1", "Host: \(address)", "Connection: close"] + headers
        return try ask(lines.joined(separator: "\r\n") + "\r\n\r\n")
    }

    /// Sends it as it is, and reads to the end.
    func ask(_ text: String) throws -> Response {
        let socket = try TCPSocket.connect(to: address)
        try socket.send(text)
        return try WebClient.parse(try socket.receiveToEnd().bytes)
    }

    static func parse(_ bytes: [UInt8]) throws -> Response {
        let text = String(decoding: bytes, as: UTF8.self)
        let end = try #require(text.range(of: "\r\n\r\n"), "no header: \(text.prefix(500))")
        let lines = text[..<end.lowerBound].components(separatedBy: "\r\n")
        let status = try #require(Int(lines[0].split(separator: " ").dropFirst().first ?? ""), "\(lines[0])")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            headers[parts[0].lowercased()] = parts.count > 1 ? parts[1] : ""
        }
        return Response(status: status, headers: headers, body: String(text[end.upperBound...]))
    }
}
