public import Addressing
import Linux

/// Where the connection of a check comes from: as the connections of clients do, or as near to that as can be.
public struct CheckSource: Sendable, Equatable {
    /// The address by family; nil: the kernel chooses.
    public var v4: IPAddress?
    public var v6: IPAddress?
    public var mark: UInt32?
    public var device: String?

    public init(v4: IPAddress? = nil, v6: IPAddress? = nil, mark: UInt32? = nil, device: String? = nil) {
        self.v4 = v4
        self.v6 = v6
        self.mark = mark
        self.device = device
    }

    /// Gives a new socket its source. One of the Unix domain has none.
    func apply(to descriptor: Int32) throws(SystemError) {
        guard let family = StreamSocket.family(of: descriptor) else { return }
        if let mark, let failure = StreamSocket.setMark(descriptor, mark) {
            throw SystemError("set the mark \(mark)", failure)
        }
        if let device, let failure = StreamSocket.bindDevice(descriptor, Array(device.utf8)) {
            throw SystemError("use the interface \(device)", failure)
        }
        guard let address = family == .v4 ? v4 : v6 else { return }
        if let failure = StreamSocket.bindAddress(descriptor, to: SocketAddress(address, port: 0)) {
            throw SystemError("connect from \(address)", failure)
        }
    }
}
