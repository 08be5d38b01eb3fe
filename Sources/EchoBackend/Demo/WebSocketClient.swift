import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

/// One WebSocket from a chosen source address. Its methods wait, so they must not be called on an event loop; one
/// thread at a time.
struct WebSocketClient {
    /// Who is there, from the server's greeting: what follows `hello from `.
    let server: String
    private let channel: any Channel
    private let inbox: NIOLoopBound<Inbox>

    /// Longest wait for any answer.
    static let patience = TimeAmount.seconds(10)

    /// Connects, asks for the WebSocket and waits for the greeting.
    /// - Parameter source: local address of the connection. On Linux any of 127.0.0.0/8 will do.
    static func connect(from source: String, to target: SocketAddress, on group: any EventLoopGroup) throws
        -> WebSocketClient
    {
        let loop = group.next()
        let upgraded = loop.makePromise(of: NIOLoopBound<Inbox>.self)
        let channel: any Channel
        do {
            channel = try ClientBootstrap(group: loop)
                .bind(to: SocketAddress(ipAddress: source, port: 0))
                .connectTimeout(patience)
                .channelInitializer { configure($0, host: target.text, upgraded: upgraded) }
                .connect(to: target)
                .wait()
        } catch {
            upgraded.fail(error)
            throw EchoError("no connection from \(source) to \(target.text): \(error)")
        }
        do {
            let inbox = try upgraded.futureResult.wait()
            let greeting = try next(inbox, on: loop)
            guard greeting.hasPrefix("hello from ") else {
                throw EchoError("unexpected greeting: \(greeting)")
            }
            return WebSocketClient(server: String(greeting.dropFirst(11)), channel: channel, inbox: inbox)
        } catch {
            channel.close(promise: nil)
            throw EchoError("no WebSocket from \(source) through \(target.text): \(error)")
        }
    }

    /// Sends a text and waits for the answer.
    /// - Returns: whether it is the same text.
    func echoes(_ text: String) throws -> Bool {
        let frame = WebSocketFrame(
            fin: true, opcode: .text, maskKey: .random(), data: channel.allocator.buffer(string: text))
        try channel.writeAndFlush(frame).wait()
        return try Self.next(inbox, on: channel.eventLoop) == text
    }

    /// The closing handshake; returns when the connection is gone.
    func close() throws {
        var payload = channel.allocator.buffer(capacity: 2)
        payload.write(webSocketErrorCode: .normalClosure)
        let frame = WebSocketFrame(fin: true, opcode: .connectionClose, maskKey: .random(), data: payload)
        try channel.writeAndFlush(frame).wait()
        let channel = channel
        let timeout = channel.eventLoop.scheduleTask(in: Self.patience) { channel.close(promise: nil) }
        try channel.closeFuture.wait()
        timeout.cancel()
    }

    private static func next(_ inbox: NIOLoopBound<Inbox>, on loop: any EventLoop) throws -> String {
        try loop.flatSubmit { inbox.value.next(within: patience, on: loop) }.wait()
    }

    private static func configure(
        _ channel: any Channel, host: String, upgraded: EventLoopPromise<NIOLoopBound<Inbox>>
    ) -> EventLoopFuture<Void> {
        let upgrader = NIOTypedWebSocketClientUpgrader<NIOLoopBound<Inbox>>(
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    let inbox = Inbox()
                    try channel.pipeline.syncOperations.addHandler(inbox)
                    return NIOLoopBound(inbox, eventLoop: channel.eventLoop)
                }
            })
        let request = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/", headers: ["host": host])
        return channel.eventLoop.makeCompletedFuture {
            var pipeline = NIOUpgradableHTTPClientPipelineConfiguration(
                upgradeConfiguration: NIOTypedHTTPClientUpgradeConfiguration(
                    upgradeRequestHead: request, upgraders: [upgrader],
                    notUpgradingCompletionHandler: { channel in
                        channel.eventLoop.makeFailedFuture(EchoError("the server does not speak WebSocket"))
                    }))
            // The greeting may come in one segment with the answer to the upgrade; NIO's default drops it.
            pipeline.leftOverBytesStrategy = .forwardBytes
            let negotiation = try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(
                configuration: pipeline)
            let timeout = channel.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
            negotiation.whenComplete { _ in timeout.cancel() }
            upgraded.completeWith(negotiation)
        }
    }
}

/// Keeps the texts that arrive until somebody asks for them. Belongs to its channel's event loop.
final class Inbox: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame

    private var texts: [String] = []
    private var waiting: EventLoopPromise<String>?
    private var closed = false

    /// The next text, one asker at a time.
    func next(within patience: TimeAmount, on loop: any EventLoop) -> EventLoopFuture<String> {
        if !texts.isEmpty { return loop.makeSucceededFuture(texts.removeFirst()) }
        guard !closed else { return loop.makeFailedFuture(EchoError("the connection is closed")) }
        let promise = loop.makePromise(of: String.self)
        waiting = promise
        let bound = NIOLoopBound(self, eventLoop: loop)
        let timeout = loop.scheduleTask(in: patience) { bound.value.giveUp() }
        promise.futureResult.whenComplete { _ in timeout.cancel() }
        return promise.futureResult
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = Self.unwrapInboundIn(data)
        guard frame.opcode == .text else { return }
        let text = String(buffer: frame.unmaskedData)
        if let promise = waiting {
            waiting = nil
            promise.succeed(text)
        } else {
            texts.append(text)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        closed = true
        fail("the connection was closed")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail("\(error)")
        context.close(promise: nil)
    }

    private func giveUp() {
        fail("no answer within ten seconds")
    }

    private func fail(_ reason: String) {
        let promise = waiting
        waiting = nil
        promise?.fail(EchoError(reason))
    }
}
