internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// One client of the control socket: reads a request, has it answered, reads the next. Lives on the control event loop.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let routes: Routes
    private let limits: ControlLimits
    private let version: String
    private let turns: Turns
    private let caller: Caller

    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    /// True from the head of a reply until its last byte was handed to the kernel.
    private var isAnswering = false
    private var stream: (any AnswerStream)?
    private var events: EventReading?
    private var isPumpPlanned = false
    /// True while a reply is complete but for its end, which lets the next request of a pipeline in.
    private var isEndHeldBack = false
    private var closesAfterReply = false
    private var deadline: Scheduled<Void>?
    /// Ends an answer that is taken too slowly in all.
    private var streamEnd: Scheduled<Void>?

    init(routes: Routes, limits: ControlLimits, version: String, turns: Turns, caller: Caller) {
        self.routes = routes
        self.limits = limits
        self.version = version
        self.turns = turns
        self.caller = caller
    }

    func channelActive(context: ChannelHandlerContext) {
        closeUnlessDone(within: limits.requestTime, context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        streamEnd?.cancel()
        stream = nil
        events?.end()
        events = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // After a reply that ends the conversation whatever still comes is not looked at.
        guard !closesAfterReply else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear()
            if let length = head.headers.first(name: "content-length").flatMap(Int.init), length > limits.body {
                refuse(context, ControlError(.tooLarge, "the body is over \(limits.body) bytes"))
            }
        case .body(var part):
            guard body.readableBytes + part.readableBytes <= limits.body else {
                return refuse(context, ControlError(.tooLarge, "the body is over \(limits.body) bytes"))
            }
            body.writeBuffer(&part)
        case .end:
            guard let head else { return }
            isAnswering = true
            // It is not the client that is waited for.
            deadline?.cancel()
            turns.take { [self] in
                guard context.channel.isActive else { return }
                if head.endsConversation { closesAfterReply = true }
                if let problem = head.hostProblem { return refuse(context, ControlError(.badRequest, problem)) }
                send(answer(to: head), context)
            }
        }
    }

    /// What it asked for while it might is answered; what goes on and on ends.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is RightsRevoked else { return context.fireUserInboundEventTriggered(event) }
        closesAfterReply = true
        if !isAnswering || stream != nil || events != nil { context.close(promise: nil) }
    }

    /// A request that the parser does not take. It ends the conversation: where the next one begins cannot be known.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let parserError = error as? HTTPParserError, !isAnswering else { return context.close(promise: nil) }
        if parserError == .headerOverflow {
            refuse(
                context, ControlError(.tooLarge, "the header is over \(limits.header) bytes"),
                status: .requestHeaderFieldsTooLarge)
        } else {
            refuse(context, ControlError(.badRequest, "not an HTTP/1.1 request"))
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if events != nil {
            if context.channel.isWritable {
                deadline?.cancel()
                sendEvents(context)
            } else {
                closeUnlessDone(within: limits.stallTime, context)
            }
        } else if isAnswering, context.channel.isWritable {
            closeUnlessDone(within: limits.stallTime, context)
            pump(context)
            if isEndHeldBack { planEnd(context) }
        }
        context.fireChannelWritabilityChanged()
    }

    private func answer(to head: HTTPRequestHead) -> Answer {
        do throws(ControlError) {
            return routes.answer(try Request(method: head.method, target: head.uri, body: body), from: caller)
        } catch {
            return routes.failure(error)
        }
    }

    private func refuse(_ context: ChannelHandlerContext, _ error: ControlError, status: HTTPResponseStatus? = nil) {
        closesAfterReply = true
        guard case .whole(let usual, let type, let body, _) = routes.failure(error) else { return }
        send(.whole(status: status ?? usual, type: type, body: body), context)
    }

    private func send(_ answer: Answer, _ context: ChannelHandlerContext) {
        isAnswering = true
        if case .later(let future) = answer {
            // It is not the client that is waited for: it keeps its place for as long as the engine takes.
            deadline?.cancel()
            return future.whenComplete { [self] result in
                guard context.channel.isActive, case .success(let answer) = result else { return }
                send(answer, context)
            }
        }
        closeUnlessDone(within: limits.stallTime, context)
        var headers = HTTPHeaders([
            ("Server", "limpet/\(version)"), ("Limpet-Schema", "\(controlSchema)"),
            ("Limpet-Time", Timestamp.now.description), ("Cache-Control", "no-store"),
        ])
        // A client of HTTP/1.0 learns the end of a stream from the end of the connection.
        let isOld = head.map { $0.version.major == 1 && $0.version.minor == 0 } ?? false
        switch answer {
        case .stream, .events: if isOld { closesAfterReply = true }
        case .whole, .later: break
        }
        if closesAfterReply { headers.add(name: "Connection", value: "close") }
        let httpVersion: HTTPVersion = isOld ? .http1_0 : .http1_1
        switch answer {
        case .whole(let status, let type, let body, let allow):
            headers.add(name: "Content-Type", value: type)
            headers.add(name: "Content-Length", value: String(body.readableBytes))
            if let allow { headers.add(name: "Allow", value: allow) }
            write(.head(HTTPResponseHead(version: httpVersion, status: status, headers: headers)), context)
            // The answer to HEAD ends with its header, whatever that says of a body (RFC 9112 section 6.3).
            if head?.method != .HEAD { write(.body(.byteBuffer(body)), context) }
            finish(context)
        case .stream(let stream, let type):
            headers.add(name: "Content-Type", value: type)
            context.writeAndFlush(
                wrapOutboundOut(.head(HTTPResponseHead(version: httpVersion, status: .ok, headers: headers))),
                promise: nil)
            self.stream = stream
            streamEnd = context.eventLoop.assumeIsolated().scheduleTask(
                in: stream.isCostly ? limits.sortedTime : limits.streamTime
            ) { context.close(promise: nil) }
            pump(context)
        case .events(let reading):
            headers.add(name: "Content-Type", value: "application/x-ndjson")
            context.writeAndFlush(
                wrapOutboundOut(.head(HTTPResponseHead(version: httpVersion, status: .ok, headers: headers))),
                promise: nil)
            follow(reading, context)
        case .later: break  // sent when it has come, see above
        }
    }

    /// Sends one slice and lets the loop serve everybody else before the next one. Stands still while the client does
    /// not take what it was sent: ``channelWritabilityChanged(context:)`` starts it again.
    private func pump(_ context: ChannelHandlerContext) {
        guard let stream, !isPumpPlanned, context.channel.isWritable else { return }
        do {
            switch try stream.step() {
            case .bytes(let buffer):
                context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
                if context.channel.isWritable { closeUnlessDone(within: limits.stallTime, context) }
            case .nothingYet: break
            case .end:
                self.stream = nil
                streamEnd?.cancel()
                return finish(context)
            }
        } catch {
            // The status has been sent: only an end without the last chunk can still say that rows are missing.
            return context.close(promise: nil)
        }
        isPumpPlanned = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = bound.value
            handler.isPumpPlanned = false
            handler.pump(context)
        }
    }

    /// Sends events from where the client wants them on, until it goes or has all that it asked for. Nothing is kept for one
    /// that does not read.
    private func follow(_ reading: EventReading, _ context: ChannelHandlerContext) {
        // That nothing happens is no fault of the client's.
        if reading.waits { deadline?.cancel() }
        events = reading
        if reading.waits {
            reading.follow { [weak self] isOver in
                guard let self else { return }
                if isOver { endEvents(context) } else { sendEvents(context) }
            }
        }
        sendEvents(context)
    }

    private func endEvents(_ context: ChannelHandlerContext) {
        guard let reading = events else { return }
        reading.end()
        events = nil
        if reading.waits { closesAfterReply = true }
        finish(context)
    }

    private func sendEvents(_ context: ChannelHandlerContext) {
        guard let events else { return }
        while context.channel.isWritable, let lines = events.next() {
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(lines))), promise: nil)
        }
        if !events.waits, events.isAtEnd { endEvents(context) }
    }

    private func write(_ part: HTTPServerResponsePart, _ context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(part), promise: nil)
    }

    /// Sends what there is of a complete reply, and its end once the client has taken most of it: the next request of a
    /// pipeline is not looked at before, or a client that asks and does not read would be answered into memory.
    private func finish(_ context: ChannelHandlerContext) {
        head = nil
        isEndHeldBack = true
        context.flush()
        planEnd(context)
    }

    /// Lets the loop serve everybody else, and then ends the reply unless the client has still to read.
    private func planEnd(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = bound.value
            handler.end(context)
        }
    }

    private func end(_ context: ChannelHandlerContext) {
        guard isEndHeldBack, context.channel.isActive, context.channel.isWritable else { return }
        isEndHeldBack = false
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let done = context.eventLoop.makePromise(of: Void.self)
        done.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            handler.replied(context)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: done)
    }

    private func replied(_ context: ChannelHandlerContext) {
        // A pipelined request may already be under way: what ends the conversation comes after that one then.
        guard context.channel.isActive, head == nil, !isEndHeldBack else { return }
        if closesAfterReply { return context.close(promise: nil) }
        isAnswering = false
        closeUnlessDone(within: limits.requestTime, context)
    }

    private func closeUnlessDone(within time: TimeAmount, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
    }
}
