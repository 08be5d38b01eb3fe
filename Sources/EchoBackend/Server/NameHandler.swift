import NIOCore
import NIOHTTP1

/// Answers requests that did not ask for a WebSocket: GET and HEAD with the server's name, others with 405.
final class NameHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let name: String
    private var method: HTTPMethod = .GET
    private var keepAlive = true

    init(name: String) {
        self.name = name
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            method = head.method
            keepAlive = head.isKeepAlive
        case .body:
            break
        case .end:
            answer(context: context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func answer(context: ChannelHandlerContext) {
        let known = method == .GET || method == .HEAD
        let body = context.channel.allocator.buffer(string: known ? name + "\n" : "only GET and HEAD\n")
        var head = HTTPResponseHead(version: .http1_1, status: known ? .ok : .methodNotAllowed)
        head.headers.add(name: "content-type", value: "text/plain; charset=utf-8")
        head.headers.add(name: "content-length", value: String(body.readableBytes))
        if !known {
            head.headers.add(name: "allow", value: "GET, HEAD")
        }
        if !keepAlive {
            head.headers.add(name: "connection", value: "close")
        }
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        if method != .HEAD {
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        let sent = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: sent)
        if !keepAlive {
            let channel = context.channel
            sent.futureResult.whenComplete { _ in channel.close(promise: nil) }
        }
    }
}
