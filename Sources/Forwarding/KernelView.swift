import CLayout
public import Linux

/// What the kernel says of one connection, read by another thread than its worker's.
///
/// The worker may close a descriptor at any moment, and the number may then be somebody else's. Nothing here changes
/// anything, and what was read counts only if the record names the same descriptors for the same connection afterwards: a
/// worker un-names before it closes.
public struct KernelView: Sendable, Equatable {
    /// nil: there is no such socket yet, or any more.
    public let client: Side?
    public let backend: Side?
    /// Bytes that wait in the pipe from the client to the backend.
    public let pipeIn: Int
    /// Bytes that wait in the pipe from the backend to the client.
    public let pipeOut: Int

    /// One of its sockets.
    public struct Side: Sendable, Equatable {
        /// nil: it is a Unix socket.
        public let tcp: TCPPath?
        /// Bytes that have come and were not read.
        public let unread: Int
    }
}

extension ConnectionTable {
    /// - Parameters:
    ///   - position: of the slot.
    ///   - id: of the connection that is meant.
    /// - Returns: nil where it has gone, or was changing all the time.
    public func kernelView(_ position: Int, id: UInt64) -> KernelView? {
        for _ in 0..<3 {
            guard let before = snapshot(position), before.id == id else { return nil }
            let (client, backend) = before.record.descriptor
            let (ingoing, outgoing) = before.record.direction
            let view = KernelView(
                client: path(client), backend: path(backend), pipeIn: waiting(ingoing), pipeOut: waiting(outgoing))
            guard let after = snapshot(position), after.generation == before.generation else { return nil }
            let (inAfter, outAfter) = after.record.direction
            if after.record.descriptor == (client, backend), after.record.attempt == before.record.attempt,
                inAfter.pipe_read == ingoing.pipe_read, outAfter.pipe_read == outgoing.pipe_read
            {
                return view
            }
        }
        return nil
    }

    private func path(_ descriptor: Int32) -> KernelView.Side? {
        if descriptor < 0 { return nil }
        if let path = try? TCPPath(descriptor) { return KernelView.Side(tcp: path, unread: path.unread) }
        return StreamSocket.isUnix(descriptor)
            ? KernelView.Side(tcp: nil, unread: StreamSocket.unread(descriptor)) : nil
    }

    private func waiting(_ direction: limpet_direction) -> Int {
        direction.pipe_read < 0 ? 0 : Pipe.unread(direction.pipe_read)
    }
}
