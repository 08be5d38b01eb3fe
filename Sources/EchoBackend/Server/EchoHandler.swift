import NIOCore
import NIOWebSocket

/// Greets, then sends every message back as it came. Expects whole messages: the aggregator stands before it.
final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private let name: String
    /// No frame may follow a close frame, whoever sent it (RFC 6455, section 5.5.1).
    private var closing = false

    init(name: String) {
        self.name = name
    }

    func handlerAdded(context: ChannelHandlerContext) {
        send(.text, context.channel.allocator.buffer(string: "hello from \(name)"), context: context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = Self.unwrapInboundIn(data)
        guard !closing else { return }
        switch frame.opcode {
        case .text, .binary:
            send(frame.opcode, frame.unmaskedData, context: context)
        case .ping:
            send(.pong, frame.unmaskedData, context: context)
        case .connectionClose:
            // The answer repeats the status code, when there was one.
            var payload = frame.unmaskedData
            finish(payload.readSlice(length: 2) ?? ByteBuffer(), context: context)
        default:
            break  // A pong that answers nothing is allowed, and means nothing.
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The frame decoder's own errors are answered by the handler that the upgrade installed; what arrives here is a
        // fragment out of place or a message beyond the limit, or the connection itself.
        let code: WebSocketErrorCode =
            error as? NIOWebSocketFrameAggregator.Error == .accumulatedFrameSizeIsTooLarge
            ? .messageTooLarge : .protocolError
        if error is NIOWebSocketFrameAggregator.Error, !closing {
            var payload = context.channel.allocator.buffer(capacity: 2)
            payload.write(webSocketErrorCode: code)
            finish(payload, context: context)
        } else {
            context.close(promise: nil)
        }
    }

    /// Sends the close frame and closes once it is out.
    private func finish(_ payload: ByteBuffer, context: ChannelHandlerContext) {
        closing = true
        let sent = context.eventLoop.makePromise(of: Void.self)
        let frame = WebSocketFrame(fin: true, opcode: .connectionClose, data: payload)
        context.writeAndFlush(Self.wrapOutboundOut(frame), promise: sent)
        let channel = context.channel
        sent.futureResult.whenComplete { _ in channel.close(promise: nil) }
    }

    private func send(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, context: ChannelHandlerContext) {
        let frame = WebSocketFrame(fin: true, opcode: opcode, data: payload)
        context.writeAndFlush(Self.wrapOutboundOut(frame), promise: nil)
    }
}
