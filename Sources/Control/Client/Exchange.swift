internal import Glibc
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// One request and its response, read by a thread that waits. No more of the response is held than one read brings: the
/// event loop reads on only when the waiting thread asks.
struct Exchange {
    /// An answer that takes so long may have nobody who gives it …
    private static let patience = TimeAmount.seconds(1)
    /// … and so often is looked whether that is so.
    private static let look = TimeAmount.milliseconds(250)

    private let path: String
    private let channel: any Channel
    /// Held here and not looked up in the pipeline: it outlives the channel, which may close as soon as the last part is
    /// in.
    private let reader: NIOLoopBound<ResponseReader>

    /// Connects and sends.
    /// - Parameter limit: how long all of it may take; nil: for ever.
    init(
        _ request: HTTPRequestHead, body: ByteBuffer?, socket path: String, limit: Duration?, on loop: any EventLoop
    ) throws(ControlError) {
        self.path = path
        do {
            let reader = try loop.submit { NIOLoopBound(ResponseReader(loop), eventLoop: loop) }.wait()
            self.reader = reader
            channel = try ClientBootstrap(group: loop)
                .channelOption(.autoRead, value: false)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(reader.value)
                    }
                }
                .connect(unixDomainSocketPath: path).wait()
        } catch {
            throw Exchange.explain(error, path)
        }
        watch(for: reader)
        if let limit {
            let (channel, reader) = (channel, reader)
            let expiry = loop.scheduleTask(in: .nanoseconds(Int64(clamping: limit.nanoseconds))) {
                reader.value.expire()
                channel.close(promise: nil)
            }
            channel.closeFuture.whenComplete { _ in expiry.cancel() }
        }
        channel.write(HTTPClientRequestPart.head(request), promise: nil)
        if let body { channel.write(HTTPClientRequestPart.body(.byteBuffer(body)), promise: nil) }
        // Should this fail, so does the read, and that can say more: a refusal may have come before the request was out.
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }

    /// Ends a wait for an answer while the keeper says that there is no engine. Engines come back within milliseconds;
    /// one that does not is worth a word.
    private func watch(for reader: NIOLoopBound<ResponseReader>) {
        let (path, channel) = (path, channel)
        channel.eventLoop.scheduleRepeatedTask(initialDelay: Exchange.patience, delay: Exchange.look) { task in
            guard reader.value.isWaitingForHead else {
                task.cancel()
                return
            }
            guard let note = RestartNote.read(beside: path) else { return }
            task.cancel()
            reader.value.fail(ControlError(.failed, note))
            channel.close(promise: nil)
        }
    }

    /// The next part of the response; waits for it. Not to be called again after `.end`.
    func next() throws(ControlError) -> HTTPClientResponsePart {
        let reader = reader
        do {
            return try channel.eventLoop.flatSubmit { reader.value.next() }.wait()
        } catch let error as ControlError {
            throw (error == Exchange.endedEarly || error == Exchange.noAnswer) && isDeserted
                ? Exchange.nobody(path) : error
        } catch {
            throw ControlError(.failed, "limpetd's answer cannot be read: \(error)")
        }
    }

    static let endedEarly = ControlError(.failed, "limpetd ended the conversation in the middle of an answer")
    static let noAnswer = ControlError(
        .failed, "limpetd's engine ended before it had answered; see whether it has done what was asked, and ask again")

    /// Whether nobody listens on the socket any more: then the answer broke off because limpetd has gone.
    private var isDeserted: Bool {
        guard case .success(let probe) = UnixSocket.open() else { return false }
        defer { Descriptor.close(probe) }
        let error = UnixSocket.connect(probe, path: path)
        return error == .connectionRefused || error == .noSuchFile
    }

    private static func nobody(_ path: String) -> ControlError {
        ControlError(.notRunning, "limpetd is not running (nobody listens on the socket at \(path))")
    }

    /// Ends the conversation, finished or not.
    func close() {
        channel.close(promise: nil)
    }

    private static func explain(_ error: any Error, _ path: String) -> ControlError {
        guard let error = error as? IOError else {
            return ControlError(.failed, "control socket \(path): \(error)")
        }
        let errno = Errno(rawValue: error.errnoCode)
        switch errno {
        case .noSuchFile: return ControlError(.notRunning, "limpetd is not running (no socket at \(path))")
        case .connectionRefused: return nobody(path)
        case .accessDenied, .notPermitted:
            return ControlError(
                .permission,
                "this user may not use the control socket \(path): only root, limpetd's user and the groups that its "
                    + "configuration names may"
            )
        default: return ControlError(.failed, "control socket \(path): \(errno)")
        }
    }
}

/// Keeps the parts of a response until they are asked for. Lives on the client's event loop.
private final class ResponseReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let eventLoop: any EventLoop
    private var context: ChannelHandlerContext?
    private var parts = CircularBuffer<HTTPClientResponsePart>()
    private var failure: ControlError?
    /// Nothing of an answer has come, and it still can.
    private(set) var isWaitingForHead = true
    private var waiting: EventLoopPromise<HTTPClientResponsePart>?

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// What it means that nothing more comes.
    private var broken: ControlError { isWaitingForHead ? Exchange.noAnswer : Exchange.endedEarly }

    func next() -> EventLoopFuture<HTTPClientResponsePart> {
        if let part = parts.popFirst() { return eventLoop.makeSucceededFuture(part) }
        if let failure { return eventLoop.makeFailedFuture(failure) }
        guard let context else { return eventLoop.makeFailedFuture(broken) }
        let promise = eventLoop.makePromise(of: HTTPClientResponsePart.self)
        waiting = promise
        context.read()
        return promise.futureResult
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        isWaitingForHead = false
        if let waiting {
            self.waiting = nil
            waiting.succeed(part)
        } else {
            parts.append(part)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Half a header, say: whoever waits still waits.
        if waiting != nil { context.read() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A process that is killed with a request unread resets the conversation: the same as ending it.
        let isEnd =
            switch error {
            case HTTPParserError.invalidEOFState: true
            case let error as IOError: error.errnoCode == ECONNRESET || error.errnoCode == EPIPE
            default: false
            }
        fail(isEnd ? broken : ControlError(.failed, "limpetd's answer cannot be read: \(error)"))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(broken)
    }

    /// Nothing more is waited for.
    func expire() {
        fail(ControlError(.timeout, "limpetd does not answer"))
    }

    func fail(_ error: ControlError) {
        isWaitingForHead = false
        if failure == nil { failure = error }
        waiting?.fail(error)
        waiting = nil
    }
}
