import Addressing
import Linux

/// Where something listens, or is to listen.
struct Target: Sendable {
    let address: SocketAddress
    /// 0: it is a Unix socket.
    let port: UInt16

    init(_ text: String) throws {
        switch try BackendAddress(parsing: text) {
        case .endpoint(let endpoint): (address, port) = (SocketAddress(endpoint), endpoint.port)
        case .unix(let path): (address, port) = (SocketAddress(path), 0)
        case .name: throw SystemError("use the name \(text)", .invalidArgument)
        }
    }

    var isUnix: Bool { address.isUnix }

    func listen() throws -> Int32 {
        if let endpoint = address.endpoint { return try StreamSocket.listen(on: endpoint, shared: false) }
        let descriptor = try UnixSocket.open(isBlocking: false).get()
        guard let path = address.unixPath else { throw Errno.invalidArgument }
        let failure = UnixSocket.bind(descriptor, path: path.name, permissions: 0o777) ?? UnixSocket.listen(descriptor)
        if let failure { throw SystemError("listen on \(path)", failure) }
        return descriptor
    }
}
