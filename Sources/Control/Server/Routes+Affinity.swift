internal import Addressing

/// What requests about clients ask for.
extension Routes {
    /// An address of a client, with a port or without.
    func clientAddress(_ text: String) throws(ControlError) -> (IPAddress, UInt16?) {
        if let alone = IPAddress(client: Routes.withoutZone(text)) { return (alone, nil) }
        if let endpoint = try? Endpoint(parsing: text) { return (endpoint.address, endpoint.port) }
        throw ControlError(
            .badRequest, "\"\(text)\" is not an address such as 203.0.113.7, 203.0.113.7:40000 or [2001:db8::7]:40000")
    }

    func affinityRequest(_ request: Request) throws(ControlError) -> AffinityRequest {
        try request.allow(["address", "service", "limit"])
        var limit = AffinityRequest.defaultLimit
        if let text = try request.value("limit") {
            guard let number = Int(text), (1...AffinityRequest.mostRows).contains(number) else {
                throw ControlError(
                    .badRequest, "limit: \"\(text)\" is not a whole number from 1 to \(AffinityRequest.mostRows)")
            }
            limit = number
        }
        return try affinityRequest(try request.value("address"), try request.value("service"), limit, false)
    }

    func affinityRequest(_ body: AffinityBody) throws(ControlError) -> AffinityRequest {
        try affinityRequest(body.address, body.service, AffinityRequest.defaultLimit, body.force ?? false)
    }

    private func affinityRequest(
        _ address: String?, _ service: String?, _ limit: Int, _ force: Bool
    ) throws(ControlError) -> AffinityRequest {
        var asked = AffinityRequest(address: nil, service: nil, limit: limit, force: force)
        if let address {
            let (client, port) = try clientAddress(address)
            (asked.address, asked.port) = (client.unmapped, port)
        }
        if let service { asked.service = try NameDirectory(plane.backends()).service(service) }
        return asked
    }
}
