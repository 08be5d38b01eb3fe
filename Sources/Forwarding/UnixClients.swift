import Addressing
import CLayout
import Linux

/// Clients that come by a Unix socket. Who one is says the kernel: the user that has connected.
extension Worker {
    /// Sets what an accepted socket does not inherit.
    /// - Returns: who it is; nil: the kernel does not say.
    func welcome(_ descriptor: Int32, _ service: UInt16) -> Endpoint? {
        guard case .success(let peer) = UnixSocket.peerCredentials(descriptor) else { return nil }
        let options = table.services[Int(service)].options
        options.applyBuffers(to: descriptor)
        options.applyFirst(to: descriptor, isUnix: true)
        return Endpoint(address: IPAddress(user: peer.uid), port: 0)
    }

    /// Marks the socket of a client that is about to be closed, so that nobody takes it for one that has just come: nothing
    /// else tells one of a Unix socket from the other.
    @inline(__always)
    func markForClosing(_ record: UnsafeMutablePointer<limpet_record>) {
        if record.pointee.peer.family == UInt8(LIMPET_FAMILY_USER) {
            StreamSocket.resetOnClose(record.pointee.descriptor.0)
        }
    }
}
