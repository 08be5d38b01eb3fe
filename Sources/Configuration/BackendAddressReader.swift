import Addressing

extension TableReader {
    /// Where a backend is: something that can be connected to. nil: it was refused. An address is unmapped:
    /// `::ffff:192.0.2.1` is written in IPv6 and is IPv4.
    func backendAddress(_ key: ConfigurationKey, _ node: TOMLNode) -> BackendAddress? {
        guard case .string(let text) = node, isPlain(text), text.utf8.count <= 300 else {
            refuse(key, node)
            return nil
        }
        let place = placeOfValue(key)
        let address: BackendAddress
        do throws(BackendAddressError) {
            address = try BackendAddress(parsing: text)
        } catch {
            findings.report(place, error.description)
            return nil
        }
        switch address {
        case .endpoint(var endpoint):
            do throws(EndpointError) {
                endpoint = try endpoint.unmapped.complete()
            } catch {
                findings.report(place, error.description)
                return nil
            }
            if endpoint.port == 0 {
                findings.report(place, "\"\(endpoint)\": port 0 cannot be connected to (1 to 65535)")
                return nil
            }
            if endpoint.address.isUnspecified {
                findings.report(place, "\"\(endpoint)\" is not one server's address: it only makes sense to listen on")
                return nil
            }
            return .endpoint(endpoint)
        case .unix: return address
        case .name(_, let port):
            if port == 0 {
                findings.report(place, "\"\(address)\": port 0 cannot be connected to (1 to 65535)")
                return nil
            }
            return address
        }
    }
}

extension BackendAddress {
    /// Stands for an address that was refused; nothing that can be connected to has port 0.
    static let refused = BackendAddress.endpoint(Endpoint(address: IPAddress(v4: 0), port: 0))
}
