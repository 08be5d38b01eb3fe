import CLayout
import Linux

extension Worker {
    /// Whether nothing has come through a connection since a moment (`active` of its record then), and nothing waits to: in
    /// a pipe, or in a socket that has not been read.
    func isStill(_ slot: Int, since active: UInt64) -> Bool {
        let record = records + slot
        let state = Int(record.pointee.state)
        guard state == LIMPET_OPEN || state == LIMPET_HALF_CLOSED, record.pointee.active == active,
            record.pointee.direction.0.pipe_bytes == 0, record.pointee.direction.1.pipe_bytes == 0
        else { return false }
        return StreamSocket.unread(record.pointee.descriptor.0) == 0
            && StreamSocket.unread(record.pointee.descriptor.1) == 0
    }
}
