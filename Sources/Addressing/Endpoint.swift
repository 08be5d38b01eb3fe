/// An address and a TCP port.
public struct Endpoint: Hashable, Sendable {
    public var address: IPAddress
    /// 0 to 65535; 0 asks the kernel to choose where it is listened on.
    public var port: UInt16

    public init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }
}
