/// An address and a TCP port.
public struct Endpoint: Hashable, Sendable {
    public var address: IPAddress
    /// 0 to 65535; 0 asks the kernel to choose where it is listened on.
    public var port: UInt16
    /// Of a link-local IPv6 address: the interface behind which it is.
    public var zone: Zone

    public init(address: IPAddress, port: UInt16, zone: Zone = .none) {
        self.address = address
        self.port = port
        self.zone = zone
    }

    /// The same with an IPv4-mapped IPv6 address as the IPv4 one in it.
    public var unmapped: Endpoint { Endpoint(address: address.unmapped, port: port, zone: zone) }
}
