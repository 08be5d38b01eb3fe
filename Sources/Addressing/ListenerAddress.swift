/// Where a listener listens. Plain value.
public enum ListenerAddress: Hashable, Sendable {
    /// A TCP port of one address, or of all. Port 0 asks the kernel to choose one.
    case endpoint(Endpoint)
    /// The socket of this name among those that the daemon is started with (sd_listen_fds(3)), wherever it is bound.
    case inherited(String)

    /// A Unix socket.
    case unix(UnixPath)

    /// Whether it is a Unix socket's, as far as it is known.
    public var isUnix: Bool {
        if case .unix = self { true } else { false }
    }

    /// nil: it is not known as a TCP port.
    public var endpoint: Endpoint? {
        switch self {
        case .endpoint(let endpoint): endpoint
        case .inherited, .unix: nil
        }
    }

    /// What the text of an inherited socket begins with.
    public static let inheritedPrefix = "fd:"

    /// The name that a listener at this address goes by: the address, and with it the device that it is bound to, as
    /// ss(8) prints it: `0.0.0.0%eth0:80`, `[::]%eth0:80`.
    public func name(on device: String?) -> String {
        guard let device, case .endpoint(let endpoint) = self else { return description }
        let host = endpoint.description.dropLast("\(endpoint.port)".utf8.count + 1)
        return "\(host)%\(device):\(endpoint.port)"
    }
}

extension ListenerAddress: CustomStringConvertible {
    /// As it is configured: `192.0.2.1:80`, `fd:web`.
    public var description: String {
        switch self {
        case .endpoint(let endpoint): endpoint.description
        case .inherited(let name): ListenerAddress.inheritedPrefix + name
        case .unix(let path): path.description
        }
    }
}
