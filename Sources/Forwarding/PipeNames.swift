import CContinuity
import CLayout
import Linux

/// The pipes of a direction. A record names the one that holds its bytes, for as long as it does.
extension Worker {
    /// Names a pipe in the record before it gets its first byte: after a crash the name is the only way to them.
    func name(_ pipe: Pipe, _ way: UnsafeMutablePointer<limpet_direction>) {
        way.pointee.pipe_size = UInt8(31 - pipe.capacity.leadingZeroBitCount)
        limpet_name_pipe(way, pipe.read, pipe.write)
    }

    func unname(_ way: UnsafeMutablePointer<limpet_direction>) {
        limpet_name_pipe(way, -1, -1)
        inject(LIMPET_AT_PIPE_UNNAMED)
    }

    /// Gives back a direction's pipe, which is empty.
    mutating func releasePipe(_ way: UnsafeMutablePointer<limpet_direction>) {
        let pipe = Pipe(
            read: way.pointee.pipe_read, write: way.pointee.pipe_write, capacity: 1 << Int32(way.pointee.pipe_size))
        unname(way)
        pipes.giveBack(pipe)
    }

    /// Closes a direction's pipe with what is in it.
    mutating func dropPipe(_ way: UnsafeMutablePointer<limpet_direction>) {
        guard way.pointee.pipe_read >= 0 else { return }
        let pipe = Pipe(read: way.pointee.pipe_read, write: way.pointee.pipe_write, capacity: 0)
        limpet_store32(&way.pointee.pipe_bytes, 0)
        unname(way)
        pipes.discard(pipe)
    }
}
