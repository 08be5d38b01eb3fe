/// Where a service is to be found, as an SRV record of the domain name system says it (RFC 2782). Plain value.
public struct ServiceRecord: Hashable, Sendable {
    public var target: HostName
    public var port: UInt16
    /// The lowest comes first; one of a higher number stands in where no lower one can be used.
    public var priority: UInt16
    /// Share among those of the same priority; 0 where the record leaves that to the reader.
    public var weight: UInt16

    public init(target: HostName, port: UInt16, priority: UInt16, weight: UInt16) {
        self.target = target
        self.port = port
        self.priority = priority
        self.weight = weight
    }
}

extension ServiceRecord: Comparable {
    /// By priority, then by target and port: an order in which answers can be compared.
    public static func < (left: ServiceRecord, right: ServiceRecord) -> Bool {
        (left.priority, left.target.text, left.port, left.weight)
            < (right.priority, right.target.text, right.port, right.weight)
    }
}

extension ServiceRecord: CustomStringConvertible {
    /// As a zone file has it: `0 10 8080 ws1.example.net`.
    public var description: String { "\(priority) \(weight) \(port) \(target.text)" }
}
