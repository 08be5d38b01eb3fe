/// Where a listener listens. Plain value.
public enum ListenerAddress: Hashable, Sendable {
    /// A TCP port of one address, or of all. Port 0 asks the kernel to choose one.
    case endpoint(Endpoint)

    /// nil: it is no TCP port.
    public var endpoint: Endpoint? {
        switch self {
        case .endpoint(let endpoint): endpoint
        }
    }

    /// The name that a listener at this address goes by: the address, and with it the device that it is bound to, as
    /// ss(8) prints it: `0.0.0.0%eth0:80`, `[::]%eth0:80`.
    public func name(on device: String?) -> String {
        guard let device else { return description }
        switch self {
        case .endpoint(let endpoint):
            let host = endpoint.address.family == .v4 ? "\(endpoint.address)" : "[\(endpoint.address)]"
            return "\(host)%\(device):\(endpoint.port)"
        }
    }
}

extension ListenerAddress: CustomStringConvertible {
    /// As it is configured: `192.0.2.1:80`.
    public var description: String {
        switch self {
        case .endpoint(let endpoint): endpoint.description
        }
    }
}
