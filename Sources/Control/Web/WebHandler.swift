internal import Addressing
internal import Linux
internal import NIOCore
internal import NIOHTTP1

/// One client of the HTTP port: reads a request, answers it, reads the next. Lives on the control event loop.
final class WebHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let routes: WebRoutes
    private let limits: WebLimits
    private let nextTurn: () -> UInt64
    private let turns: Turns
    /// Who has connected, as far as that counts for how many places it may have; nil: this machine.
    let peer: Prefix?

    private var head: HTTPRequestHead?
    private var closesAfterReply = false
    private var deadline: Scheduled<Void>?
    /// From the head of a request until its answer was handed to the kernel and has ended.
    private(set) var isAnswering = false
    /// Number of the status page that is told what happens; nil: none is.
    private var page: Int?
    /// Grows with each request over all clients: the one with the smallest has been silent for longest.
    private(set) var turn: UInt64

    /// When the answer was begun that is under way, in ns of ``Clock``.
    private var began: UInt64 = 0

    init(
        routes: WebRoutes, limits: WebLimits, turns: Turns, peer: Prefix?, nextTurn: @escaping () -> UInt64
    ) {
        self.routes = routes
        self.limits = limits
        self.turns = turns
        self.peer = peer
        self.nextTurn = nextTurn
        turn = nextTurn()
    }

    /// Whether it may be let go for one who waits: nothing is asked, or what was asked has been lying for long.
    var makesRoom: Bool {
        !isAnswering || page == nil && Clock.now() - began > UInt64(limits.hurriedTime.nanoseconds)
    }

    func channelActive(context: ChannelHandlerContext) {
        close(context, in: limits.requestTime)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if let page { routes.board.close(page) }
        page = nil
        context.fireChannelInactive()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if page != nil {
            if context.channel.isWritable { deadline?.cancel() } else { close(context, in: limits.answerTime) }
        }
        context.fireChannelWritabilityChanged()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // After a reply that ends the conversation whatever still comes is not looked at.
        guard !closesAfterReply else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            turn = nextTurn()
            isAnswering = true
            began = Clock.now()
            self.head = head
            close(context, in: limits.requestTime)
        case .body:
            closesAfterReply = true
            send(routes.text(.payloadTooLarge, "a request here has no body"), context)
        case .end:
            guard let head else { return }
            closesAfterReply = head.endsConversation
            if let problem = head.hostProblem {
                closesAfterReply = true
                return send(routes.text(.badRequest, problem), context)
            }
            // It is not the client that is waited for.
            deadline?.cancel()
            turns.take { [self] in
                if context.channel.isActive { send(routes.answer(head), context) }
            }
        }
    }

    /// A request that the parser does not take. It ends the conversation: where the next one begins cannot be known.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let parserError = error as? HTTPParserError, !closesAfterReply else {
            return context.close(promise: nil)
        }
        closesAfterReply = true
        let isLarge = parserError == .headerOverflow
        send(
            isLarge
                ? routes.text(.requestHeaderFieldsTooLarge, "the header is over \(limits.header) bytes")
                : routes.text(.badRequest, "not an HTTP/1.1 request"), context)
    }

    private func send(_ answer: WebAnswer, _ context: ChannelHandlerContext) {
        isAnswering = true
        close(context, in: limits.answerTime)
        let isOld = head.map { $0.version.major == 1 && $0.version.minor == 0 } ?? false
        var headers = HTTPHeaders([
            ("Server", "limpet/\(routes.version)"), ("Content-Type", answer.type),
            ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
        ])
        // Its end is the end of the connection.
        if answer.isStream {
            closesAfterReply = true
        } else {
            headers.add(name: "Content-Length", value: "\(answer.body.readableBytes)")
        }
        for (name, value) in answer.headers { headers.add(name: name, value: value) }
        if closesAfterReply { headers.add(name: "Connection", value: "close") }
        if isOld, !closesAfterReply { headers.add(name: "Connection", value: "keep-alive") }
        let response = HTTPResponseHead(version: isOld ? .http1_0 : .http1_1, status: answer.status, headers: headers)
        var written = context.write(wrapOutboundOut(.head(response)))
        if answer.isStream, head?.method != .HEAD { return follow(context) }
        // The answer to HEAD ends with its header, whatever that says of a body (RFC 9112 section 6.3).
        if head?.method != .HEAD { written = context.write(wrapOutboundOut(.body(.byteBuffer(answer.body)))) }
        context.flush()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        written.whenSuccess {
            let (handler, context) = bound.value
            handler.planEnd(context)
        }
    }

    /// Lets the loop serve everybody else, and then ends the answer, all of which the kernel has: that lets the next request
    /// of a pipeline in. Before, one who asks and does not read would be answered into memory.
    private func planEnd(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = bound.value
            handler.end(context)
        }
    }

    private func end(_ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        let isLast = closesAfterReply
        head = nil
        isAnswering = false
        // No byte of it is left to send; the next request may come from within.
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        if isLast { return context.close(promise: nil) }
        if !isAnswering, context.channel.isActive { close(context, in: limits.idleTime) }
    }

    /// Tells a status page what happens, until it goes. One that does not read is told less.
    private func follow(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        head = nil
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        page = routes.board.open { message in
            let (handler, context) = bound.value
            guard let message else { return context.close(promise: nil) }
            guard context.channel.isActive, context.channel.isWritable else { return }
            context.writeAndFlush(handler.wrapOutboundOut(.body(.byteBuffer(message))), promise: nil)
        }
        context.flush()
    }

    private func close(_ context: ChannelHandlerContext, in time: TimeAmount) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
    }
}
