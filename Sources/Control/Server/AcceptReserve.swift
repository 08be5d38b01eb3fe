internal import Linux
internal import NIOCore

/// Keeps the control socket answering when the process has run out of descriptors, which is when it is asked most: a few
/// are held in reserve, and one is given up for each client that could not be accepted otherwise. With the reserve spent,
/// accepting rests for a moment; NIO alone would try again at once, for ever.
///
/// A handler of the listening channel, on its event loop.
final class AcceptReserve: ChannelInboundHandler {
    typealias InboundIn = any Channel

    /// Clients that are served without a free descriptor.
    private static let size = 4
    private static let rest = TimeAmount.milliseconds(100)

    private var held: [Int32] = []
    private var isResting = false
    private var isOver = false

    /// Takes back what was given up, as far as there are descriptors again. To be called whenever a client has gone.
    func refill() {
        while !isOver, held.count < AcceptReserve.size, let descriptor = Descriptor.reserve() {
            held.append(descriptor)
        }
    }

    func handlerAdded(context: ChannelHandlerContext) {
        refill()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        isOver = true
        for descriptor in held { Descriptor.close(descriptor) }
        held = []
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? IOError, Errno(rawValue: failure.errnoCode).isLocal else {
            return context.fireErrorCaught(error)
        }
        if let descriptor = held.popLast() { return Descriptor.close(descriptor) }
        guard !isResting else { return }
        isResting = true
        // A failed accept leaves the descriptor in the poll set: leaving the next read out would not be enough.
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: AcceptReserve.rest) { [self] in
            isResting = false
            refill()
            if !isOver { try? context.channel.syncOptions?.setOption(.autoRead, value: true) }
        }
    }
}
