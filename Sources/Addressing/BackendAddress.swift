/// Where a backend is.
public enum BackendAddress: Hashable, Sendable {
    /// An address and a port.
    case endpoint(Endpoint)
    /// A Unix socket.
    case unix(UnixPath)
    /// A host whose addresses are asked for, and the port there.
    case name(HostName, port: UInt16)

    /// Reads `192.0.2.1:80`, `[2001:db8::1]:80`, `unix:/run/app.sock`, `unix:@name` or `ws.example.org:80`. Port 0 is
    /// accepted; whether it makes sense is for the reader to say.
    public init(parsing text: some StringProtocol) throws(BackendAddressError) {
        let whole = String(text)
        if whole.hasPrefix(UnixPath.prefix) {
            do throws(UnixPathError) {
                self = .unix(try UnixPath(parsing: whole))
                return
            } catch {
                throw .unix(error)
            }
        }
        do throws(EndpointError) {
            self = .endpoint(try Endpoint(parsing: whole))
        } catch {
            guard case .name(_, let host) = error else { throw .endpoint(error) }
            guard let name = HostName(host) else { throw .name(whole, host: host) }
            do throws(EndpointError) {
                self = .name(name, port: try Endpoint.port(whole.dropFirst(host.count), of: whole))
            } catch {
                throw .endpoint(error)
            }
        }
    }

    /// Whether it is a Unix socket.
    public var isUnix: Bool {
        if case .unix = self { true } else { false }
    }

    /// The address and port; nil: it is none.
    public var endpoint: Endpoint? {
        guard case .endpoint(let endpoint) = self else { return nil }
        return endpoint
    }
}

extension BackendAddress: CustomStringConvertible {
    /// Reads back as the same.
    public var description: String {
        switch self {
        case .endpoint(let endpoint): endpoint.description
        case .unix(let path): path.description
        case .name(let name, let port): "\(name):\(port)"
        }
    }
}

/// Why a text does not say where a backend is. The description says what is wrong and what to write instead.
public enum BackendAddressError: Error, Hashable, Sendable {
    case endpoint(EndpointError)
    case unix(UnixPathError)
    /// What stands before the port is neither an address nor can it be a name.
    case name(String, host: String)
}

extension BackendAddressError: CustomStringConvertible {
    /// One line for the user, without the place where it was written.
    public var description: String {
        switch self {
        case .endpoint(let error): error.description
        case .unix(let error): error.description
        case .name(let text, let host):
            "\"\(text)\": \"\(host)\" is not an address and cannot be a host's name (labels of 1 to 63 of A-Z a-z 0-9 - _, "
                + "no hyphen at their ends, 253 characters in all)"
        }
    }
}
